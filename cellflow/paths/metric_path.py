"""The path of metric flow matching: a trained network bends straight lines towards the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from cellflow._batch import Pairs
from cellflow._typing import Points, Rows
from cellflow.paths.path import PathSample, add_noise, exponential_growth, unit_time


@runtime_checkable
class Geopath(Protocol):
    """A correction phi(t, x0, x1) to straight paths, row by row."""

    def __call__(self, t: Rows, x0: Points, x1: Points) -> Points:
        """Return phi at flow times `t`, shape (n,), for ends `x0` and `x1`, shape (n, d)."""
        ...


@dataclass(frozen=True)
class MetricPath:
    """Straight path with a learned correction that vanishes at both ends (metric flow matching).

    x_t ~ N((1 - s) x0 + s x1 + gamma phi(t, x0, x1), sigma^2) with s = (t - t0) / (t1 - t0) and
    gamma = 2 s (1 - s); u_t = (x1 - x0) / (t1 - t0) + gamma' phi + gamma dphi/dt. If phi minimises
    the energy of the paths in a metric (`MetricEnergy`), they are its geodesics (Kapuśniak et al.
    2024, arXiv 2405.14780).

    Attributes
    ----------
    geopath
        phi, in units of the points. Gradients flow to its weights unless they are frozen
        (`requires_grad_(False)`).
    sigma
        Standard deviation of the noise, in units of the points.
    straight_starts
        Flow times at which the intervals start whose paths are not corrected.
    """

    geopath: Geopath
    sigma: float = 0.1
    straight_starts: tuple[float, ...] = ()

    def sample(self, pairs: Pairs, t: Rows, generator: torch.Generator) -> PathSample:
        """Draw x_t for each pair; sigma = 0 draws no noise."""

        def correction(t: Tensor) -> Tensor:
            return self.geopath(t, pairs.x0, pairs.x1)

        s, length = unit_time(pairs, t)
        displacement = pairs.x1 - pairs.x0
        # Rows do not interact, so a tangent of ones gives dphi/dt of each row.
        phi, slope = torch.func.jvp(  # type: ignore[misc]  # three values only with `has_aux`
            correction, (t,), (torch.ones_like(t),)
        )
        bends = self._bends(pairs.t0)
        gamma = 2 * s * (1 - s) * bends
        x = add_noise(pairs.x0 + s * displacement + gamma * phi, self.sigma, generator)
        u = (displacement + 2 * (1 - 2 * s) * bends * phi) / length + gamma * slope
        return PathSample(x, u, **exponential_growth(pairs, t))

    def _bends(self, t0: Rows) -> Tensor:
        """Return 1 for the pairs whose paths are corrected and 0 for the others, shape (n, 1)."""
        straight = t0.new_tensor(self.straight_starts)
        return (~torch.isclose(t0[:, None], straight).any(dim=1, keepdim=True)).to(t0)
