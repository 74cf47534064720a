"""A finite marginal: the cells of one time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from cellflow._batch import Batch
from cellflow._typing import Points, Rows


@dataclass(frozen=True)
class Population:
    """Points with masses.

    Attributes
    ----------
    cells
        The points and what is known of each.
    weights
        How much each counts, shape (n,), any positive scale; None for equally heavy points.
    """

    cells: Batch
    weights: Rows | None = None

    @classmethod
    def of(cls, x: Points, weights: Rows | None = None, **columns: Any) -> Population:
        """Make a population of coordinates, and columns of `Batch`."""
        return cls(Batch(x, **columns), weights)

    def __len__(self) -> int:
        return len(self.cells)

    def __getitem__(self, rows: Tensor) -> Population:
        weights = None if self.weights is None else self.weights[rows]
        return Population(self.cells[rows], weights)

    @property
    def points(self) -> Points:
        """Coordinates, shape (n, d)."""
        return self.cells.x

    @property
    def masses(self) -> Rows:
        """Masses that sum to one, shape (n,)."""
        weights = self.points.new_ones(len(self)) if self.weights is None else self.weights
        return weights / weights.sum()

    def to(self, device: torch.device | str) -> Population:
        """Return the same population on `device`."""
        weights = None if self.weights is None else self.weights.to(device)
        return Population(self.cells.to(device), weights)

    def reweighted(self, factor: Rows) -> Population:
        """The same points with masses multiplied by `factor`."""
        return replace(self, weights=self.masses * factor)

    def sample(self, n: int, generator: torch.Generator) -> Batch:
        """Draw `n` of the points by mass; equally heavy ones are distinct while they last."""
        device = self.points.device
        if self.weights is not None:
            rows = torch.multinomial(self.weights, n, replacement=True, generator=generator)
        elif n <= len(self):
            rows = torch.randperm(len(self), generator=generator, device=device)[:n]
        else:
            rows = torch.randint(len(self), (n,), generator=generator, device=device)
        return self.cells[rows]
