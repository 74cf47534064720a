"""The training loss of EDM: denoising at log-normal noise levels."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from cellflow._batch import Pairs
from cellflow._random import normal_like
from cellflow._typing import Rows, Scalar
from cellflow.nets import Fields, Preconditioning
from cellflow.objectives.objective import condition_at, sample_path
from cellflow.paths import Path


@dataclass(frozen=True)
class EDM:
    """Denoising loss E lambda(sigma) |D(y + sigma n; sigma) - y|^2, ln sigma ~ N(p_mean, p_std^2).

    The loss of Karras et al. (2022, arXiv 2206.00364, equation 2 and table 1) for a velocity v on
    straight paths from standard normal noise n to data y: s = (t - t0) / T, sigma = (1 - s) / s,
    and D = x_t + (1 - s) T v. Noise levels are drawn per pair, after the coupling (Kim et al. 2024,
    arXiv 2403.05069). The norm is a mean over dimensions, not a sum; Adam is invariant to a
    constant factor, up to eps.

    Attributes
    ----------
    path
        Conditional path; straight, with sigma = 0.
    p_mean, p_std
        Mean and standard deviation of ln sigma.
    sigma_data
        Standard deviation of the data, for lambda.
    """

    path: Path
    p_mean: float = -1.2
    p_std: float = 1.2
    sigma_data: float = 0.5

    def loss(self, net: Fields, pairs: Pairs, generator: torch.Generator) -> Scalar:
        """Return the loss of one batch."""
        sigma = self.levels(pairs.t0, generator)
        length = pairs.t1 - pairs.t0
        t = pairs.t0 + length / (1 + sigma)
        sample = sample_path(self.path, pairs, t, generator)
        velocity = net.velocity(t, sample.x, condition_at(pairs, t))
        # D - y = (t1 - t) (v - u_t), without the cancellation of D - y.
        error = (velocity - sample.u).square().mean(dim=1) * (pairs.t1 - t).square()
        return (Preconditioning.of(sigma, self.sigma_data).weight * error).mean()

    def levels(self, like: Rows, generator: torch.Generator) -> Rows:
        """Draw noise levels of the shape of `like`."""
        return (self.p_mean + self.p_std * normal_like(like, generator)).exp()
