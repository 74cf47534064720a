"""The training loop; it knows a coupling, an objective and a net, and none of their kinds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from cellflow._batch import Pairs
from cellflow._errors import SolverError
from cellflow._log import log_info
from cellflow._random import spawn_generator
from cellflow._signals import defer_signals
from cellflow._tensors import add_prefix, select_prefix
from cellflow.couplings import Coupling
from cellflow.methods.recipes import Recipe
from cellflow.objectives import Objective
from cellflow.training.average import average_of
from cellflow.training.checkpoints import Checkpoint, State
from cellflow.training.companion import Companion
from cellflow.training.divergence import told_of_divergence
from cellflow.training.dropout import Dropout
from cellflow.training.feed import Feed, Source
from cellflow.training.parallel import Crew
from cellflow.training.progress import Bar, Look
from cellflow.training.schedules import rate_at
from cellflow.training.watch import Watch

Net = TypeVar("Net", bound=nn.Module)

#: Steps between two readings of the loss, so that a device is not made to wait at every step.
REPORT_EVERY = 50


@dataclass(frozen=True)
class Trained(Generic[Net]):
    """What training gives.

    Attributes
    ----------
    net
        The net to use: the average of the weights where the recipe asks for it, else the last.
    history
        `step` and the mean `loss` of the steps since the one before; `check`, the loss on unseen
        pairs at these steps, where there are any; what a companion reads.
    waited
        Seconds in which steps waited for pairs.
    """

    net: Net
    history: dict[str, list[Any]]
    waited: float


def minimise(
    net: Net,
    coupling: Coupling,
    objective: Objective,
    recipe: Recipe,
    generator: torch.Generator,
    *,
    check: Coupling | None = None,
    companion: Companion | None = None,
    checkpoint: Checkpoint | None = None,
    looks: Sequence[Look] = (),
    progress: bool = False,
    what: str = "fit",
    unit: str = "pairs",
) -> Trained[Net]:
    """Minimise an objective over the weights of `net`, in place, by AdamW.

    With `check`, pairs that training does not see, the loss on a batch of them decides which
    weights are used and when to stop, after `recipe.patience` readings without a new low. A
    `companion` follows each step, and may stop as well. With a `checkpoint`, SIGINT and SIGTERM
    are served when the step is done and its state is kept.

    Raises
    ------
    SolverError
        If the loss stops being a finite number.
    """
    training = _Training(net, coupling, objective, recipe, generator, check, companion)
    state = None if checkpoint is None else checkpoint.load()
    if checkpoint is not None and state is not None:
        with checkpoint.believed():
            training.restore(state)
    leads = training.crew.leads
    with (
        Bar(recipe, training.steps, unit, shown=progress and leads, what=what) as bar,
        training.running(),
        # Processes that train together would be stopped at different steps.
        defer_signals(checkpoint is not None and training.crew.size == 1) as held,
    ):
        while not training.done and held.caught is None:
            loss = training.step()
            if loss is not None:
                bar.update(training.steps, loss, training.waited)
            for look in looks if leads else ():
                if look.due(training.steps) or training.done:
                    with training.at_rest():
                        look.do(training.steps, training.current)
            asked = held.caught is not None
            if checkpoint is not None and (asked or checkpoint.due(training.steps)):
                state = training.state
                if leads:
                    checkpoint.save(state)
                if asked:
                    log_info(f"stopped at step {training.steps}, kept in {checkpoint.path}")
    return training.result()


class _Loss(nn.Module):
    """The loss of a net as a module, which is what processes that train together wrap."""

    def __init__(
        self, net: nn.Module, objective: Objective, generator: Any, precision: str
    ) -> None:
        super().__init__()
        self.net, self.objective, self.generator = net, objective, generator
        self.bf16 = precision == "bf16"

    def forward(self, pairs: Pairs) -> Tensor:
        with torch.autocast(self.generator.device.type, torch.bfloat16, enabled=self.bf16):
            return self.objective.loss(self.net, pairs, self.generator)


class _Training(Generic[Net]):
    """A training between two steps."""

    def __init__(
        self,
        net: Net,
        coupling: Coupling,
        objective: Objective,
        recipe: Recipe,
        generator: torch.Generator,
        check: Coupling | None,
        companion: Companion | None,
    ) -> None:
        self.net, self.recipe, self.crew = net.train(), recipe, Crew.here()
        self.crew.check(recipe.batch_size)
        self.device = generator.device
        self.feed = Feed(coupling, recipe.batch_size, spawn_generator(generator))
        # Times and noise of each process are its own.
        self.noise: Any = spawn_generator(generator, self.crew.rank)
        self.dropout = Dropout(net, self.noise.initial_seed(), self.device)
        self.optimiser = torch.optim.AdamW(
            net.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True
        )
        self.average = average_of(net, recipe)
        self.current = net if self.average is None else self.average.net
        self.watch = (
            None if check is None else Watch(self.current, check, objective, recipe, self.device)
        )
        self.companion = companion
        if recipe.compile:
            _compile(net)
        self.loss = self.crew.wrap(_Loss(net, objective, self.noise, recipe.precision))
        self.losses = torch.zeros(recipe.n_steps, device=self.device)
        self.history: dict[str, list[Any]] = {"step": [], "loss": []}
        self.steps, self.done, self.waited = 0, False, 0.0
        self.pairs: Pairs | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """Everything that goes on while steps are taken."""
        with self.dropout.own_generator(), self.feed.ahead(self.recipe.ahead):
            yield

    def step(self) -> float | None:
        """Take a step; the mean loss since the last reading, where it is time for one."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate_at(self.recipe, self.steps)
        start = perf_counter()
        pairs = self.pairs = self.feed.next()
        self.waited += perf_counter() - start
        self.optimiser.zero_grad()
        self.losses[self.steps] = self._backward(pairs)
        if self.recipe.clip is not None:
            nn.utils.clip_grad_norm_(self.net.parameters(), self.recipe.clip)
        self.optimiser.step()
        self.steps += 1
        if self.average is not None:
            self.average.update(self.steps)
        if self.companion is not None:
            self.companion.update(self.steps)
        self.done = self.steps == self.recipe.n_steps
        return self._read() if self.done or self.steps % REPORT_EVERY == 0 else None

    def _backward(self, pairs: Pairs) -> Tensor:
        """Gradients of the loss on all pairs, part by part; the loss on those of this process."""
        total = torch.zeros_like(self.losses[0])
        mine = self.crew.share(pairs)
        parts = min(self.recipe.accumulate, len(mine))
        for k in range(parts):
            part = mine[k::parts]
            # Gradients travel between processes once a step, with the last part.
            later = self.crew.size > 1 and k < parts - 1
            with self.loss.no_sync() if later else nullcontext():  # type: ignore[operator]
                # Means over processes weigh each alike, however many pairs it has.
                loss = self.loss(part) * (len(part) * self.crew.size / len(pairs))
                loss.backward()
            total += loss.detach()
        return total

    def _read(self) -> float:
        """Read the losses since the last time, and stop early where that is due."""
        losses = self._unread()
        mean = float(losses.mean())
        self.history["step"].append(self.steps)
        self.history["loss"].append(mean)
        if self.watch is not None:
            with self.at_rest():
                self.done |= self.watch.read()
        if self.companion is not None:
            with self.at_rest():
                readings, stop = self.companion.read(self.steps, self.current)
            for name, reading in readings.items():
                self.history.setdefault(name, []).append(reading)
            # A process alone in a step would wait for the others for ever.
            self.done |= bool(self.crew.mean(torch.tensor(float(stop), device=self.device)))
        return mean

    def _unread(self) -> Tensor:
        """Losses of the steps since the last reading, all of them finite."""
        seen = int(self.history["step"][-1]) if self.history["step"] else 0
        losses = self.crew.mean(self.losses[seen : self.steps])
        lost = torch.nonzero(~losses.isfinite())[:, 0].tolist()
        if lost:
            step = seen + lost[0] + 1
            before = self.history["loss"][-1] if self.history["loss"] else None
            rate = rate_at(self.recipe, step - 1)
            raise SolverError(
                told_of_divergence(float(losses[lost[0]]), step, before, self.pairs, rate)
            )
        return losses

    @contextmanager
    def at_rest(self) -> Iterator[None]:
        """The current net in evaluation mode."""
        self.current.eval()
        try:
            yield
        finally:
            self.net.train()

    def result(self) -> Trained[Net]:
        """The net to use, and the losses."""
        history = dict(self.history)
        if self.watch is not None:
            history["check"] = self.watch.losses
            self.current.load_state_dict(self.watch.best)
        return Trained(self.current.eval(), history, self.waited)

    @property
    def state(self) -> State:
        """All that is needed to go on from here."""
        # From weights that are no numbers there is no going on.
        self._unread()
        mine = add_prefix("noise", {"generator": self.noise.get_state(), **self.dropout.state()})
        mine["losses"] = self.losses[: self.steps].cpu()
        tensors = {
            **add_prefix("net", self.net.state_dict()),
            **add_prefix("current", self.current.state_dict()),
            **add_prefix("pairs", self.feed.source.tensors),
        }
        for rank, states in enumerate(self.crew.gather(mine)):
            tensors |= add_prefix(str(rank), states)
        for index, moments in self.optimiser.state_dict()["state"].items():
            tensors |= add_prefix(f"optimiser.{index}", moments)
        values: dict[str, Any] = {"history": self.history, "done": self.done}
        if self.watch is not None:
            tensors |= add_prefix("best", self.watch.best)
            values["check"] = self.watch.losses
        if self.companion is not None:
            tensors |= add_prefix("companion", self.companion.tensors)
        return State(self.steps, tensors, values)

    def restore(self, state: State) -> None:
        """Go on from a state."""
        tensors = state.tensors
        self.net.load_state_dict(select_prefix("net", tensors))
        self.current.load_state_dict(select_prefix("current", tensors))
        self.losses[: state.step] = tensors[f"{self.crew.rank}.losses"].to(self.device)
        noise = select_prefix(f"{self.crew.rank}.noise", tensors)
        self.noise.set_state(noise.pop("generator"))
        self.dropout.restore(noise)
        source = Source.of_tensors(select_prefix("pairs", tensors), self.device)
        source.restore(self.feed.coupling, self.feed.generator)
        self._restore_optimiser(select_prefix("optimiser", tensors))
        self.history = {name: list(values) for name, values in state.values["history"].items()}
        if self.watch is not None:
            best = select_prefix("best", tensors)
            self.watch.best = {name: value.to(self.device) for name, value in best.items()}
            self.watch.losses = list(state.values["check"])
        if self.companion is not None:
            self.companion.restore(select_prefix("companion", tensors))
        self.steps = state.step
        self.done = state.values["done"]

    def _restore_optimiser(self, tensors: dict[str, Tensor]) -> None:
        weights = list(self.net.parameters())
        moments: dict[int, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            index, _, moment = name.partition(".")
            # Laid out as the weights are, which the optimiser counts on.
            mine = _laid_out_as(weights[int(index)], value) if value.ndim else value
            moments.setdefault(int(index), {})[moment] = mine
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": moments, "param_groups": groups})


def _laid_out_as(weights: Tensor, value: Tensor) -> Tensor:
    return torch.empty_like(weights, requires_grad=False).copy_(value)


def _compile(net: nn.Module) -> None:
    """Compile the nets that objectives call, each on its own."""
    for each in getattr(net, "nets", {"": net}).values():
        each.compile()
