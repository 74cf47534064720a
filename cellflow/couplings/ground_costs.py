"""Ground costs of transport between source and target points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from cellflow._batch import Batch
from cellflow._typing import Costs
from cellflow.transport import squared_distances


@runtime_checkable
class Cost(Protocol):
    """A ground cost of transport."""

    def __call__(self, source: Batch, target: Batch) -> Costs:
        """Return the cost matrix, shape (n, m)."""
        ...


def squared_euclidean(source: Batch, target: Batch) -> Costs:
    """Return squared Euclidean distances of the cost features, shape (n, m).

    Penalties of transitions that are not among the known ones are added.
    """
    costs = squared_distances(source.cost_features, target.cost_features)
    if source.penalties is None or target.group is None:
        return costs
    return costs + source.penalties[:, target.group]


def euclidean(source: Batch, target: Batch) -> Costs:
    """Return roots of the squared Euclidean distances, penalties included, shape (n, m)."""
    return squared_euclidean(source, target).sqrt()


#: Ground costs by name.
COSTS: dict[str, Cost] = {"squared": squared_euclidean, "euclidean": euclidean}


@dataclass(frozen=True)
class LineageCost:
    """A ground cost that is lower between cells of the same clone.

    Attributes
    ----------
    base
        Cost between cells of different clones.
    strength
        Reduction of the cost between cells of the same clone, from 0 (none) to 1 (free).
    """

    base: Cost = squared_euclidean
    strength: float = 0.5

    def __call__(self, source: Batch, target: Batch) -> Costs:
        """Return the cost matrix, shape (n, m)."""
        cost = self.base(source, target)
        if source.clones is None or target.clones is None:
            return cost
        mine, theirs = source.clones[:, None, :, None], target.clones[None, :, None, :]
        related = ((mine == theirs) & (mine >= 0)).flatten(2).any(dim=2)
        saved = self.strength * related.to(cost.dtype)
        if source.condition_features is None or target.condition_features is None:
            return cost * (1 - saved)
        # Relatives of different conditions are as far apart in these as others are.
        return cost - saved * (cost - self.base(_conditions_only(source), _conditions_only(target)))


def _conditions_only(batch: Batch) -> Batch:
    """Return rows whose points are their conditions, as costs see them."""
    assert batch.condition_features is not None
    return Batch(batch.condition_features)
