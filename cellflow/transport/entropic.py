"""Entropic optimal transport without underflow."""

from __future__ import annotations

import warnings

import numpy as np
import ot

from cellflow._checks import check_positive
from cellflow._errors import CellflowWarning
from cellflow.transport.exact import exact_plan
from cellflow.transport.plan import Plan, validate_problem

#: Largest L1 error of the column sums of a plan.
TOLERANCE = 0.02

_MAX_ITER = 2000


def entropic_plan(
    cost: np.ndarray,
    epsilon: float,
    a: np.ndarray | None = None,
    b: np.ndarray | None = None,
    *,
    tolerance: float = TOLERANCE,
    max_iter: int = _MAX_ITER,
) -> Plan:
    """Return the entropy-regularised optimal transport plan (Cuturi 2013).

    It minimises the cost plus `epsilon` times the relative entropy of the plan. The plan does not
    change if potentials of rows and columns are subtracted from the cost. With the duals of the
    exact plan the reduced costs are zero on its support and positive elsewhere, so nothing
    underflows for any `epsilon`, and few iterations remain if it is small. Potentials are absorbed
    during the iterations (Schmitzer 2019, POT's `sinkhorn_stabilized`).

    Parameters
    ----------
    cost
        Cost matrix, shape (n, m).
    epsilon
        Entropic regularisation, in units of the cost.
    a, b
        Masses of rows and columns; None for uniform masses.
    tolerance
        Largest L1 error of the column sums.
    max_iter
        Largest number of Sinkhorn iterations. If they do not reach the tolerance, the exact plan is
        returned, the limit of the entropic one as `epsilon` decreases, with a warning.

    Returns
    -------
    Plan whose row sums are `a` and column sums `b`, up to the tolerance.
    """
    check_positive(epsilon, "epsilon")
    cost, a, b = validate_problem(cost, a, b)
    exact = exact_plan(cost, a, b)
    u, v = exact.potentials
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # convergence is checked below
        matrix = ot.bregman.sinkhorn_stabilized(
            a,
            b,
            cost - u[:, None] - v,
            epsilon,
            numItermax=max_iter,
            # The solver measures the error by the Euclidean norm over columns.
            stopThr=tolerance / np.sqrt(len(b)),
        )
    if np.abs(matrix.sum(axis=0) - b).sum() <= tolerance:  # false for NaN
        return Plan.from_matrix(matrix)
    warnings.warn(
        f"entropic transport with epsilon {epsilon:.3g} did not converge on costs of mean "
        f"{cost.mean():.3g}; the exact plan is used instead: raise epsilon (or sigma)",
        CellflowWarning,
        stacklevel=2,
    )
    return exact
