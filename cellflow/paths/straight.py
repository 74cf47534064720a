"""The straight path with constant noise, of I-CFM and OT-CFM."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from cellflow._typing import Rows
from cellflow.paths.sample import Endpoints, PathSample


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

    def sample(self, pairs: Endpoints, t: Rows, generator: torch.Generator) -> PathSample:
        """Draw x_t for each pair; with sigma = 0 no noise is drawn."""
        u = (pairs.x1 - pairs.x0) / (pairs.t1 - pairs.t0)[:, None]
        x = pairs.x0 + (t - pairs.t0)[:, None] * u
        if self.sigma:
            noise = torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
            x = x + self.sigma * noise
        return PathSample(x, u)
