"""The Brownian bridge, of SB-CFM and [SF]2M."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from cellflow._batch import Pairs
from cellflow._random import normal_like
from cellflow._typing import Rows
from cellflow.paths.sample import PathSample, progress, steady_growth

#: Keeps the drift of the bridge finite at its ends.
_GUARD = 1e-8


@dataclass(frozen=True)
class BridgePath:
    """Brownian motion with diffusion g = sigma, held at both endpoints.

    With s = (t - t0) / (t1 - t0) it is N((1 - s) x0 + s x1, sigma^2 (t1 - t0) s (1 - s)); over unit
    intervals that is the path of SB-CFM (Tong et al. 2024, arXiv 2302.00482, equations 19 to 21)
    and of [SF]2M (arXiv 2307.03672). Its variance belongs to the length of the interval, so a
    bridge over two units is one Brownian motion and not two stretched ones.

    Attributes
    ----------
    sigma
        Diffusion, in units of the representation per square root of flow time; positive.
    """

    sigma: float = 1.0

    def sample(self, pairs: Pairs, t: Rows, generator: torch.Generator) -> PathSample:
        """Draw x_t for each pair, with its noise, so that a score can be learned."""
        s, length = progress(pairs, t)
        way = pairs.x1 - pairs.x0
        noise = normal_like(pairs.x0, generator)
        spread = s * (1 - s)
        deviation = self.sigma * (length * spread).sqrt()
        x = pairs.x0 + s * way + deviation * noise
        pull = (1 - 2 * s) / (2 * spread + _GUARD) * deviation * noise
        ratio = 2 * deviation[:, 0] / self.sigma**2
        return PathSample(x, (way + pull) / length, noise, ratio, **steady_growth(pairs, t))
