"""The training loop, the same for all couplings, objectives and networks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from time import perf_counter
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from cellflow._batch import Pairs
from cellflow._errors import DivergenceError
from cellflow._files import reraise_as_file_error
from cellflow._log import log_info
from cellflow._random import spawn_generator
from cellflow._signals import defer_signals
from cellflow._tensors import add_prefix, select_prefix
from cellflow.couplings import Coupling
from cellflow.methods.recipes import Recipe
from cellflow.objectives import Objective
from cellflow.training.average import make_average
from cellflow.training.checkpoints import Checkpoint, State
from cellflow.training.dropout import Dropout
from cellflow.training.feed import Feed, FeedState
from cellflow.training.parallel import ProcessGroup

Net = TypeVar("Net", bound=nn.Module)

#: Steps between two readings of the loss, to avoid synchronising with a GPU at every step.
READ_EVERY = 50

#: Factor of the learning rate at a fraction of the training; the cosine of Loshchilov and Hutter
#: 2017, equation 5.
SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda _done: 1.0,
    "cosine": lambda done: 0.5 * (1 + math.cos(math.pi * min(done, 1.0))),
}


class Callback:
    """Base class of callbacks of the trainer; the methods do nothing by default.

    Numbers that a callback measures go to `trainer.history`, which is stored in checkpoints. Other
    tensors that it needs for an exact resume are returned by `state`; they are stored under the
    name of the class.
    """

    def running(self, trainer: Trainer[Any]) -> AbstractContextManager[object]:  # noqa: ARG002
        """Return the context in which all steps are taken."""
        return nullcontext()

    def after_step(self, trainer: Trainer[Any]) -> None:
        """Act after a step; if the loss is read at this step, after `after_reading`."""

    def after_reading(self, trainer: Trainer[Any]) -> bool:  # noqa: ARG002
        """Act after the mean loss was appended to the history; return True to stop the training.

        The net `trainer.current` is in evaluation mode.
        """
        return False

    def state(self) -> dict[str, Tensor]:
        """Return the tensors that a checkpoint stores."""
        return {}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Continue from the tensors of a checkpoint."""


