"""Denoising at levels of noise drawn from a log-normal law: the training of EDM."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from cellflow._batch import Pairs
from cellflow._random import normal_like
from cellflow._typing import Rows, Scalar
from cellflow.nets import Fields, Preconditioning
from cellflow.objectives.objective import condition_at, on_path
from cellflow.paths import Path


@dataclass(frozen=True)
class EDM:
    """E lambda(sigma) |D(y + sigma n; sigma) - y|^2 with ln sigma ~ N(p_mean, p_std^2).

    The loss of Karras et al. (2022, arXiv 2206.00364, equation 2 and table 1) for any velocity net
    on straight paths from standard normal noise n to data y, where sigma = (1 - s) / s at a share s
    of the interval and D = x + (1 - s) T v. Levels are drawn for each pair, after pairs are coupled
    (Kim et al. 2024, arXiv 2403.05069). The norm is a mean over dimensions, where EDM sums; to
    Adam a constant factor is none, up to its eps.

    Attributes
    ----------
    path
        Gives x_t and u_t; straight, without noise of its own.
    p_mean, p_std
        Mean and standard deviation of ln sigma.
    sigma_data
        Standard deviation of the data, of which lambda is made.
    """

    path: Path
    p_mean: float = -1.2
    p_std: float = 1.2
    sigma_data: float = 0.5

    def loss(self, net: Fields, pairs: Pairs, generator: torch.Generator) -> Scalar:
        """Weighted squared error of the denoised data on one batch."""
        sigma = self.levels(pairs.t0, generator)
        length = pairs.t1 - pairs.t0
        t = pairs.t0 + length / (1 + sigma)
        sample = on_path(self.path, pairs, t, generator)
        velocity = net.velocity(t, sample.x, condition_at(pairs, t))
        # D - y is the rest of the way times the error of the velocity, without their cancellation.
        error = (velocity - sample.u).square().mean(dim=1) * (pairs.t1 - t).square()
        return (Preconditioning.of(sigma, self.sigma_data).weight * error).mean()

    def levels(self, like: Rows, generator: torch.Generator) -> Rows:
        """Levels of noise, one for each entry of `like`."""
        return (self.p_mean + self.p_std * normal_like(like, generator)).exp()
