"""Costs that see conditions: points and noise with their covariates as further coordinates."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from cellflow._batch import Batch
from cellflow.marginals.gaussian import Gaussian
from cellflow.marginals.population import Population, Transform
from cellflow.transport import squared_distances

#: Points that a weight is chosen by, at most.
_LOOKED_AT = 2048


@dataclass(frozen=True)
class ConditionCosts:
    """A transform that adds conditions to the coordinates that costs are taken on.

    Squared distances of [x, sqrt(weight) z] are those of points plus `weight` times those of
    conditions (Mousavi-Hosseini et al. 2025, arXiv 2509.25519: transport of continuous conditions).

    Attributes
    ----------
    weight
        beta, of squared distances of conditions beside those of points.
    transform
        How stored rows become points before; None for points as they are.
    """

    weight: float
    transform: Transform | None = None

    def __call__(self, rows: Batch, generator: torch.Generator | None) -> Batch:
        """Read rows that have conditions."""
        drawn = rows if self.transform is None else self.transform(rows, generator)
        assert drawn.condition is not None
        return replace(drawn, features=_joined(drawn.x, drawn.condition, self.weight))


@dataclass(frozen=True, kw_only=True)
class ConditionedNoise(Gaussian):
    """Noise, each draw with a condition that only costs see.

    Conditions are drawn apart from the noise by their law in the data. The pairs of a coupling take
    the conditions of their targets; the more conditions weigh, the nearer are these to the drawn
    ones, and the less does noise tell of them.

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
        """The same law on `device`."""
        return replace(self, centre=self.centre.to(device), conditions=self.conditions.to(device))

    def sample(self, n: int, generator: torch.Generator) -> Batch:
        """Draw `n` points, whose `features` have conditions."""
        noise = super().sample(n, generator)
        drawn = self.conditions.sample(n, generator).x
        return replace(noise, features=_joined(noise.x, drawn, self.weight))


def _joined(x: Tensor, condition: Tensor, weight: float) -> Tensor:
    return torch.cat([x, weight**0.5 * condition.to(x)], dim=1)


def balanced_weight(target: Population) -> float:
    """A weight of conditions that hold firmly against what transport gains by trading them.

    For noise x the product <x, y> with points y has the standard deviation s = sqrt(E |y - E y|^2),
    so that the best of N points gains about s sqrt(2 ln N). With this weight the squared distance
    to the nearest other condition costs as much: what is traded are conditions of near neighbours.
    The rule is ours; how the paper (arXiv 2509.25519) weighs conditions was not found.

    Parameters
    ----------
    target
        Points with conditions; up to 2,048 of them are looked at, evenly from first to last.

    Returns
    -------
    The weight; 1 where conditions are equal, or points.
    """
    rows = torch.linspace(0, len(target) - 1, min(len(target), _LOOKED_AT)).long()
    seen = target.take(rows)
    assert seen.condition is not None
    spread = float((seen.x - seen.x.mean(dim=0)).square().sum(dim=1).mean()) ** 0.5
    gain = spread * math.sqrt(2 * math.log(len(target)))
    gaps = squared_distances(seen.condition, seen.condition).fill_diagonal_(torch.inf)
    nearest = float(gaps.min(dim=1).values.mean())
    return gain / nearest if gain > 0 and 0 < nearest < math.inf else 1.0
