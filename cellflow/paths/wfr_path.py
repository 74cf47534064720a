"""The Wasserstein-Fisher-Rao path: a Dirac mass that travels while it grows or shrinks."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cellflow._batch import Pairs
from cellflow._typing import Rows
from cellflow.paths.path import PathSample, blurred, progress


@dataclass(frozen=True)
class WFRPath:
    """The geodesic between the masses m0 at x0 and m1 at x1 (Chizat et al. 2018).

    Seen as points of a cone with radius sqrt(m) and angle d / 2 delta it is the straight chord,
    at re = (1 - s) sqrt(m0) + s sqrt(m1) cos(d / 2 delta) and im = s sqrt(m1) sin(d / 2 delta).
    Mass on the way is re^2 + im^2, and 2 delta atan(im / re) is covered of the distance d; in
    these terms the closed forms of Peng et al. 2026, arXiv 2601.06810, hold for d = 0, too.

    Pairs must be nearer than pi delta; those without masses have mass 1 at both ends.

    Attributes
    ----------
    delta
        Length scale, in units of the representation. Large ones move mass straight and change
        little of it.
    sigma
        Standard deviation of the noise, in units of the representation.
    """

    delta: float
    sigma: float = 0.0

    def sample(self, pairs: Pairs, t: Rows, generator: torch.Generator) -> PathSample:
        """Draw x_t for each pair, with the growth rate and the mass there."""
        s, length = (each[:, 0] for each in progress(pairs, t))
        root0, root1 = (_root(mass, pairs.x0) for mass in (pairs.m0, pairs.m1))
        way = pairs.x1 - pairs.x0
        distance = torch.linalg.vector_norm(way, dim=1)
        direction = way / distance.clamp(min=torch.finfo(way.dtype).tiny)[:, None]
        angle = distance / (2 * self.delta)
        along, across = root1 * angle.cos() - root0, root1 * angle.sin()
        re, im = root0 + s * along, s * across
        weight = re.square() + im.square()
        covered = 2 * self.delta * torch.atan2(im, re)
        speed = 2 * self.delta * root0 * across / (weight * length)
        growth = 2 * (re * along + im * across) / (weight * length)
        x = blurred(pairs.x0 + covered[:, None] * direction, self.sigma, generator)
        return PathSample(x, speed[:, None] * direction, growth=growth, weight=weight)


def _root(mass: Rows | None, x: Tensor) -> Tensor:
    """Radius on the cone, shape (n,)."""
    return torch.ones_like(x[:, 0]) if mass is None else mass.sqrt()
