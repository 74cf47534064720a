"""Costs between the rows of two batches, which couplings minimise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from cellflow._batch import Batch
from cellflow._typing import Costs
from cellflow.transport import squared_distances


@runtime_checkable
class Cost(Protocol):
    """A ground cost."""

    def __call__(self, source: Batch, target: Batch) -> Costs:
        """Cost of each pair of rows, shape (n, m)."""
        ...


def squared_euclidean(source: Batch, target: Batch) -> Costs:
    """Squared distance of the coordinates that costs are taken on."""
    return squared_distances(source.cost_features, target.cost_features)


def euclidean(source: Batch, target: Batch) -> Costs:
    """Distance of the coordinates that costs are taken on."""
    return squared_euclidean(source, target).sqrt()


#: Ground costs by name.
COSTS: dict[str, Cost] = {"squared": squared_euclidean, "euclidean": euclidean}


@dataclass(frozen=True)
class LineageCost:
    """A cost that is lower between cells that share a clone.

    Attributes
    ----------
    base
        The cost of cells that share none.
    strength
        Share of the base cost that clonal relatives are spared, from 0 to 1.
    """

    base: Cost = squared_euclidean
    strength: float = 0.5

    def __call__(self, source: Batch, target: Batch) -> Costs:
        """Cost of each pair of rows, shape (n, m)."""
        cost = self.base(source, target)
        if source.clones is None or target.clones is None:
            return cost
        mine, theirs = source.clones[:, None, :, None], target.clones[None, :, None, :]
        related = ((mine == theirs) & (mine >= 0)).flatten(2).any(dim=2)
        return cost * (1 - self.strength * related.to(cost.dtype))
