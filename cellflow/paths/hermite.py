"""The cubic Hermite path, which bends least among those with given ends and end velocities."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from cellflow._batch import Pairs
from cellflow._errors import InputError
from cellflow._typing import Rows
from cellflow.paths.sample import PathSample, blurred, progress


@dataclass(frozen=True)
class HermitePath:
    """x_t ~ N(H(t), sigma^2), u_t = H'(t), with H the cubic through both ends at their velocities.

    With s = (t - t0) / T, H = (1 + 2s)(1 - s)^2 x0 + s (1 - s)^2 T v0 + s^2 (3 - 2s) x1
    - s^2 (1 - s) T v1, the minimiser of the integral of |x''|^2, whose cost is equation 5 of Yue et
    al. 2025 (arXiv 2509.24936). Its ends are those of the pair, so what is learned on it keeps both
    marginals, whatever the coupling and the velocities.

    Attributes
    ----------
    sigma
        Standard deviation of the noise, in units of the representation.
    """

    sigma: float = 0.0

    def sample(self, pairs: Pairs, t: Rows, generator: torch.Generator) -> PathSample:
        """Draw x_t for each pair; with sigma = 0 no noise is drawn.

        Raises
        ------
        InputError
            If the pairs do not carry their end velocities.
        """
        if pairs.v0 is None or pairs.v1 is None:
            raise InputError("a Hermite path needs pairs of coupling 'acceleration'")
        s, length = progress(pairs, t)
        way, r = pairs.x1 - pairs.x0, 1 - s
        first, last = length * pairs.v0, length * pairs.v1
        x = pairs.x0 + s**2 * (3 - 2 * s) * way + s * r * (r * first - s * last)
        u = 6 * s * r * way + r * (1 - 3 * s) * first + s * (3 * s - 2) * last
        return PathSample(blurred(x, self.sigma, generator), u / length)
