"""Conditional paths that are Gaussian around a curve between the ends of a pair."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from cellflow._batch import Pairs
from cellflow._errors import InputError
from cellflow._random import normal_like
from cellflow._typing import Rows
from cellflow.paths.path import PathSample, blurred, progress, steady_growth

#: Keeps the drift of the bridge finite at its ends.
_GUARD = 1e-8


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


@dataclass(frozen=True)
class TargetPath:
    """x_t = (1 - (1 - sigma) s) x0 + s x1, x0 noise (Lipman et al. 2023).

    Given x1 alone that is N(s x1, (1 - (1 - sigma) s)^2), and its velocity
    (x1 - (1 - sigma) x) / (1 - (1 - sigma) s) is x1 - (1 - sigma) x0, which stays finite at the
    end (arXiv 2210.02747, equations 20 to 22).

    Attributes
    ----------
    sigma
        Standard deviation around x1 at the end, in units of the noise.
    centre
        Mean of the noise, shape (d,), which coordinates are taken from; None takes zero.
    """

    sigma: float = 0.1
    centre: torch.Tensor | None = None

    def sample(
        self,
        pairs: Pairs,
        t: Rows,
        generator: torch.Generator,  # noqa: ARG002
    ) -> PathSample:
        """Draw x_t for each pair; the noise is in x0, so none is drawn here."""
        s, length = progress(pairs, t)
        kept = 1 - self.sigma
        centre = torch.zeros_like(pairs.x0[0]) if self.centre is None else self.centre
        x0, x1 = pairs.x0 - centre, pairs.x1 - centre
        x = centre + (1 - kept * s) * x0 + s * x1
        return PathSample(x, (x1 - kept * x0) / length)


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
