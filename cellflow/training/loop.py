"""The training loop; it knows a coupling, an objective and a net, and none of their kinds."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel
from tqdm.auto import tqdm

from cellflow._errors import SolverError
from cellflow._random import torch_generator
from cellflow.couplings import Coupling
from cellflow.methods.recipes import Recipe
from cellflow.objectives import Objective
from cellflow.training.schedules import SCHEDULES

Net = TypeVar("Net", bound=nn.Module)

#: Steps between two readings of the loss, so that a device is not made to wait at every step.
REPORT_EVERY = 50

#: Unseen pairs that early stopping looks at, and the seed of their times and noise.
_WATCHED, _WATCH_SEED = 2048, 0


@dataclass(frozen=True)
class Trained(Generic[Net]):
    """What training gives.

    Attributes
    ----------
    net
        The net to use: the average of the weights where the recipe asks for it, else the last.
    history
        `step` and the mean `loss` of the steps since the one before; `check`, the loss on unseen
        pairs at these steps, where there are any.
    """

    net: Net
    history: dict[str, list[float]]


def minimise(
    net: Net,
    coupling: Coupling,
    objective: Objective,
    recipe: Recipe,
    generator: torch.Generator,
    *,
    check: Coupling | None = None,
    progress: bool = False,
    what: str = "fit",
) -> Trained[Net]:
    """Minimise an objective over the weights of `net`, in place, by AdamW.

    With `check`, pairs that training does not see, the loss on a batch of them decides which
    weights are used and when to stop, after `recipe.patience` readings without a new low.

    Raises
    ------
    SolverError
        If the loss stops being a finite number.
    """
    optimiser = torch.optim.AdamW(
        net.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True
    )
    factor = SCHEDULES[recipe.schedule]
    schedule = LambdaLR(optimiser, lambda step: factor(step / recipe.n_steps))
    average = _average_of(net, recipe.ema_decay)
    current = net if average is None else cast("Net", average.module)
    watch = None if check is None else _Watch(current, check, objective, recipe, generator)
    losses = torch.zeros(recipe.n_steps, device=generator.device)
    history: dict[str, list[float]] = {"step": [], "loss": []}
    seen = 0
    with tqdm(total=recipe.n_steps, disable=not progress, desc=what, unit="step") as bar:
        for step in range(1, recipe.n_steps + 1):
            pairs = coupling.sample(recipe.batch_size, generator)
            loss = objective.loss(net, pairs, generator)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            if recipe.clip is not None:
                nn.utils.clip_grad_norm_(net.parameters(), recipe.clip)
            optimiser.step()
            schedule.step()
            if average is not None:
                average.update_parameters(net)
            losses[step - 1] = loss.detach()
            if step % REPORT_EVERY and step < recipe.n_steps:
                continue
            mean = float(losses[seen:step].mean())
            if not mean < float("inf"):
                raise SolverError(f"the loss became {mean} at step {step}")
            history["step"].append(step)
            history["loss"].append(mean)
            bar.set_postfix(loss=f"{mean:.4f}", refresh=False)
            bar.update(step - seen)
            seen = step
            if watch is not None and watch.read():
                break
    if watch is not None:
        history["check"] = watch.losses
        current.load_state_dict(watch.best)
    return Trained(current.eval(), history)


class _Watch:
    """Loss on a fixed batch of unseen pairs, and the weights at its lowest."""

    def __init__(
        self,
        net: nn.Module,
        check: Coupling,
        objective: Objective,
        recipe: Recipe,
        generator: torch.Generator,
    ) -> None:
        self.net, self.objective = net, objective
        self.patience = recipe.patience or recipe.n_steps
        self.device = generator.device
        self.pairs = check.sample(_WATCHED, torch_generator(_WATCH_SEED, self.device))
        self.losses: list[float] = []
        self.best = deepcopy(net.state_dict())

    def read(self) -> bool:
        """Take a reading; True where it is time to stop."""
        # The same times and noise at every reading, so that readings differ by the weights alone.
        with torch.no_grad():
            loss = self.objective.loss(
                self.net, self.pairs, torch_generator(_WATCH_SEED, self.device)
            )
        self.losses.append(float(loss))
        lowest = min(range(len(self.losses)), key=self.losses.__getitem__)
        if lowest == len(self.losses) - 1:
            self.best = deepcopy(self.net.state_dict())
        return len(self.losses) - 1 - lowest >= self.patience


def _average_of(net: nn.Module, decay: float) -> AveragedModel | None:
    """Exponential moving average of the weights, which forgets the first steps quickly.

    After n steps at most (1 + n) / (10 + n) of the old average stays, so a short training is not
    averaged with its initial weights.
    """
    if not decay:
        return None

    def blend(average: Tensor, current: Tensor, n: Tensor | int) -> Tensor:
        kept = min(decay, (1 + int(n)) / (10 + int(n)))
        return average.lerp(current, 1 - kept)

    return AveragedModel(net, avg_fn=blend)
