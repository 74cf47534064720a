"""Regression of a velocity: flow matching, and optimal acceleration transport."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from cellflow._batch import Pairs
from cellflow._errors import InputError
from cellflow._typing import Scalar
from cellflow.nets import Fields
from cellflow.objectives.objective import condition_at, sample_path, uniform_times, weighted_mean
from cellflow.paths import Path, PathSample


@dataclass(frozen=True)
class VelocityRegression:
    """Conditional flow matching, with score and growth rate if the network has them.

    The loss is E |v(t, x_t) - u_t|^2 with t uniform over the interval of each pair, a mean over
    rows and dimensions (Tong et al. 2024, arXiv 2302.00482, equation 10). A score s adds
    `score_weight` E |lambda(t) s(t, x_t) + noise|^2 with lambda = 2 sigma_t / g^2, so that s learns
    (g^2 / 2) grad log p ([SF]2M, arXiv 2307.03672). A growth rate g adds `growth_weight`
    E (g(t, x_t) - d log m / dt)^2. If the mass changes on the path, rows are weighted by it
    (WFR-FM, arXiv 2601.06810).

    Attributes
    ----------
    path
        Conditional path; with noise for a score.
    score_weight, growth_weight
        Weights of the errors of score and growth rate.
    """

    path: Path
    score_weight: float = 1.0
    growth_weight: float = 1.0

    def loss(self, net: Fields, pairs: Pairs, generator: torch.Generator) -> Scalar:
        """Return the loss of one batch."""
        t = uniform_times(pairs, generator)
        condition = condition_at(pairs, t)
        sample = sample_path(self.path, pairs, t, generator)
        error = (net.velocity(t, sample.x, condition) - sample.u).square().mean(dim=1)
        if "score" in net.roles:
            noise, ratio = _get_noise(sample)
            scaled = ratio[:, None] * net.score(t, sample.x, condition)
            error = error + self.score_weight * (scaled + noise).square().mean(dim=1)
        if "growth" in net.roles and sample.growth is not None:
            rate = net.growth(t, sample.x, condition)
            error = error + self.growth_weight * (rate - sample.growth).square()
        return weighted_mean(error, sample.weight)


def _get_noise(sample: PathSample) -> tuple[torch.Tensor, torch.Tensor]:
    if sample.noise is None or sample.ratio is None:
        raise TypeError("a score requires a path with noise, such as BridgePath")
    return sample.noise, sample.ratio


@dataclass(frozen=True)
class AccelerationRegression:
    """Optimal acceleration transport: cost between (x_t, v(t, x_t)) and each end of the pair.

    With v = v(t, x_t), the displacement per time u and the end velocities v0 and v1, the loss is
    the sum over p = v0, v1 of alpha |u - (p + v) / 2|^2 + (1 - alpha) |v - p|^2, a mean over rows
    and dimensions (Yue et al. 2025, arXiv 2509.24936, equations 6 and 7). Both terms use the
    displacement of the whole pair; with that from x_t to the end, a flow along straight lines would
    not be a minimum.

    The gradient is that of (2 - 3 alpha / 2) |v - v*|^2 with the target
    v* = (2 alpha u + (4 - 5 alpha) (v0 + v1) / 2) / (4 - 3 alpha). For alpha = 4/5 it is u, as in
    flow matching; below, v* moves towards the mean of the end velocities, above away from it.

    Attributes
    ----------
    path
        Conditional path; straight.
    alpha
        Weight of the displacement; 12/13 gives the cost of the acceleration.
    """

    path: Path
    alpha: float = 0.8

    def loss(self, net: Fields, pairs: Pairs, generator: torch.Generator) -> Scalar:
        """Return the loss of one batch.

        Raises
        ------
        InputError
            If the pairs have no end velocities `v0` and `v1`.
        """
        if pairs.v0 is None or pairs.v1 is None:
            raise InputError("objective 'oat' needs pairs of coupling 'acceleration'")
        t = uniform_times(pairs, generator)
        sample = sample_path(self.path, pairs, t, generator)
        velocity = net.velocity(t, sample.x, condition_at(pairs, t))
        cost = torch.zeros_like(velocity)
        for end in (pairs.v0, pairs.v1):
            position, change = sample.u - (end + velocity) / 2, velocity - end
            cost = cost + self.alpha * position.square() + (1 - self.alpha) * change.square()
        return cost.mean()
