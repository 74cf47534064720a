"""Exact optimal transport with a proof of optimality: general, uniform, and without a matrix."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import ot
from scipy.spatial.distance import cdist

from cellflow._errors import SolverError
from cellflow.transport.column_generation import (
    FEW,
    Duals,
    column_generation_plan,
    column_minimum,
    dense_simplex_plan,
    row_minimum,
)
from cellflow.transport.cost_matrix import scale_jointly
from cellflow.transport.plan import Plan, normalise_masses, validate_problem

#: Rows of a cost matrix that are computed at a time.
_CHUNK = 256

#: Largest number of pivots of the network simplex. POT's default, 1e5, stops before the optimum
#: from about 2,000 points on.
MAX_ITER = 10**9

#: Largest duality gap of an exact plan, relative to the mean cost.
TOLERANCE = 1e-9

#: Peak memory of `exact_plan` in float64 matrices of the size of the cost matrix, measured from
#: 1,000 to 8,000 points: costs, plan and the solver's copies.
_N_MATRICES = 5

#: Mean costs that are not rescaled for the solver.
_UNSCALED_COSTS = (1e-3, 1e6)


@dataclass(frozen=True)
class ExactPlan(Plan):
    """An optimal plan of at most n + m - 1 entries, with its duality gap.

    Attributes
    ----------
    cost
        Transport cost, the sum of mass times ground cost.
    gap
        Duality gap: `cost` minus the lower bound proven by the duals, in units of the cost.
    potentials
        Dual potentials of rows and columns, shapes (n,) and (m,), in units of the cost.
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
    """Solve optimal transport by the network simplex and prove the plan optimal.

    Large problems are solved by column generation (`cellflow.transport.column_generation`), and on
    all entries if that does not converge. The proof depends on neither: the solver's potentials are
    made feasible, and their dual value, a lower bound of the cost of every plan, must equal the
    cost of the plan.

    Parameters
    ----------
    cost
        Cost matrix, shape (n, m). On all entries the solver requires `plan_memory`; by column
        generation little more than this matrix in float64.
    a, b
        Masses of rows and columns, non-negative, normalised to sum to one; None for uniform masses.
    max_iter
        Largest number of pivots.
    start
        Dual potential of the rows, shape (n,), near the optimal one, if known; it speeds up large
        problems.

    Returns
    -------
    The plan with its cost, duals and duality gap.

    Raises
    ------
    SolverError
        If the solver stopped early or the plan is not proven optimal.
    """
    cost, a, b = validate_problem(cost, a, b)
    unit = float(cost.mean()) or 1.0
    if not _UNSCALED_COSTS[0] < unit < _UNSCALED_COSTS[1]:
        cost = cost / unit  # the solver's own tolerance is absolute
    else:
        unit = 1.0
    if cost.size > FEW:
        first = None if start is None else start / unit
        found = column_generation_plan(cost, a, b, max_iter=max_iter, start=first)
        if found is not None:
            plan, error = _with_gap(cost, a, b, *found)
            if _is_proven(plan, error, cost):
                return _rescale(plan, unit)
    plan, error = _with_gap(cost, a, b, *dense_simplex_plan(cost, a, b, max_iter))
    if not _is_proven(plan, error, cost):
        raise SolverError(
            f"optimal transport of {cost.shape[0]} x {cost.shape[1]} points is not proven optimal "
            f"after at most {max_iter:.0e} pivots: cost {plan.cost * unit:.6g}, "
            f"gap {plan.gap * unit:.3g}, marginal error {error:.3g}"
        )
    return _rescale(plan, unit)


def plan_memory(n: int, m: int) -> float:
    """Return the memory of `exact_plan` in GB for a cost matrix (n, m): 40 n m bytes."""
    return 8 * _N_MATRICES * n * m / 1e9


def _with_gap(
    cost: np.ndarray, a: np.ndarray, b: np.ndarray, plan: Plan, potentials: Duals
) -> tuple[ExactPlan, float]:
    """Return the plan with its cost and duality gap, and the L1 error of its marginals."""
    rows, columns, mass = plan.rows, plan.columns, plan.mass
    value = float(mass @ cost[rows, columns])
    gap = value - lower_bound(cost, a, b, potentials[0])
    measured = ExactPlan(rows, columns, mass, value, gap, potentials)
    return measured, marginal_error(rows, columns, mass, a, b)