class Trainer(Generic[Net]):
    """Minimise an objective over the weights of a net, in place, by AdamW.

    Parameters
    ----------
    net
        The net to train.
    coupling
        Draws the pairs of each batch.
    objective
        The loss of a net on pairs.
    recipe
        Settings of the optimisation.
    generator
        Source of randomness, on the device of the net.
    callbacks
        Called in this order after each step and reading.
    checkpoint
        File for the state of the training. SIGINT and SIGTERM then take effect after the current
        step, once its state is saved.

    Attributes
    ----------
    current
        The net to use: with the averaged weights if the recipe enables averaging, else the net.
    history
        `step` and the mean `loss` of the steps since the previous reading; readings of callbacks.
    steps
        Number of steps done.
    done
        Whether the training is over.
    waited
        Seconds in which steps waited for pairs.
    """

    def __init__(
        self,
        net: Net,
        coupling: Coupling,
        objective: Objective,
        recipe: Recipe,
        generator: torch.Generator,
        *,
        callbacks: Sequence[Callback] = (),
        checkpoint: Checkpoint | None = None,
    ) -> None:
        self.net, self.objective, self.recipe = net.train(), objective, recipe
        self.callbacks, self.checkpoint = callbacks, checkpoint
        self.group = ProcessGroup.current()
        self.group.check_batch_size(recipe.batch_size)
        self.device = generator.device
        self.feed = Feed(coupling, recipe.batch_size, spawn_generator(generator))
        # Each process has its own times and noise.
        self.noise = spawn_generator(generator, self.group.rank)
        self.dropout = Dropout(net, self.noise.initial_seed(), self.device)
        self.optimiser = torch.optim.AdamW(
            net.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True
        )
        self.average = make_average(net, recipe)
        self.current = net if self.average is None else self.average.net
        if recipe.compile:
            _compile(net)
        self.loss = self.group.wrap(_Loss(net, objective, self.noise, recipe.precision))
        self.losses = torch.zeros(recipe.n_steps, device=self.device)
        self.history: dict[str, list[Any]] = {"step": [], "loss": []}
        self.steps, self.done, self.waited = 0, False, 0.0
        self.pairs: Pairs | None = None

    def run(self) -> Net:
        """Train until the last step or until a callback stops it.

        Returns
        -------
        The net to use, in evaluation mode.

        Raises
        ------
        DivergenceError
            If the loss is not finite, or the weights are not after the last step.
        """
        state = None if self.checkpoint is None else self.checkpoint.load()
        if self.checkpoint is not None and state is not None:
            problem = f"{self.checkpoint.path} does not hold a state of this training"
            with reraise_as_file_error(problem, "; start without resume"):
                self.restore(state)
        with ExitStack() as stack:
            for each in self.callbacks:
                stack.enter_context(each.running(self))
            stack.enter_context(self.dropout.own_generator())
            stack.enter_context(self.feed.prefetch(self.recipe.ahead))
            # Several processes would stop at different steps.
            defers = self.checkpoint is not None and self.group.size == 1
            signals = stack.enter_context(defer_signals(defers))
            while not self.done and signals.caught is None:
                self.step()
                self._save(interrupted=signals.caught is not None)
        self._check_weights()
        return self.current.eval()

    def step(self) -> None:
        """Take one step and call the callbacks."""
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.recipe, self.steps)
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
        self.done = self.steps == self.recipe.n_steps
        if self.done or self.steps % READ_EVERY == 0:
            self._read()
        for each in self.callbacks:
            each.after_step(self)

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Put the current net into evaluation mode inside the block."""
        self.current.eval()
        try:
            yield
        finally:
            self.net.train()

    def state(self) -> State:
        """Return the state of the training, for a checkpoint."""
        # Weights that are not finite must not replace an older state.
        self._unread_losses()
        own = add_prefix("noise", {"generator": self.noise.get_state(), **self.dropout.state()})
        own["losses"] = self.losses[: self.steps].cpu()
        tensors = {
            **add_prefix("net", self.net.state_dict()),
            **add_prefix("current", self.current.state_dict()),
            **add_prefix("pairs", self.feed.state.tensors),
        }
        for rank, states in enumerate(self.group.gather(own)):
            tensors |= add_prefix(str(rank), states)
        for index, moments in self.optimiser.state_dict()["state"].items():
            tensors |= add_prefix(f"optimiser.{index}", moments)
        for each in self.callbacks:
            tensors |= add_prefix(type(each).__name__, each.state())
        return State(self.steps, tensors, {"history": self.history, "done": self.done})

    def restore(self, state: State) -> None:
        """Continue from a state."""
        tensors = state.tensors
        self.net.load_state_dict(select_prefix("net", tensors))
        self.current.load_state_dict(select_prefix("current", tensors))
        self.losses[: state.step] = tensors[f"{self.group.rank}.losses"].to(self.device)
        noise = select_prefix(f"{self.group.rank}.noise", tensors)
        self.noise.set_state(noise.pop("generator"))
        self.dropout.restore(noise)
        pairs = FeedState.from_tensors(select_prefix("pairs", tensors), self.device)
        pairs.restore(self.feed.coupling, self.feed.generator)
        self._restore_optimiser(select_prefix("optimiser", tensors))
        for each in self.callbacks:
            each.restore(select_prefix(type(each).__name__, tensors))
        self.history = {name: list(values) for name, values in state.values["history"].items()}
        self.steps, self.done = state.step, state.values["done"]

    def _backward(self, pairs: Pairs) -> Tensor:
        """Accumulate the gradients of the loss in chunks; return the loss of this process."""
        total = torch.zeros_like(self.losses[0])
        own = self.group.share(pairs)
        chunks = min(self.recipe.accumulate, len(own))
        for k in range(chunks):
            chunk = own[k::chunks]
            # Processes exchange gradients once a step, with the last chunk.
            is_early = self.group.size > 1 and k < chunks - 1
            with self.loss.no_sync() if is_early else nullcontext():  # type: ignore[operator]
                # The mean over processes weighs each alike, however many pairs it has.
                loss = self.loss(chunk) * (len(chunk) * self.group.size / len(pairs))
                loss.backward()
            total += loss.detach()
        return total

    def _read(self) -> None:
        """Append the mean loss to the history and call the callbacks, which may stop."""
        losses = self._unread_losses()
        self.history["step"].append(self.steps)
        self.history["loss"].append(float(losses.mean()))
        with self.evaluating():
            stops = [each.after_reading(self) for each in self.callbacks]
        # A process alone in a step would wait for the others for ever.
        self.done |= self.group.any(any(stops), self.device)

    def _unread_losses(self) -> Tensor:
        """Return the losses of the steps since the last reading; raise an error if not finite."""
        read = int(self.history["step"][-1]) if self.history["step"] else 0
        losses = self.group.mean(self.losses[read : self.steps])
        diverged = torch.nonzero(~losses.isfinite())[:, 0].tolist()
        if diverged:
            step = read + diverged[0] + 1
            before = self.history["loss"][-1] if self.history["loss"] else None
            rate = learning_rate(self.recipe, step - 1)
            loss = float(losses[diverged[0]])
            raise DivergenceError(divergence_message(loss, step, before, self.pairs, rate))
        return losses

    def _check_weights(self) -> None:
        """Raise `DivergenceError` unless all weights are finite: no loss saw those of the end."""
        weights = self.current.state_dict().values()
        n_bad = sum(int((~each.isfinite()).sum()) for each in weights)
        if n_bad:
            rate = learning_rate(self.recipe, max(self.steps - 1, 0))
            raise DivergenceError(
                f"{n_bad:,} weights are not finite after step {self.steps}, learning rate "
                f"{rate:.3g}",
                "try a tenth of the learning_rate, or clip 1",
            )

    def _save(self, *, interrupted: bool) -> None:
        if self.checkpoint is None:
            return
        if interrupted or self.checkpoint.is_due(self.steps):
            state = self.state()
            if self.group.is_main:
                self.checkpoint.save(state)
        if interrupted:
            log_info(f"stopped at step {self.steps}; its state is in {self.checkpoint.path}")

    def _restore_optimiser(self, tensors: dict[str, Tensor]) -> None:
        weights = list(self.net.parameters())
        moments: dict[int, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            index, moment = name.split(".")
            # The optimiser relies on moments being laid out as their weights.
            own = _laid_out_as(weights[int(index)], value) if value.ndim else value
            moments.setdefault(int(index), {})[moment] = own
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": moments, "param_groups": groups})


class _Loss(nn.Module):
    """The loss of a net as a module, which DistributedDataParallel can wrap."""

    def __init__(
        self, net: nn.Module, objective: Objective, generator: torch.Generator, precision: str
    ) -> None:
        super().__init__()
        self.net, self.objective, self.generator = net, objective, generator
        self.bf16 = precision == "bf16"

    def forward(self, pairs: Pairs) -> Tensor:
        with torch.autocast(self.generator.device.type, torch.bfloat16, enabled=self.bf16):
            return self.objective.loss(self.net, pairs, self.generator)


def learning_rate(recipe: Recipe, done: int) -> float:
    """Return the learning rate after `done` steps; the first one of a warm-up is zero."""
    rise = min(done / recipe.warmup, 1.0) if recipe.warmup else 1.0
    return recipe.learning_rate * rise * SCHEDULES[recipe.schedule](done / recipe.n_steps)


def divergence_message(
    loss: float, step: int, before: float | None, pairs: Pairs | None, rate: float
) -> str:
    """Describe a loss that is not finite: the step, the batch, and what to try.

    Parameters
    ----------
    loss
        Its value.
    step
        The first step with such a loss.
    before
        Mean loss at the last reading.
    pairs
        The last batch.
    rate
        Learning rate at that step.
    """
    was = "" if before is None else f" (it was {before:.3g} at the last reading)"
    batch = "" if pairs is None else f", last batch of {_describe(pairs)}"
    return (
        f"the loss became {loss} at step {step}{was}; learning rate {rate:.3g}{batch}: "
        "try a tenth of the learning_rate, clip 1, or look for cells far from all others"
    )


def _describe(pairs: Pairs) -> str:
    ends = f"sources {_describe_spread(pairs.x0)}, targets {_describe_spread(pairs.x1)}"
    return f"{len(pairs)} pairs, {ends}"


def _describe_spread(x: Tensor) -> str:
    x = x.detach().double()
    return f"{float(x.mean()):.3g} +- {float(x.std()):.3g}, at most {float(x.abs().max()):.3g}"


def _laid_out_as(weights: Tensor, value: Tensor) -> Tensor:
    return torch.empty_like(weights, requires_grad=False).copy_(value)


def _compile(net: nn.Module) -> None:
    """Compile the nets that objectives call, each on its own."""
    for each in getattr(net, "nets", {"": net}).values():
        each.compile()
