"""The path of metric flow matching: lines that a trained net bends towards the cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from cellflow._batch import Pairs
from cellflow._typing import Points, Rows
from cellflow.paths.path import PathSample, blurred, progress, steady_growth


@runtime_checkable
class Geopath(Protocol):
    """A function that bends paths, each row on its own."""

    def __call__(self, t: Rows, x0: Points, x1: Points) -> Points:
        """Bend of the path from `x0` to `x1` at flow times `t`, shape (n, d)."""
        ...


@dataclass(frozen=True)
class MetricPath:
    """x_t ~ N((1 - s) x0 + s x1 + gamma phi, sigma^2) with gamma = 2 s (1 - s).

    Here s = (t - t0) / (t1 - t0). The velocity (x1 - x0) / (t1 - t0) + gamma' phi + gamma dphi/dt
    is that of the mean. A net phi trained to the least energy in a metric makes the paths its
    geodesics; phi = 0 gives straight lines (metric flow matching, Kapuśniak et al. 2024, arXiv
    2405.14780).

    Attributes
    ----------
    geopath
        phi, called with (t, x0, x1), in units of the points. Gradients reach its weights unless
        they are frozen (`requires_grad_(False)`).
    sigma
        Standard deviation of the noise, in units of the representation.
    """

    geopath: Geopath
    sigma: float = 0.1

    def sample(self, pairs: Pairs, t: Rows, generator: torch.Generator) -> PathSample:
        """Draw x_t for each pair; with sigma = 0 no noise is drawn."""

        def bend(t: Tensor) -> Tensor:
            return self.geopath(t, pairs.x0, pairs.x1)

        s, length = progress(pairs, t)
        way = pairs.x1 - pairs.x0
        # Rows do not see each other, so a tangent of ones gives each its own derivative.
        phi, slope = torch.func.jvp(  # type: ignore[misc]  # three values only with `has_aux`
            bend, (t,), (torch.ones_like(t),)
        )
        gamma = 2 * s * (1 - s)
        x = blurred(pairs.x0 + s * way + gamma * phi, self.sigma, generator)
        u = (way + 2 * (1 - 2 * s) * phi) / length + gamma * slope
        return PathSample(x, u, **steady_growth(pairs, t))
