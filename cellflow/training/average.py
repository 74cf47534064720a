"""The exponential moving average of a net's weights."""

from __future__ import annotations

from copy import deepcopy
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

Net = TypeVar("Net", bound=nn.Module)


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

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Follow the weights after step number `step`, from 1."""
        if step % self.every:
            return
        kept = min(self.decay, (step - 1) / (step + 8)) if self.ramp else self.decay
        torch._foreach_lerp_(self._averages, self._weights, 1 - kept)
        for mine, theirs in self._buffers:
            mine.copy_(theirs)
