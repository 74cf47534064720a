"""Optimal acceleration transport: regression on the displacement and on both end velocities."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from cellflow._batch import Pairs
from cellflow._errors import InputError
from cellflow._typing import Scalar
from cellflow.nets import Fields
from cellflow.objectives.objective import condition_at, on_path, uniform_times
from cellflow.paths import Path


@dataclass(frozen=True)
class AccelerationRegression:
    """E of the generalised acceleration cost between (x_t, v_t) and each end of its pair.

    With v = v(t, x_t), the displacement per time u of the pair and its end velocities p = v0, v1,
    which are given and held fixed, a pair's loss is the sum over both ends of
    alpha |u - (p + v) / 2|^2 + (1 - alpha) |v - p|^2, a mean over rows and dimensions (Yue et al.
    2025, arXiv 2509.24936, equations 6 and 7). Both legs take the displacement of the whole pair:
    with that of the leg alone even a flow along straight lines is no minimum.

    The gradient is that of (2 - 3 alpha / 2) |v - v*|^2 with the target
    v* = (2 alpha u + (4 - 5 alpha) (v0 + v1) / 2) / (4 - 3 alpha). For alpha = 4/5 that is u, plain
    flow matching; below, v* leans to the mean of the end velocities, above away from it.

    Attributes
    ----------
    path
        Gives x_t and u; straight.
    alpha
        Weight of the displacement; 2/3, 4/5 and 12/13 are of note, 12/13 is the acceleration.
    """

    path: Path
    alpha: float = 0.8

    def loss(self, net: Fields, pairs: Pairs, generator: torch.Generator) -> Scalar:
        """Mean cost on one batch.

        Raises
        ------
        InputError
            If the pairs do not carry their end velocities.
        """
        if pairs.v0 is None or pairs.v1 is None:
            raise InputError("objective 'oat' needs pairs of coupling 'acceleration'")
        t = uniform_times(pairs, generator)
        sample = on_path(self.path, pairs, t, generator)
        velocity = net.velocity(t, sample.x, condition_at(pairs, t))
        cost = torch.zeros_like(velocity)
        for end in (pairs.v0, pairs.v1):
            detour, turn = sample.u - (end + velocity) / 2, velocity - end
            cost = cost + self.alpha * detour.square() + (1 - self.alpha) * turn.square()
        return cost.mean()