def _is_proven(plan: ExactPlan, error: float, cost: np.ndarray) -> bool:
    return bool(plan.gap <= TOLERANCE * cost.mean() and error <= TOLERANCE)


def _rescale(plan: ExactPlan, unit: float) -> ExactPlan:
    u, v = plan.potentials
    return replace(
        plan, cost=plan.cost * unit, gap=plan.gap * unit, potentials=(u * unit, v * unit)
    )


def lower_bound(cost: np.ndarray, a: np.ndarray, b: np.ndarray, potential: np.ndarray) -> float:
    """Return the dual value of a row potential, shape (n,), a lower bound of the cost.

    Two c-transforms, v_j = min_i c_ij - u_i and then u_i = min_j c_ij - v_j, make it feasible:
    u_i + v_j <= c_ij. By weak duality a.u + b.v is a lower bound of the cost of every plan.
    """
    v = column_minimum(cost, potential)
    u = row_minimum(cost, v)
    return float(a @ u + b @ v)


def marginal_error(
    rows: np.ndarray, columns: np.ndarray, mass: np.ndarray, a: np.ndarray, b: np.ndarray
) -> float:
    """Return the L1 error of the plan's row and column sums."""
    row_sums = np.bincount(rows, mass, minlength=len(a))
    column_sums = np.bincount(columns, mass, minlength=len(b))
    return float(np.abs(row_sums - a).sum() + np.abs(column_sums - b).sum())


def lazy_exact_plan(
    x: np.ndarray,
    y: np.ndarray,
    a: np.ndarray | None = None,
    b: np.ndarray | None = None,
) -> ExactPlan:
    """Return the exact plan of squared Euclidean costs without a cost matrix.

    The network simplex recomputes each cost from the coordinates, so memory grows with n + m. In 5
    dimensions it is about 1.6 times slower than `exact_plan`, in 50 about 10 times.

    Parameters
    ----------
    x, y
        Coordinates, shapes (n, d) and (m, d).
    a, b
        Masses of rows and columns; None for uniform masses.

    Returns
    -------
    The plan with its cost, duals and duality gap, as `exact_plan` returns it.

    Raises
    ------
    SolverError
        If the plan is not proven optimal.
    """
    a, b = normalise_masses(a, len(x)), normalise_masses(b, len(y))
    x, y, unit = scale_jointly(x, y)
    inside, outside = a > 0, b > 0
    _, log = ot.lp.emd2_lazy(
        x[inside], y[outside], a[inside], b[outside], numItermax=MAX_ITER, log=True
    )
    entries = log["G"].tocsr().tocoo()
    rows, columns = np.flatnonzero(inside)[entries.row], np.flatnonzero(outside)[entries.col]
    mass = entries.data
    value = float(mass @ np.square(x[rows] - y[columns]).sum(axis=1))
    v = _c_transform(y, x[inside], log["u"])
    u = _c_transform(x, y, v)
    gap = value - float(a @ u + b @ v)
    error = marginal_error(rows, columns, mass, a, b)
    if not (gap <= TOLERANCE and error <= TOLERANCE):
        raise SolverError(
            f"optimal transport of {len(x)} x {len(y)} points is not proven optimal: cost "
            f"{value * unit:.6g}, gap {gap * unit:.3g}, marginal error {error:.3g}"
        )
    return ExactPlan(rows, columns, mass, value * unit, gap * unit, (u * unit, v * unit))


def _c_transform(x: np.ndarray, y: np.ndarray, potential: np.ndarray) -> np.ndarray:
    """Return the c-transform min_j |x_i - y_j|^2 - potential_j, shape (n,)."""
    parts = [
        (cdist(x[start : start + _CHUNK], y, "sqeuclidean") - potential).min(axis=1)
        for start in range(0, len(x), _CHUNK)
    ]
    return np.concatenate(parts)
