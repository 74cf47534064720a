"""The trigonometric path, which keeps the variance of independent standardised endpoints."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from cellflow._batch import Pairs
from cellflow._typing import Rows
from cellflow.paths.sample import PathSample, blurred, progress, steady_growth


@dataclass(frozen=True)
class VariancePreservingPath:
    """x_t ~ N(cos(pi s / 2) x0 + sin(pi s / 2) x1, sigma^2).

    The variance preserving stochastic interpolant (Albergo and Vanden-Eijnden 2023, arXiv
    2209.15571); its velocity is (pi / 2) (cos(pi s / 2) x1 - sin(pi s / 2) x0) / (t1 - t0).
    Coordinates are taken from `centre`, since the path passes over the origin of those it gets.

    Attributes
    ----------
    sigma
        Standard deviation of the noise, in units of the representation.
    centre
        Origin, shape (d,); None takes zero.
    """

    sigma: float = 0.1
    centre: torch.Tensor | None = None

    def sample(self, pairs: Pairs, t: Rows, generator: torch.Generator) -> PathSample:
        """Draw x_t for each pair; with sigma = 0 no noise is drawn."""
        s, length = progress(pairs, t)
        centre = torch.zeros_like(pairs.x0[0]) if self.centre is None else self.centre
        x0, x1 = pairs.x0 - centre, pairs.x1 - centre
        cos, sin = torch.cos(math.pi / 2 * s), torch.sin(math.pi / 2 * s)
        x = blurred(centre + cos * x0 + sin * x1, self.sigma, generator)
        u = math.pi / 2 * (cos * x1 - sin * x0) / length
        return PathSample(x, u, **steady_growth(pairs, t))
