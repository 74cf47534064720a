"""Gaussian noise as a marginal."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from cellflow._batch import Batch, Marginal
from cellflow._random import normal_like
from cellflow._typing import Points


@dataclass(frozen=True)
class Gaussian(Marginal):
    """The normal distribution N(centre, scale^2 I).

    Attributes
    ----------
    centre
        Mean, shape (1, d); samples have its device and dtype.
    scale
        Standard deviation of each coordinate.
    """

    centre: Points
    scale: float = 1.0

    @property
    def dim(self) -> int:
        """Number of dimensions."""
        return self.centre.shape[1]

    def to(self, device: torch.device | str) -> Gaussian:
        """Return a copy on `device`."""
        return replace(self, centre=self.centre.to(device))

    def sample(self, n: int, generator: torch.Generator) -> Batch:
        """Draw `n` points."""
        noise = normal_like(self.centre.expand(n, -1), generator)
        return Batch(self.centre + self.scale * noise)
