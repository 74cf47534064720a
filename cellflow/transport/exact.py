"""Exact optimal transport between weighted point sets, with proof of optimality."""

from __future__ import annotations

from dataclasses import dataclass, replace

import lap
import numpy as np
import ot
from scipy.spatial.distance import cdist

from cellflow._errors import InputError, SolverError
from cellflow.transport.column_generation import (
    FEW,
    Duals,
    column_minimum,
    priced_plan,
    row_minimum,
    whole_plan,
)
from cellflow.transport.distances import in_units
from cellflow.transport.plan import Plan, normalise_masses, validate_problem

#: Rows of a cost matrix that are made at a time.
_CHUNK = 256

#: Pivots the network simplex may take. POT's own default, 1e5, ends before the optimum from about
#: 2,000 points on.
MAX_ITER = 10**9

#: Largest gap between cost and dual bound, as a share of the mean cost, that still counts as exact.
TOLERANCE = 1e-9

#: Peak memory of `exact_plan` in numbers of 8 bytes for each entry of its cost matrix, measured
#: from 1,000 to 8,000 points: the costs, the plan and the solver's own copies.
_COPIES = 5

#: Mean costs that the solver takes as they are.
_MILD = (1e-3, 1e6)


@dataclass(frozen=True)
class ExactPlan(Plan):
    """An optimal plan, at most n + m - 1 entries, with the proof of its optimality.

    Attributes
    ----------
    cost
        Total cost, the sum of mass times ground cost.
    gap
        `cost` minus a lower bound that the duals prove, in units of the cost.
    potentials
        Duals of rows and columns, shapes (n,) and (m,), in units of the cost.
    """

    cost: float
    gap: float
    potentials: Duals


def exact_plan(
    cost: np.ndarray,
    a: np.ndarray | None = None,
    b: np.ndarray | None = None,
    *,
    max_iter: int = MAX_ITER,
    start: np.ndarray | None = None,
) -> ExactPlan:
    """Solve optimal transport by the network simplex and prove the answer optimal.

    Large problems are solved on few of their entries (`cellflow.transport.column_generation`),
    and whole where that comes to no end. The proof trusts neither: feasible duals are made from the
    solver's potentials and their value, a lower bound of every plan's cost, must meet the cost of
    the plan.

    Parameters
    ----------
    cost
        Ground costs, shape (n, m). Solved whole, a problem takes `plan_memory`; on few entries,
        little more than this matrix in float64.
    a, b
        Masses of rows and columns, non-negative; uniform where None. Each is normalised to sum
        to one.
    max_iter
        Pivots after which the solver gives up.
    start
        Potential of the rows, shape (n,), near to the optimal one, where one is known; it decides
        how long a large problem takes.

    Returns
    -------
    The plan, its cost and the proven gap.

    Raises
    ------
    SolverError
        If the solver stopped early or its answer is not proven optimal.
    """
    cost, a, b = validate_problem(cost, a, b)
    unit = float(cost.mean()) or 1.0
    if not _MILD[0] < unit < _MILD[1]:
        cost = cost / unit  # the solver's own tolerance is absolute
    else:
        unit = 1.0
    if cost.size > FEW:
        first = None if start is None else start / unit
        found = priced_plan(cost, a, b, max_iter=max_iter, start=first)
        if found is not None:
            plan, lost = _measured(cost, a, b, *found)
            if _proven(plan, lost, cost):
                return _in_units(plan, unit)
    plan, lost = _measured(cost, a, b, *whole_plan(cost, a, b, max_iter))
    if not _proven(plan, lost, cost):
        raise SolverError(
            f"optimal transport of {cost.shape[0]} x {cost.shape[1]} points is not proven optimal "
            f"after at most {max_iter:.0e} pivots: cost {plan.cost * unit:.6g}, "
            f"gap {plan.gap * unit:.3g}, misplaced mass {lost:.3g}"
        )
    return _in_units(plan, unit)


def plan_memory(n: int, m: int) -> float:
    """GB that `exact_plan` takes for a cost matrix of `n` rows and `m` columns: 40 n m bytes."""
    return 8 * _COPIES * n * m / 1e9


def _measured(
    cost: np.ndarray, a: np.ndarray, b: np.ndarray, plan: Plan, potentials: Duals
) -> tuple[ExactPlan, float]:
    """A plan with its cost and gap, and the mass that it misplaces."""
    rows, columns, mass = plan.rows, plan.columns, plan.mass
    value = float(mass @ cost[rows, columns])
    gap = value - lower_bound(cost, a, b, potentials[0])
    measured = ExactPlan(rows, columns, mass, value, gap, potentials)
    return measured, misplaced(rows, columns, mass, a, b)


