"""The exponential moving average of a net's weights."""

from __future__ import annotations

from copy import deepcopy
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from cellflow.methods.recipes import Recipe

Net = TypeVar("Net", bound=nn.Module)

#: Largest half-life with a ramp, as a share of the points seen (EDM's code).
_RAMP = 0.05


class Average(Generic[Net]):
    """A copy of a net with the exponential moving average of its weights.

    Parameters
    ----------
    net
        The net that is trained.
    decay
        Weight of the previous average in an update.
    ramp
        Limit the decay at step n to (n - 1) / (n + 8), so that the average forgets its start
        quickly and a short training is not averaged with its initial weights.
    every
        Steps between two updates; with decay 0 the weights are copied at these steps.
    """

    def __init__(self, net: Net, decay: float, *, ramp: bool, every: int = 1) -> None:
        self.decay, self.ramp, self.every = decay, ramp, every
        self.net: Net = deepcopy(net).eval()
        self._averages: list[Tensor] = list(self.net.parameters())
        self._weights: list[Tensor] = list(net.parameters())
        self._buffers = list(zip(self.net.buffers(), net.buffers(), strict=True))

    def decay_at(self, step: int) -> float:
        """Return the decay at step number `step`, from 1."""
        return min(self.decay, (step - 1) / (step + 8)) if self.ramp else self.decay

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Update the average after step number `step`, from 1."""
        if step % self.every:
            return
        torch._foreach_lerp_(self._averages, self._weights, 1 - self.decay_at(step))
        for own, trained in self._buffers:
            own.copy_(trained)


class HalfLifeAverage(Average[Net]):
    """A moving average with a half-life in points, not in steps (Karras et al. 2022, EDM).

    Parameters
    ----------
    net
        The net that is trained.
    halflife
        Points after which a weight counts half.
    batch_size
        Points per step.
    ramp
        Limit the half-life to a twentieth of the points seen before the step.
    """

    def __init__(self, net: Net, halflife: float, batch_size: int, *, ramp: bool) -> None:
        super().__init__(net, 0.5 ** (batch_size / halflife), ramp=ramp)
        self.halflife, self.batch_size = halflife, batch_size

    def decay_at(self, step: int) -> float:
        """Return the decay at step number `step`, from 1."""
        return self.decay_after((step - 1) * self.batch_size)

    def decay_after(self, seen: float) -> float:
        """Return 0.5^(batch / half-life) after `seen` points; with a ramp it is 0 at first."""
        halflife = min(self.halflife, _RAMP * seen) if self.ramp else self.halflife
        return 0.5 ** (self.batch_size / halflife) if halflife else 0.0


def make_average(net: Net, recipe: Recipe) -> Average[Net] | None:
    """Return the moving average that the recipe specifies, or None."""
    if recipe.ema_halflife is not None:
        return HalfLifeAverage(net, recipe.ema_halflife, recipe.batch_size, ramp=recipe.ema_ramp)
    return Average(net, recipe.ema_decay, ramp=recipe.ema_ramp) if recipe.ema_decay else None
