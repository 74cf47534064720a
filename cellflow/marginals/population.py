"""A finite marginal: the cells of one time."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from cellflow._typing import Points


@dataclass(frozen=True)
class Population:
    """Equally heavy points.

    Attributes
    ----------
    points
        Coordinates, shape (n, d).
    """

    points: Points

    def __len__(self) -> int:
        return len(self.points)

    def to(self, device: torch.device) -> Population:
        """Return the same population on `device`."""
        return Population(self.points.to(device))

    def sample(self, n: int, generator: torch.Generator) -> Points:
        """Draw `n` of the points, shape (n, d): all distinct while there are that many."""
        device = self.points.device
        if n <= len(self):
            rows = torch.randperm(len(self), generator=generator, device=device)[:n]
        else:
            rows = torch.randint(len(self), (n,), generator=generator, device=device)
        return self.points[rows]
