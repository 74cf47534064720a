"""Optimal acceleration transport: pairs that a fitted flow has to bend least for."""

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
    """Least integral of |x''|^2 over paths with these ends and end velocities, shape (n,).

    The minimiser is the cubic Hermite path, and its cost with time T is
    (12 |(x1 - x0) / T - (v0 + v1) / 2|^2 + |v1 - v0|^2) / T (Yue et al. 2025, arXiv 2509.24936,
    equation 5).
    """
    detour = (x1 - x0) / duration - (v0 + v1) / 2
    turn = v1 - v0
    return (12 * detour.square().sum(dim=1) + turn.square().sum(dim=1)) / duration


@dataclass(frozen=True)
class AccelerationCost:
    """The part of the acceleration that depends on who is paired with whom.

    |x1 - x0 - T (v0 + v1) / 2|^2, the velocities those of a fitted flow at both ends (arXiv
    2509.24936, equation 9). That is the squared distance of x0 + T v0 / 2 and x1 - T v1 / 2:
    where both would be half way if each kept its velocity. The term |v1 - v0|^2 is left out, as
    published; with it, small weights of the other would turn the coupling around.

    Attributes
    ----------
    velocity
        Of the fitted flow, in flow time.
    interval
        Flow times of source and target.
    """

    velocity: Velocity
    interval: Interval = (0.0, 1.0)

    def __call__(self, source: Batch, target: Batch) -> Costs:
        """Cost of each pair of rows, shape (n, m).

        Noise, which has no covariates, takes those of the target, which must be the same in all
        rows.
        """
        start, stop = self.interval
        half = (stop - start) / 2
        condition = source.condition
        if condition is None and target.condition is not None:
            condition = target.condition[:1].expand(len(source), -1)
        forward = source.x + half * velocity_at(self.velocity, start, source.x, condition)
        back = target.x - half * velocity_at(self.velocity, stop, target.x, target.condition)
        return squared_distances(forward, back)


@dataclass(frozen=True)
class AccelerationCoupling(Coupling):
    """Minibatch transport by `AccelerationCost`, with the end velocities of its pairs.

    Attributes
    ----------
    minibatches
        The transport between batches, with that cost.
    velocity
        Of the fitted flow.
    """

    minibatches: MinibatchCoupling
    velocity: Velocity

    def sample(self, n: int, generator: torch.Generator) -> Pairs:
        """Draw `n` pairs."""
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
    """Velocity of all points at one time."""
    return velocity(x.new_full((len(x),), time), x, condition)
