"""The straight path with constant noise, of I-CFM and OT-CFM."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from cellflow._batch import Pairs
from cellflow._typing import Rows
from cellflow.paths.sample import PathSample, blurred, progress, steady_growth


@dataclass(frozen=True)
class StraightPath:
    """x_t ~ N((1 - s) x0 + s x1, sigma^2), s = (t - t0) / (t1 - t0); u_t = (x1 - x0) / (t1 - t0).

    Source: Tong et al. 2024, arXiv 2302.00482, equations 14 and 15, for unit intervals.

    Attributes
    ----------
    sigma
        Standard deviation of the noise, in units of the representation.
    """

    sigma: float = 0.1

    def sample(self, pairs: Pairs, t: Rows, generator: torch.Generator) -> PathSample:
        """Draw x_t for each pair; with sigma = 0 no noise is drawn."""
        s, length = progress(pairs, t)
        way = pairs.x1 - pairs.x0
        x = blurred(pairs.x0 + s * way, self.sigma, generator)
        return PathSample(x, way / length, **steady_growth(pairs, t))
