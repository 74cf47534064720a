"""A finite marginal: the cells of one time, the images of a set."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Int
from torch import Tensor

from cellflow._batch import Batch, FiniteMarginal
from cellflow._random import draw_weighted
from cellflow._typing import Points, Rows


@runtime_checkable
class Transform(Protocol):
    """Turns rows as they are stored into points, each time that they are drawn."""

    def __call__(self, rows: Batch, generator: torch.Generator | None) -> Batch:
        """Points of these rows; changed at random only where there is a generator."""
        ...


@dataclass(frozen=True)
class Population(FiniteMarginal):
    """Points with masses.

    Attributes
    ----------
    stored
        The points and what is known of each.
    weights
        How much each counts, shape (n,), any positive scale; None for equally heavy points.
    transform
        How stored rows become points, where they are stored otherwise: bytes that become numbers,
        pictures that are mirrored at random. None for points as they are.
    """

    stored: Batch
    weights: Rows | None = None
    transform: Transform | None = None

    @classmethod
    def of(cls, x: Points, weights: Rows | None = None, **columns: Any) -> Population:
        """Make a population of coordinates, and columns of `Batch`."""
        return cls(Batch(x, **columns), weights)

    def __len__(self) -> int:
        return len(self.stored)

    def __getitem__(self, rows: Tensor) -> Population:
        weights = None if self.weights is None else self.weights[rows]
        return replace(self, stored=self.stored[rows], weights=weights)

    @property
    def cells(self) -> Batch:
        """All points and what is known of each, nothing changed at random."""
        return self.stored if self.transform is None else self.transform(self.stored, None)

    @property
    def points(self) -> Points:
        """Coordinates, shape (n, d)."""
        return self.cells.x

    @property
    def dim(self) -> int:
        """Number of dimensions of the points."""
        return self.stored.x.shape[1]

    @property
    def label(self) -> Int[Tensor, " n"] | None:
        """Groups that coupling partners share."""
        return self.stored.label

    @property
    def rate(self) -> Rows | None:
        """Growth rates."""
        return self.stored.rate

    @property
    def is_transformed(self) -> bool:
        """Whether stored rows become points anew at each draw."""
        return self.transform is not None

    @property
    def masses(self) -> Rows:
        """Masses that sum to one, shape (n,)."""
        if self.weights is not None:
            return self.weights / self.weights.sum()
        x = self.stored.x
        dtype = x.dtype if x.is_floating_point() else torch.get_default_dtype()
        return torch.full((len(self),), 1 / len(self), device=x.device, dtype=dtype)

    def take(self, rows: Tensor) -> Batch:
        """The points of these rows, on the rows' device, nothing changed at random."""
        stored = self.stored[rows.to(self.stored.x.device)].to(rows.device)
        return stored if self.transform is None else self.transform(stored, None)

    def to(self, device: torch.device | str) -> Population:
        """Return the same population on `device`."""
        weights = None if self.weights is None else self.weights.to(device)
        return replace(self, stored=self.stored.to(device), weights=weights)

    def scale_masses(self, factor: Rows) -> Population:
        """The same points with masses multiplied by `factor`."""
        return replace(self, weights=self.masses * factor)

    def sample(self, n: int, generator: torch.Generator) -> Batch:
        """Draw `n` of the points by mass; equally heavy ones are distinct while they last.

        They come on the generator's device, wherever the population is kept.
        """
        device = generator.device
        if self.weights is not None:
            weights = self.weights.to(device)
            rows = draw_weighted(weights, n, generator)
        elif n <= len(self):
            rows = torch.randperm(len(self), generator=generator, device=device)[:n]
        else:
            rows = torch.randint(len(self), (n,), generator=generator, device=device)
        drawn = self.stored[rows.to(self.stored.x.device)].to(device)
        return drawn if self.transform is None else self.transform(drawn, generator)
