"""Optimal acceleration transport: pairs connected with least acceleration of a fitted flow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from cellflow._batch import Batch, Interval, Pairs
from cellflow._typing import Condition, Costs, Points, Rows
from cellflow.couplings.coupling import Coupling
from cellflow.couplings.minibatch import MinibatchCoupling
from cellflow.transport import squared_distances

#: A velocity v(t, x, condition).
Velocity = Callable[[Rows, Points, Condition | None], Points]


def acceleration_cost(
    x0: Points, v0: Points, x1: Points, v1: Points, duration: float = 1.0
) -> Rows:
    """Return the least integral of |x''|^2 over paths with given ends and velocities, shape (n,).

    The minimiser is the cubic Hermite path, and its cost with duration T is
    (12 |(x1 - x0) / T - (v0 + v1) / 2|^2 + |v1 - v0|^2) / T (Yue et al. 2025, arXiv 2509.24936,
    equation 5).
    """
    deviation = (x1 - x0) / duration - (v0 + v1) / 2
    velocity_change = v1 - v0
    return (12 * deviation.square().sum(dim=1) + velocity_change.square().sum(dim=1)) / duration


@dataclass(frozen=True)
class AccelerationCost:
    """Ground cost |x1 - x0 - T (v0 + v1) / 2|^2, with end velocities of a fitted flow.

    It is the squared distance of x0 + T v0 / 2 and x1 - T v1 / 2, the midpoints reached at
    constant velocity from either end (arXiv 2509.24936, equation 9). The term |v1 - v0|^2 of
    `acceleration_cost` is left out, as published.

    Attributes
    ----------
    velocity
        Velocity v(t, x, condition) of the fitted flow, per unit of flow time.
    interval
        Flow times of source and target.
    """

    velocity: Velocity
    interval: Interval = (0.0, 1.0)

    def __call__(self, source: Batch, target: Batch) -> Costs:
        """Return the cost matrix, shape (n, m).

        A source without covariates takes those of the target, which must be equal in all rows.
        """
        start, stop = self.interval
        half = (stop - start) / 2
        condition = source.condition
        if condition is None and target.condition is not None:
            condition = target.condition[:1].expand(len(source), -1)
        forward = source.x + half * velocity_at(self.velocity, start, source.x, condition)
        backward = target.x - half * velocity_at(self.velocity, stop, target.x, target.condition)
        return squared_distances(
            source.append_conditions(forward), target.append_conditions(backward)
        )


@dataclass(frozen=True)
class AccelerationCoupling(Coupling):
    """Minibatch transport with `AccelerationCost`; pairs have velocities at both ends.

    Attributes
    ----------
    minibatches
        The minibatch coupling with that cost.
    velocity
        Velocity of the fitted flow, as in `AccelerationCost`.
    """

    minibatches: MinibatchCoupling
    velocity: Velocity

    def sample(self, n: int, generator: torch.Generator) -> Pairs:
        """Draw `n` pairs with velocities at both ends."""
        pairs = self.minibatches.sample(n, generator)
        start, stop = self.minibatches.interval
        return replace(
            pairs,
            v0=velocity_at(self.velocity, start, pairs.x0, pairs.c0),
            v1=velocity_at(self.velocity, stop, pairs.x1, pairs.c1),
        )

    def pending_pairs(self) -> list[list[Pairs]]:
        """Return the buffer of the minibatch coupling."""
        return self.minibatches.pending_pairs()


@torch.no_grad()
def velocity_at(velocity: Velocity, time: float, x: Points, condition: Condition | None) -> Points:
    """Return the velocity of all points at one flow time, shape (n, d)."""
    return velocity(x.new_full((len(x),), time), x, condition)
