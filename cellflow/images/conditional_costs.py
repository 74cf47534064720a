"""Transport costs that depend on conditions, which are further coordinates of both ends."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from cellflow._batch import Batch
from cellflow.marginals.gaussian import Gaussian
from cellflow.marginals.population import Population, Transform
from cellflow.transport import squared_distances

#: Largest number of points that a weight is computed from.
_MAX_POINTS = 2048


@dataclass(frozen=True)
class ConditionCosts:
    """A transform that makes conditions further coordinates of costs (`condition_features`).

    Squared distances of [x, sqrt(weight) z] are those of points plus `weight` times those of
    conditions (Mousavi-Hosseini et al. 2025, arXiv 2509.25519: transport of continuous conditions).

    Attributes
    ----------
    weight
        beta, the weight of squared distances of conditions, relative to those of points.
    transform
        Transform of stored rows to points; None for points.
    """

    weight: float
    transform: Transform | None = None

    def __call__(self, rows: Batch, generator: torch.Generator | None) -> Batch:
        """Transform rows that have conditions."""
        drawn = rows if self.transform is None else self.transform(rows, generator)
        assert drawn.condition is not None
        return _with_condition_costs(drawn, drawn.condition, self.weight)


@dataclass(frozen=True, kw_only=True)
class ConditionedNoise(Gaussian):
    """Noise, each draw with a condition that only costs depend on.

    Conditions are drawn from the data, independently of the noise. The pairs of a coupling take the
    conditions of their targets; the larger the weight, the nearer these are to the drawn ones, and
    the less noise depends on them.

    Attributes
    ----------
    conditions
        The conditions, as points.
    weight
        As in `ConditionCosts`.
    """

    conditions: Population
    weight: float

    def to(self, device: torch.device | str) -> ConditionedNoise:
        """Return the noise on `device`."""
        return replace(self, centre=self.centre.to(device), conditions=self.conditions.to(device))

    def sample(self, n: int, generator: torch.Generator) -> Batch:
        """Draw `n` points, with conditions in their `condition_features`."""
        noise = super().sample(n, generator)
        drawn = self.conditions.sample(n, generator).x
        return _with_condition_costs(noise, drawn, self.weight)


def _with_condition_costs(rows: Batch, condition: Tensor, weight: float) -> Batch:
    return replace(rows, condition_features=weight**0.5 * condition.to(rows.x))


def balanced_weight(target: Population) -> float:
    """Return a weight with which only conditions of near neighbours are exchanged.

    For noise x the product <x, y> with points y has the standard deviation s = sqrt(E |y - E y|^2),
    so that the best of N points gains about s sqrt(2 ln N). With this weight the squared distance
    to the nearest other condition costs as much. The rule is ours; the weight of the paper (arXiv
    2509.25519) is not published.

    Parameters
    ----------
    target
        Points with conditions; at most 2,048 of them are used, evenly spaced.

    Returns
    -------
    The weight; 1 if all conditions, or all points, are equal.
    """
    rows = torch.linspace(0, len(target) - 1, min(len(target), _MAX_POINTS)).long()
    points = target.take(rows)
    assert points.condition is not None
    spread = float((points.x - points.x.mean(dim=0)).square().sum(dim=1).mean()) ** 0.5
    gain = spread * math.sqrt(2 * math.log(len(target)))
    gaps = squared_distances(points.condition, points.condition).fill_diagonal_(torch.inf)
    nearest = float(gaps.min(dim=1).values.mean())
    return gain / nearest if gain > 0 and 0 < nearest < math.inf else 1.0
