"""Callbacks of the trainer: early stopping, periodic calls, a progress bar, a timer."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn

from cellflow._log import progress_bar
from cellflow._random import torch_generator
from cellflow._tensors import add_prefix, select_prefix
from cellflow.couplings import Coupling
from cellflow.objectives import Objective
from cellflow.training.trainer import Callback, Trainer

#: Number of validation pairs, and the seed of their times and noise.
_UNSEEN, _SEED = 2048, 0


class EarlyStopping(Callback):
    """Use the weights with the lowest loss on unseen pairs; stop when it no longer falls.

    The readings are `check` of the history.

    Parameters
    ----------
    coupling
        Draws pairs that are not trained on.
    device
        Device of the net.
    patience
        Readings without a new lowest loss after which the training stops; None never stops it.
    """

    def __init__(self, coupling: Coupling, device: torch.device, patience: int | None) -> None:
        self.pairs = coupling.sample(_UNSEEN, torch_generator(_SEED, device))
        self.patience, self.device = patience, device
        self.best: dict[str, Tensor] = {}

    @contextmanager
    def running(self, trainer: Trainer[Any]) -> Iterator[None]:
        """Load the best weights after the last step."""
        yield
        trainer.current.load_state_dict(self.best)

    def after_reading(self, trainer: Trainer[Any]) -> bool:
        """Compute the loss on the unseen pairs."""
        losses = trainer.history.setdefault("check", [])
        losses.append(self.unseen_loss(trainer.objective, trainer.current))
        since_lowest = len(losses) - 1 - min(range(len(losses)), key=losses.__getitem__)
        if since_lowest == 0:
            self.best = deepcopy(trainer.current.state_dict())
        return self.patience is not None and since_lowest >= self.patience

    @torch.no_grad()
    def unseen_loss(self, objective: Objective, net: nn.Module) -> float:
        """Return the loss of a net on the unseen pairs."""
        # The same times and noise at every reading, so that only the weights make a difference.
        return float(objective.loss(net, self.pairs, torch_generator(_SEED, self.device)))

    def state(self) -> dict[str, Tensor]:
        """Return the best weights so far."""
        return add_prefix("best", self.best)

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Continue with these best weights."""
        best = select_prefix("best", tensors)
        self.best = {name: value.to(self.device) for name, value in best.items()}


class Every(Callback):
    """Call a function every few steps and after the last one, on the main process.

    Parameters
    ----------
    n_steps
        Steps between two calls.
    function
        Called with the number of steps done and the net to use, in evaluation mode.
    """

    def __init__(self, n_steps: int, function: Callable[[int, Any], None]) -> None:
        self.n_steps, self.function = n_steps, function

    def after_step(self, trainer: Trainer[Any]) -> None:
        """Call the function every `n_steps` steps and after the last step."""
        if trainer.group.is_main and (trainer.steps % self.n_steps == 0 or trainer.done):
            with trainer.evaluating():
                self.function(trainer.steps, trainer.current)


class ProgressBar(Callback):
    """Show the loss, pairs per second, and the share of time spent waiting for pairs.

    Parameters
    ----------
    description
        Name of the training.
    unit
        Name of a pair in the display.
    """

    def __init__(self, description: str = "fit", unit: str = "pairs") -> None:
        self.description, self.unit = description, unit

    @contextmanager
    def running(self, trainer: Trainer[Any]) -> Iterator[None]:
        """Show the bar on the main process."""
        self.start, self.first = perf_counter(), trainer.steps
        with progress_bar(
            trainer.recipe.n_steps,
            self.description,
            "step",
            shown=trainer.group.is_main,
            at_once=True,
            done=trainer.steps,
        ) as self.bar:
            yield
            self.bar.refresh()

    def after_reading(self, trainer: Trainer[Any]) -> bool:
        """Update the bar."""
        seconds = perf_counter() - self.start
        rate = (trainer.steps - self.first) * trainer.recipe.batch_size / seconds
        self.bar.set_postfix_str(
            f"loss={trainer.history['loss'][-1]:.4f}, {rate:,.0f} {self.unit}/s, "
            f"coupling {trainer.waited / seconds:.0%}",
            refresh=False,
        )
        self.bar.update(trainer.steps - self.bar.n)
        return False


class Timer(Callback):
    """Measure time and memory of a training, from the creation of the timer on.

    Parameters
    ----------
    device
        Device of the net.

    Attributes
    ----------
    cost
        After the training: `setup_seconds` before the first step (plans, potentials, learned
        paths); `seconds` of the steps; `pairing_seconds` of these in which steps waited for pairs;
        `peak_memory_mb`, the maximum that the process has used since its start, or on its GPU.
    """

    def __init__(self, device: torch.device) -> None:
        self.device, self.created = device, perf_counter()
        self.cost: dict[str, float | None] = {}

    @contextmanager
    def running(self, trainer: Trainer[Any]) -> Iterator[None]:
        """Measure the steps."""
        start = perf_counter()
        yield
        self.cost = {
            "setup_seconds": start - self.created,
            "seconds": perf_counter() - start,
            "pairing_seconds": trainer.waited,
            "peak_memory_mb": peak_memory(self.device),
        }


def peak_memory(device: torch.device) -> float | None:
    """Return the peak memory in megabytes; None if the system does not report it."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    try:
        import resource
    except ImportError:
        # Not on Windows.
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
