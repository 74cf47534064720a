"""Batches of points, pairs of points, and the base classes of the marginals they come from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from jaxtyping import Float, Int
from torch import Tensor

from cellflow._typing import Condition, Points, Rows

Interval = tuple[float, float]


class Columns:
    """Base of dataclasses whose fields are tensors of equal length, or None."""

    def __len__(self) -> int:
        return len(next(iter(self.columns().values())))

    def __getitem__(self, rows: slice | Tensor) -> Self:
        return self._each(lambda column: column[rows])

    def columns(self) -> dict[str, Tensor]:
        """Return the fields that are not None, by name."""
        return {name: column for name, column in vars(self).items() if column is not None}

    def to(self, device: torch.device | str) -> Self:
        """Return the same rows on `device`."""
        return self._each(lambda column: column.to(device))

    @classmethod
    def cat(cls, batches: Sequence[Self]) -> Self:
        """Concatenate rows of batches with the same columns."""
        if len(batches) == 1:
            return batches[0]
        names = batches[0].columns()
        return cls(
            **{name: torch.cat([getattr(batch, name) for batch in batches]) for name in names}
        )

    def _each(self, change: Any) -> Self:
        return type(self)(**{name: change(column) for name, column in self.columns().items()})


@dataclass(frozen=True)
class Batch(Columns):
    """Points of a marginal and their annotation.

    Attributes
    ----------
    x
        Coordinates in which paths run, shape (n, d).
    features
        Coordinates on which transport costs are computed, shape (n, f); None for `x`.
    condition_features
        Conditions as further coordinates of transport costs, shape (n, k), times the square root
        of their weight: squared distances of them add to those of the points.
    condition
        Covariates that are inputs of the nets, shape (n, c).
    label
        Group within which points are coupled, shape (n,).
    clones
        Clones of each cell, shape (n, p), padded with -1.
    rate
        Growth rate of mass per unit of flow time, shape (n,).
    group
        Group of known transitions, shape (n,); k for none.
    penalties
        What is added to the costs of a transition to each of the k groups and to none, shape
        (n, k + 1).
    """

    x: Points
    features: Float[Tensor, "n f"] | None = None
    condition_features: Float[Tensor, "n k"] | None = None
    condition: Condition | None = None
    label: Int[Tensor, " n"] | None = None
    clones: Int[Tensor, "n p"] | None = None
    rate: Rows | None = None
    group: Int[Tensor, " n"] | None = None
    penalties: Float[Tensor, "n k"] | None = None

    @property
    def cost_features(self) -> Float[Tensor, "n f"]:
        """Coordinates on which transport costs are computed, shape (n, f + k)."""
        return self.append_conditions(self.x if self.features is None else self.features)

    def append_conditions(self, points: Points) -> Float[Tensor, "n f"]:
        """Append the conditions that costs keep to points of the same rows."""
        if self.condition_features is None:
            return points
        return torch.cat([points, self.condition_features.to(points)], dim=1)

    def weigh_conditions(self, weight: float) -> Self:
        """Return the rows with the weight of conditions in costs multiplied; 0 drops them."""
        if self.condition_features is None:
            return self
        scaled = self.condition_features * weight**0.5
        return replace(self, condition_features=scaled if weight else None)

    def weigh_penalties(self, weight: float) -> Self:
        """Return the rows with penalties of transitions multiplied."""
        if self.penalties is None:
            return self
        return replace(self, penalties=self.penalties * weight)


@dataclass(frozen=True)
class Pairs(Columns):
    """Coupled source and target points; each row has its own interval of flow time.

    Attributes
    ----------
    x0, x1
        Source and target, shape (n, d).
    t0, t1
        Their flow times, shape (n,), t0 < t1.
    c0, c1
        Covariates of source and target, shape (n, c).
    m0, m1
        Masses at both ends, shape (n,), if mass changes between them, relative to the mass with
        which the pair was drawn.
    v0, v1
        Velocities at both ends, shape (n, d), if the coupling provides them.
    """

    x0: Points
    x1: Points
    t0: Rows
    t1: Rows
    c0: Condition | None = None
    c1: Condition | None = None
    m0: Rows | None = None
    m1: Rows | None = None
    v0: Points | None = None
    v1: Points | None = None

    @staticmethod
    def over(interval: Interval, source: Batch, target: Batch, **columns: Any) -> Pairs:
        """Pair the rows of `source` and `target` over one interval of flow time.

        A source with growth rates was drawn by the mass it grows to, so its mass is 1 at the
        target. A source without covariates, such as noise, takes those of its target.
        """
        start, stop = interval
        x0 = source.x
        if source.rate is not None and "m0" not in columns:
            columns["m0"] = torch.exp(-source.rate * (stop - start))
            columns["m1"] = torch.ones_like(source.rate)
        return Pairs(
            x0,
            target.x,
            x0.new_full((len(x0),), start),
            x0.new_full((len(x0),), stop),
            target.condition if source.condition is None else source.condition,
            target.condition,
            **columns,
        )


class Marginal(ABC):
    """A distribution of points at one flow time: the cells of a time point, noise, a set of images.

    A subclass defines `sample`.
    """

    @abstractmethod
    def sample(self, n: int, generator: torch.Generator) -> Batch:
        """Draw `n` points."""

    @property
    def label(self) -> Int[Tensor, " n"] | None:
        """Group of each point, shape (n,), within which points are coupled; None for no groups."""
        return None

    @property
    def rate(self) -> Rows | None:
        """Growth rate of each point per unit of flow time, shape (n,); None without growth."""
        return None


class FiniteMarginal(Marginal):
    """A distribution on finitely many points with masses.

    A subclass defines `sample`, `cells`, `take` and `masses`.
    """

    @property
    @abstractmethod
    def cells(self) -> Batch:
        """All points."""

    @abstractmethod
    def take(self, rows: Tensor) -> Batch:
        """Return the points of some rows, on the device of `rows`."""

    @property
    @abstractmethod
    def masses(self) -> Rows:
        """Masses of the points, shape (n,), which sum to one."""

    @property
    def is_transformed(self) -> bool:
        """Whether points are transformed at each draw, so that pairs cannot be listed."""
        return False
