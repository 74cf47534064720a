"""Regression of a velocity: flow matching, and optimal acceleration transport."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from cellflow._batch import Pairs
from cellflow._errors import InputError
from cellflow._typing import Scalar
from cellflow.nets import Fields
from cellflow.objectives.objective import condition_at, on_path, uniform_times, weighted_mean
from cellflow.paths import Path, PathSample


@dataclass(frozen=True)
class VelocityRegression:
    """Conditional flow matching: E |v(t, x_t) - u_t|^2 with t uniform over each pair's interval.

    The norm is a mean over rows and dimensions (Tong et al. 2024, arXiv 2302.00482, equation 10).
    Where the path carries a score, w E |lambda(t) s(t, x_t) + noise|^2 joins for nets that have
    one ([SF]2M, arXiv 2307.03672); lambda = 2 sigma_t / g^2 makes the score that is learned
    (g^2 / 2) grad log p. Where mass changes on the path, rows count by their mass, and
    E (g(t, x_t) - d log m / dt)^2 joins for nets that have a growth rate (WFR-FM, arXiv
    2601.06810).

    Attributes
    ----------
    path
        Gives x_t and u_t, and the score and the growth.
    score_weight, growth_weight
        Weights of the other two errors.
    """

    path: Path
    score_weight: float = 1.0
    growth_weight: float = 1.0

    def loss(self, net: Fields, pairs: Pairs, generator: torch.Generator) -> Scalar:
        """Mean squared error on one batch."""
        t = uniform_times(pairs, generator)
        condition = condition_at(pairs, t)
        sample = on_path(self.path, pairs, t, generator)
        error = (net.velocity(t, sample.x, condition) - sample.u).square().mean(dim=1)
        if "score" in net.roles:
            noise, ratio = _known(sample)
            scaled = ratio[:, None] * net.score(t, sample.x, condition)
            error = error + self.score_weight * (scaled + noise).square().mean(dim=1)
        if "growth" in net.roles and sample.growth is not None:
            rate = net.growth(t, sample.x, condition)
            error = error + self.growth_weight * (rate - sample.growth).square()
        return weighted_mean(error, sample.weight)


def _known(sample: PathSample) -> tuple[torch.Tensor, torch.Tensor]:
    if sample.noise is None or sample.ratio is None:
        raise TypeError("a score can only be learned on a path that gives its noise")
    return sample.noise, sample.ratio


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
