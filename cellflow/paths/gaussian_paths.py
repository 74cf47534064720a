"""Conditional paths that are Gaussian around a curve between the ends of a pair."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from cellflow._batch import Pairs
from cellflow._errors import InputError
from cellflow._random import normal_like
from cellflow._typing import Rows
from cellflow.paths.path import PathSample, add_noise, exponential_growth, unit_time

#: Term that keeps the drift of the bridge finite at both ends.
_GUARD = 1e-8


@dataclass(frozen=True)
class StraightPath:
    """Straight path with constant noise, of I-CFM and OT-CFM.

    x_t ~ N((1 - s) x0 + s x1, sigma^2) with s = (t - t0) / (t1 - t0), and u_t = (x1 - x0) /
    (t1 - t0) (Tong et al. 2024, arXiv 2302.00482, equations 14 and 15, for unit intervals).

    Attributes
    ----------
    sigma
        Standard deviation of the noise, in units of the points.
    """

    sigma: float = 0.1

    def sample(self, pairs: Pairs, t: Rows, generator: torch.Generator) -> PathSample:
        """Draw x_t for each pair; sigma = 0 draws no noise."""
        s, length = unit_time(pairs, t)
        displacement = pairs.x1 - pairs.x0
        x = add_noise(pairs.x0 + s * displacement, self.sigma, generator)
        return PathSample(x, displacement / length, **exponential_growth(pairs, t))


@dataclass(frozen=True)
class VariancePreservingPath:
    """Trigonometric path, which preserves the variance of independent standardised ends.

    x_t ~ N(cos(pi s / 2) x0 + sin(pi s / 2) x1, sigma^2) with s = (t - t0) / (t1 - t0), and
    u_t = (pi / 2) (cos(pi s / 2) x1 - sin(pi s / 2) x0) / (t1 - t0) (Albergo and Vanden-Eijnden
    2023, arXiv 2209.15571), in coordinates relative to `centre`.

    Attributes
    ----------
    sigma
        Standard deviation of the noise, in units of the points.
    centre
        Origin of the coordinates, shape (d,); None uses 0.
    """

    sigma: float = 0.1
    centre: torch.Tensor | None = None

    def sample(self, pairs: Pairs, t: Rows, generator: torch.Generator) -> PathSample:
        """Draw x_t for each pair; sigma = 0 draws no noise."""
        s, length = unit_time(pairs, t)
        centre = torch.zeros_like(pairs.x0[0]) if self.centre is None else self.centre
        x0, x1 = pairs.x0 - centre, pairs.x1 - centre
        cos, sin = torch.cos(math.pi / 2 * s), torch.sin(math.pi / 2 * s)
        x = add_noise(centre + cos * x0 + sin * x1, self.sigma, generator)
        u = math.pi / 2 * (cos * x1 - sin * x0) / length
        return PathSample(x, u, **exponential_growth(pairs, t))


@dataclass(frozen=True)
class TargetPath:
    """Path from noise to data of the first flow matching paper (Lipman et al. 2023).

    x_t = (1 - (1 - sigma) s) x0 + s x1 with standard normal x0 and s = (t - t0) / (t1 - t0). Given
    x1 this is N(s x1, (1 - (1 - sigma) s)^2), and its velocity, in units of s,
    (x1 - (1 - sigma) x_t) / (1 - (1 - sigma) s) = x1 - (1 - sigma) x0 (arXiv 2210.02747, equations
    20 to 22).

    Attributes
    ----------
    sigma
        Standard deviation around x1 at s = 1, in units of the noise.
    centre
        Mean of the noise and origin of the coordinates, shape (d,); None uses 0.
    """

    sigma: float = 0.1
    centre: torch.Tensor | None = None

    def sample(
        self,
        pairs: Pairs,
        t: Rows,
        generator: torch.Generator,  # noqa: ARG002
    ) -> PathSample:
        """Compute x_t for each pair; the noise is x0, so nothing is drawn."""
        s, length = unit_time(pairs, t)
        shrinkage = 1 - self.sigma
        centre = torch.zeros_like(pairs.x0[0]) if self.centre is None else self.centre
        x0, x1 = pairs.x0 - centre, pairs.x1 - centre
        x = centre + (1 - shrinkage * s) * x0 + s * x1
        return PathSample(x, (x1 - shrinkage * x0) / length)


@dataclass(frozen=True)
class BridgePath:
    """Brownian bridge with diffusion g = sigma, of SB-CFM and [SF]2M.

    x_t ~ N((1 - s) x0 + s x1, sigma^2 (t1 - t0) s (1 - s)) with s = (t - t0) / (t1 - t0). Over unit
    intervals this is the path of SB-CFM (Tong et al. 2024, arXiv 2302.00482, equations 19 to 21)
    and [SF]2M (arXiv 2307.03672). The variance grows with the length of the interval, as that of
    one Brownian motion over all intervals.

    Attributes
    ----------
    sigma
        Diffusion g, in units of the points per square root of flow time; positive.
    """

    sigma: float = 1.0

    def sample(self, pairs: Pairs, t: Rows, generator: torch.Generator) -> PathSample:
        """Draw x_t for each pair, with the noise and ratio that a score is learned from."""
        s, length = unit_time(pairs, t)
        displacement = pairs.x1 - pairs.x0
        noise = normal_like(pairs.x0, generator)
        spread = s * (1 - s)
        deviation = self.sigma * (length * spread).sqrt()
        x = pairs.x0 + s * displacement + deviation * noise
        pull = (1 - 2 * s) / (2 * spread + _GUARD) * deviation * noise
        ratio = 2 * deviation[:, 0] / self.sigma**2
        u = (displacement + pull) / length
        return PathSample(x, u, noise, ratio, **exponential_growth(pairs, t))


@dataclass(frozen=True)
class HermitePath:
    """Cubic Hermite path: the least acceleration between ends with given velocities.

    x_t ~ N(H(t), sigma^2), u_t = H'(t), with H = (1 + 2s)(1 - s)^2 x0 + s (1 - s)^2 T v0
    + s^2 (3 - 2s) x1 - s^2 (1 - s) T v1, T = t1 - t0 and s = (t - t0) / T. H minimises the integral
    of |x''|^2, with the cost of equation 5 of Yue et al. 2025 (arXiv 2509.24936). H passes through
    x0 and x1, so a flow learned on it has both marginals for any coupling and end velocities.

    Attributes
    ----------
    sigma
        Standard deviation of the noise, in units of the points.
    """

    sigma: float = 0.0

    def sample(self, pairs: Pairs, t: Rows, generator: torch.Generator) -> PathSample:
        """Draw x_t for each pair; sigma = 0 draws no noise.

        Raises
        ------
        InputError
            If the pairs have no end velocities `v0` and `v1`.
        """
        if pairs.v0 is None or pairs.v1 is None:
            raise InputError("a Hermite path needs pairs of coupling 'acceleration'")
        s, length = unit_time(pairs, t)
        displacement, r = pairs.x1 - pairs.x0, 1 - s
        first, last = length * pairs.v0, length * pairs.v1
        x = pairs.x0 + s**2 * (3 - 2 * s) * displacement + s * r * (r * first - s * last)
        u = 6 * s * r * displacement + r * (1 - 3 * s) * first + s * (3 * s - 2) * last
        return PathSample(add_noise(x, self.sigma, generator), u / length)
