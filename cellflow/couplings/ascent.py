"""Stochastic ascent of the semidual, with averaged iterates."""

from __future__ import annotations

from dataclasses import replace

import torch

from cellflow.couplings.atoms import Features
from cellflow.couplings.potentials import Potentials

#: Default factor of the steps, and the power of the points an atom at which they decay.
RATE, _DECAY = 3.0, 0.6
#: Points an atom after which the entropy of the first steps has halved, and the share of a lead
#: below which it is none.
_HALVING, _NO_ENTROPY = 2.0, 0.1

#: Points that the lead is estimated from.
_ROWS = 1024


class Ascent:
    """The iterate, and the average of the last half to three quarters of them."""

    def __init__(self, start: Potentials, spread: float, batch_size: int, rate: float) -> None:
        self.iterate = start
        self.epsilon, self.spread = start.epsilon, spread
        self.rate = rate
        self.hits = batch_size / int((start.masses > 0).sum())
        self.lead = 0.0
        self.n_steps = 0
        self.window = 1
        self.older = self.newer = torch.zeros_like(start.g)

    def step(self, x: Features) -> None:
        """Move the potentials by one batch."""
        epsilon = self._entropy()
        iterate = replace(self.iterate, epsilon=epsilon)
        self.n_steps += 1
        if self.n_steps in {1, 2 * self.window}:
            self.lead = _lead(iterate, x[:_ROWS])
            self.older, self.newer = self.newer, torch.zeros_like(self.newer)
            self.window = self.n_steps
        eta = min(1.0, self.rate * self.hits * (1 + self.n_steps * self.hits) ** -_DECAY)
        b = iterate.masses
        excess = torch.where(b > 0, iterate.marginal(x) / b - 1, 0.0)
        self.iterate = replace(iterate, g=iterate.g - eta * (self.lead + epsilon) * excess)
        self.newer = self.newer + self.iterate.g

    def average(self) -> Potentials:
        """The potentials in the mean of this window of steps and the one before it."""
        g = (self.older + self.newer) / (self.n_steps - (self.window + 1) // 2 + 1)
        heavy = g.isfinite()
        level = self.iterate.masses[heavy] @ g[heavy]
        return replace(self.iterate, g=g - level, epsilon=self.epsilon)

    def _entropy(self) -> float:
        epsilon = self.spread * 0.5 ** (self.n_steps * min(self.hits, 1.0) / _HALVING)
        return epsilon if epsilon > max(self.epsilon, _NO_ENTROPY * self.lead) else self.epsilon


def _lead(potentials: Potentials, x: Features) -> float:
    """Mean lead of the highest score over the second, in the units of <x, y>."""
    leads = []
    for rows in potentials.tiles(x):
        top = rows.new_empty((len(rows), 0))
        for part in potentials.chunks():
            merged = torch.cat([top, potentials.scores(rows, part)], dim=1)
            top = merged.topk(min(2, merged.shape[1]), dim=1).values
        leads.append(top[:, 0] - top[:, -1])
    return float(torch.cat(leads).mean()) * (potentials.epsilon or 1.0)