def _proven(plan: ExactPlan, lost: float, cost: np.ndarray) -> bool:
    return bool(plan.gap <= TOLERANCE * cost.mean() and lost <= TOLERANCE)


def _in_units(plan: ExactPlan, unit: float) -> ExactPlan:
    u, v = plan.potentials
    return replace(
        plan, cost=plan.cost * unit, gap=plan.gap * unit, potentials=(u * unit, v * unit)
    )


def lower_bound(cost: np.ndarray, a: np.ndarray, b: np.ndarray, potential: np.ndarray) -> float:
    """Value of the dual that a row potential, shape (n,), proves.

    The potential is completed by two c-transforms, v_j = min_i c_ij - u_i and then
    u_i = min_j c_ij - v_j, so u_i + v_j <= c_ij holds whatever the potential was, and
    weak duality makes a.u + b.v a lower bound of the cost of every plan.
    """
    v = column_minimum(cost, potential)
    u = row_minimum(cost, v)
    return float(a @ u + b @ v)


def misplaced(
    rows: np.ndarray, columns: np.ndarray, mass: np.ndarray, a: np.ndarray, b: np.ndarray
) -> float:
    """Total mass by which the plan's marginals miss `a` and `b`."""
    row_sums = np.bincount(rows, mass, minlength=len(a))
    column_sums = np.bincount(columns, mass, minlength=len(b))
    return float(np.abs(row_sums - a).sum() + np.abs(column_sums - b).sum())


def assign(cost: np.ndarray) -> np.ndarray:
    """Return the column that each row is matched to, at least total cost.

    With uniform weights an optimal plan is a permutation divided by n (Birkhoff), so this is the
    exact plan of the network simplex in less time: Jonker-Volgenant, by lapx.

    Parameters
    ----------
    cost
        Square matrix (n, n) of finite numbers, float32 or float64.

    Returns
    -------
    Column indices, shape (n,), a permutation.
    """
    if cost.ndim != 2 or cost.shape[0] != cost.shape[1]:
        raise InputError(f"an assignment needs a square cost matrix, got shape {cost.shape}")
    if not np.isfinite(cost).all():
        raise InputError("the cost matrix has NaN or infinite entries")
    _, columns = lap.lapjvh(np.ascontiguousarray(cost), return_cost=False)
    return columns


def lazy_exact_plan(
    x: np.ndarray,
    y: np.ndarray,
    a: np.ndarray | None = None,
    b: np.ndarray | None = None,
) -> ExactPlan:
    """Exact plan of squared Euclidean costs, in memory that grows with n + m.

    The network simplex takes each cost anew from the coordinates. In 5 dimensions that is about
    1.6 times slower than `exact_plan`, in 50 about 10 times.

    Parameters
    ----------
    x, y
        Coordinates, shapes (n, d) and (m, d).
    a, b
        Masses of rows and columns; uniform where None.

    Returns
    -------
    The plan with its proof, as that of `exact_plan`.

    Raises
    ------
    SolverError
        If the answer is not proven optimal.
    """
    a, b = normalise_masses(a, len(x)), normalise_masses(b, len(y))
    x, y, unit = in_units(x, y)
    inside, outside = a > 0, b > 0
    _, log = ot.lp.emd2_lazy(
        x[inside], y[outside], a[inside], b[outside], numItermax=MAX_ITER, log=True
    )
    entries = log["G"].tocsr().tocoo()
    rows, columns = np.flatnonzero(inside)[entries.row], np.flatnonzero(outside)[entries.col]
    mass = entries.data
    value = float(mass @ np.square(x[rows] - y[columns]).sum(axis=1))
    v = _least(y, x[inside], log["u"])
    u = _least(x, y, v)
    gap = value - float(a @ u + b @ v)
    lost = misplaced(rows, columns, mass, a, b)
    if not (gap <= TOLERANCE and lost <= TOLERANCE):
        raise SolverError(
            f"optimal transport of {len(x)} x {len(y)} points is not proven optimal: cost "
            f"{value * unit:.6g}, gap {gap * unit:.3g}, misplaced mass {lost:.3g}"
        )
    return ExactPlan(rows, columns, mass, value * unit, gap * unit, (u * unit, v * unit))


def _least(x: np.ndarray, y: np.ndarray, potential: np.ndarray) -> np.ndarray:
    """The c-transform min_j |x_i - y_j|^2 - potential_j, shape (n,)."""
    parts = [
        (cdist(x[start : start + _CHUNK], y, "sqeuclidean") - potential).min(axis=1)
        for start in range(0, len(x), _CHUNK)
    ]
    return np.concatenate(parts)
