"""Noise as a marginal."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from cellflow._batch import Batch, Marginal
from cellflow._random import normal_like
from cellflow._typing import Points


@dataclass(frozen=True)
class Gaussian(Marginal):
    """N(centre, scale^2 I).

    Attributes
    ----------
    centre
        Mean, shape (1, d); its device and precision are those of what is drawn.
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
        """The same law on `device`."""
        return replace(self, centre=self.centre.to(device))

    def sample(self, n: int, generator: torch.Generator) -> Batch:
        """Draw `n` points."""
        noise = normal_like(self.centre.expand(n, -1), generator)
        return Batch(self.centre + self.scale * noise)
