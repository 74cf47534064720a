"""Exact Wasserstein distances, Euclidean ground cost."""

from __future__ import annotations

import numpy as np

from cellflow._checks import check_choice
from cellflow.metrics.cloud import Cloud
from cellflow.transport import distances, exact_plan


def wasserstein(x: Cloud, y: Cloud, *, power: int = 1) -> float:
    """W1 (`power` 1) or W2 (`power` 2), in units of the points.

    The plan is proven optimal (`cellflow.transport.exact_plan`), for weighted and for unequally
    many points alike. Time grows somewhat faster than n times m, as memory does: 8,000 a side
    take some 6 s and 1.5 GB (docs/performance.md).

    Raises
    ------
    SolverError
        If optimality could not be proven.
    """
    check_choice(str(power), ("1", "2"), "power")
    plan = exact_plan(distances(x.points, y.points) ** power, x.weights, y.weights)
    return max(plan.cost, 0.0) ** (1 / power)


def midpoint(x: Cloud, y: Cloud, fraction: float) -> Cloud:
    """The displacement interpolation of two clouds, with no model: atoms of the exact plan.

    Each pair of the optimal plan for squared Euclidean cost stands at `fraction` of its way from
    `x` to `y`, with its mass (McCann 1997).
    """
    plan = exact_plan(distances(x.points, y.points) ** 2, x.weights, y.weights)
    atoms = (1 - fraction) * x.points[plan.rows] + fraction * y.points[plan.columns]
    return Cloud.of(atoms, np.maximum(plan.mass, 0))
