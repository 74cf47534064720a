"""Population: points with masses, such as the cells of one time point or a set of images."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Int
from torch import Tensor

from cellflow._batch import Batch, FiniteMarginal
from cellflow._random import draw_distinct, draw_weighted
from cellflow._typing import Points, Rows


@runtime_checkable
class Transform(Protocol):
    """Map from stored rows to points, applied at each draw."""

    def __call__(self, rows: Batch, generator: torch.Generator | None) -> Batch:
        """Return the points of these rows, augmented at random if there is a generator."""
        ...


@dataclass(frozen=True)
class Population(FiniteMarginal):
    """Points with masses.

    Attributes
    ----------
    stored
        Points and their annotation, as stored.
    weights
        Masses, shape (n,), any positive scale; None for equal masses.
    transform
        Map from stored rows to points, for example from bytes to floats with random flips of
        images. None if points are stored as they are.
    """

    stored: Batch
    weights: Rows | None = None
    transform: Transform | None = None

    @classmethod
    def of(cls, x: Points, weights: Rows | None = None, **columns: Any) -> Population:
        """Return the population of coordinates `x`, shape (n, d), and further `Batch` columns."""
        return cls(Batch(x, **columns), weights)

    def __len__(self) -> int:
        return len(self.stored)

    def __getitem__(self, rows: Tensor) -> Population:
        weights = None if self.weights is None else self.weights[rows]
        return replace(self, stored=self.stored[rows], weights=weights)

    @property
    def cells(self) -> Batch:
        """All points and their annotation, without random augmentation."""
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
        """Group of each point, shape (n,), within which points are coupled."""
        return self.stored.label

    @property
    def rate(self) -> Rows | None:
        """Growth rate of each point per unit of flow time, shape (n,)."""
        return self.stored.rate

    @property
    def is_transformed(self) -> bool:
        """Whether a transform is applied at each draw."""
        return self.transform is not None

    @property
    def masses(self) -> Rows:
        """Masses of the points, shape (n,), summing to one."""
        if self.weights is not None:
            return self.weights / self.weights.sum()
        x = self.stored.x
        dtype = x.dtype if x.is_floating_point() else torch.get_default_dtype()
        return torch.full((len(self),), 1 / len(self), device=x.device, dtype=dtype)

    def take(self, rows: Tensor) -> Batch:
        """Return the points of these rows, on the device of `rows`, not augmented."""
        stored = self.stored[rows.to(self.stored.x.device)].to(rows.device)
        return stored if self.transform is None else self.transform(stored, None)

    def to(self, device: torch.device | str) -> Population:
        """Return a copy on `device`."""
        weights = None if self.weights is None else self.weights.to(device)
        return replace(self, stored=self.stored.to(device), weights=weights)

    def scale_masses(self, factor: Rows) -> Population:
        """Return the same points with masses multiplied by `factor`, shape (n,)."""
        return replace(self, weights=self.masses * factor)

    def sample(self, n: int, generator: torch.Generator) -> Batch:
        """Draw `n` points with probability proportional to mass, on the generator's device.

        Points of equal mass are drawn without replacement if there are at least `n`.
        """
        device = generator.device
        if self.weights is not None:
            weights = self.weights.to(device)
            rows = draw_weighted(weights, n, generator)
        elif n <= len(self):
            rows = draw_distinct(len(self), n, generator)
        else:
            rows = torch.randint(len(self), (n,), generator=generator, device=device)
        drawn = self.stored[rows.to(self.stored.x.device)].to(device)
        return drawn if self.transform is None else self.transform(drawn, generator)
