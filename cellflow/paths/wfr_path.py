"""The Wasserstein-Fisher-Rao path: the geodesic between two Dirac masses."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cellflow._batch import Pairs
from cellflow._typing import Rows
from cellflow.paths.path import PathSample, add_noise, unit_time


@dataclass(frozen=True)
class WFRPath:
    """Wasserstein-Fisher-Rao geodesic between mass m0 at x0 and mass m1 at x1 (Chizat et al. 2018).

    On the cone with radius sqrt(m) and angle d / (2 delta), d = |x1 - x0|, the geodesic is the
    chord re = (1 - s) sqrt(m0) + s sqrt(m1) cos(d / (2 delta)), im = s sqrt(m1) sin(d / (2 delta)).
    The mass is m_t = re^2 + im^2, the distance covered 2 delta atan(im / re). These are the closed
    forms of Peng et al. 2026 (arXiv 2601.06810), written so that they hold for d = 0.

    The ends of a pair must be nearer than pi delta. Pairs without masses have mass 1 at both ends.

    Attributes
    ----------
    delta
        Length scale, in units of the points. For large delta, mass moves straight and changes
        little.
    sigma
        Standard deviation of the noise, in units of the points.
    """

    delta: float
    sigma: float = 0.0

    def sample(self, pairs: Pairs, t: Rows, generator: torch.Generator) -> PathSample:
        """Draw x_t for each pair, with growth rate and mass."""
        s, length = (each[:, 0] for each in unit_time(pairs, t))
        root0, root1 = (_root(mass, pairs.x0) for mass in (pairs.m0, pairs.m1))
        displacement = pairs.x1 - pairs.x0
        distance = torch.linalg.vector_norm(displacement, dim=1)
        direction = displacement / distance.clamp(min=torch.finfo(displacement.dtype).tiny)[:, None]
        angle = distance / (2 * self.delta)
        along, across = root1 * angle.cos() - root0, root1 * angle.sin()
        re, im = root0 + s * along, s * across
        weight = re.square() + im.square()
        covered = 2 * self.delta * torch.atan2(im, re)
        speed = 2 * self.delta * root0 * across / (weight * length)
        growth = 2 * (re * along + im * across) / (weight * length)
        x = add_noise(pairs.x0 + covered[:, None] * direction, self.sigma, generator)
        return PathSample(x, speed[:, None] * direction, growth=growth, weight=weight)


def _root(mass: Rows | None, x: Tensor) -> Tensor:
    """Return the radius on the cone, shape (n,)."""
    return torch.ones_like(x[:, 0]) if mass is None else mass.sqrt()
