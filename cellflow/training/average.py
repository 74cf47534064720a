"""The exponential moving average of a net's weights."""

from __future__ import annotations

from copy import deepcopy
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from cellflow.methods.recipes import Recipe

Net = TypeVar("Net", bound=nn.Module)

#: Largest half-life of an average that is ramped, as a share of what was seen (EDM's code).
_RAMP = 0.05


class Average(Generic[Net]):
    """A second net whose weights follow those of the first.

    Parameters
    ----------
    net
        The net that is trained.
    decay
        Share of the average that a step keeps.
    ramp
        Let step n keep at most (n - 1) / (n + 8), so that the average forgets its start quickly
        and a short training is not averaged with its initial weights.
    every
        Steps between two updates; with decay 0 it is a copy of the weights at these steps.
    """

    def __init__(self, net: Net, decay: float, *, ramp: bool, every: int = 1) -> None:
        self.decay, self.ramp, self.every = decay, ramp, every
        self.net: Net = deepcopy(net).eval()
        self._averages: list[Tensor] = list(self.net.parameters())
        self._weights: list[Tensor] = list(net.parameters())
        self._buffers = list(zip(self.net.buffers(), net.buffers(), strict=True))

    def kept(self, step: int) -> float:
        """Share of the average that step number `step`, from 1, keeps."""
        return min(self.decay, (step - 1) / (step + 8)) if self.ramp else self.decay

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Follow the weights after step number `step`, from 1."""
        if step % self.every:
            return
        torch._foreach_lerp_(self._averages, self._weights, 1 - self.kept(step))
        for mine, theirs in self._buffers:
            mine.copy_(theirs)


class HalfLifeAverage(Average[Net]):
    """An average that forgets by points seen and not by steps (Karras et al. 2022, EDM).

    Parameters
    ----------
    net
        The net that is trained.
    halflife
        Points after which a weight counts half.
    batch_size
        Points a step.
    ramp
        Hold the half-life at a twentieth of the points seen before the step.
    """

    def __init__(self, net: Net, halflife: float, batch_size: int, *, ramp: bool) -> None:
        super().__init__(net, 0.5 ** (batch_size / halflife), ramp=ramp)
        self.halflife, self.batch_size = halflife, batch_size

    def kept(self, step: int) -> float:
        """What a step keeps that comes after those before it."""
        return self.kept_after((step - 1) * self.batch_size)

    def kept_after(self, seen: float) -> float:
        """0.5^(batch / half-life), where that many points were seen; of a ramped one 0 at first."""
        halflife = min(self.halflife, _RAMP * seen) if self.ramp else self.halflife
        return 0.5 ** (self.batch_size / halflife) if halflife else 0.0


def average_of(net: Net, recipe: Recipe) -> Average[Net] | None:
    """The average that a recipe asks for, if any."""
    if recipe.ema_halflife is not None:
        return HalfLifeAverage(net, recipe.ema_halflife, recipe.batch_size, ramp=recipe.ema_ramp)
    return Average(net, recipe.ema_decay, ramp=recipe.ema_ramp) if recipe.ema_decay else None
