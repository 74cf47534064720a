"""What a training shows on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from tqdm.auto import tqdm

from cellflow.methods.recipes import Recipe


@dataclass(frozen=True)
class Look:
    """Something to do with the net as it is, on the way.

    Attributes
    ----------
    every
        Steps between two looks; the last step is one as well.
    do
        Called with the number of steps done and the net to use, in evaluation mode.
    """

    every: int
    do: Callable[[int, Any], None]

    def due(self, step: int) -> bool:
        """Whether it is time after this step."""
        return step % self.every == 0


class Bar:
    """What is shown: the loss, pairs a second, and the share of time spent waiting for pairs."""

    def __init__(self, recipe: Recipe, done: int, unit: str, *, shown: bool, what: str) -> None:
        self.batch_size, self.unit = recipe.batch_size, unit
        self.start, self.first = perf_counter(), done
        self.bar = tqdm(
            total=recipe.n_steps, initial=done, disable=not shown, desc=what, unit="step"
        )

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_error: object) -> None:
        self.bar.close()

    def update(self, steps: int, loss: float, waited: float) -> None:
        """Show a reading after `steps` steps, `waited` seconds of which went by for pairs."""
        if self.bar.disable:
            return
        seconds = perf_counter() - self.start
        rate = (steps - self.first) * self.batch_size / seconds
        self.bar.set_postfix_str(
            f"loss={loss:.4f}, {rate:,.0f} {self.unit}/s, coupling {waited / seconds:.0%}",
            refresh=False,
        )
        self.bar.update(steps - self.bar.n)
