"""Entropic optimal transport that does not underflow."""

from __future__ import annotations

import warnings

import numpy as np
import ot

from cellflow._checks import check_positive
from cellflow._errors import CellflowWarning
from cellflow.transport.exact import exact_plan
from cellflow.transport.plan import Plan, validate_problem

#: Share of the mass that a plan may misplace.
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
    """Plan of least cost plus `epsilon` times its relative entropy (Cuturi 2013).

    The entropic plan of a cost is that of the cost minus any potentials of rows and columns.
    With those of the exact plan the reduced costs are zero where mass goes and positive
    elsewhere, so nothing underflows however small `epsilon` is, and few iterations are left to do
    where it is small. Potentials are absorbed on the way (Schmitzer 2019, POT's
    `sinkhorn_stabilized`).

    Parameters
    ----------
    cost
        Ground costs, shape (n, m).
    epsilon
        Strength of the entropy, in units of the cost.
    a, b
        Masses of rows and columns; uniform where None.
    tolerance
        Share of the mass that may miss `b`.
    max_iter
        Sinkhorn iterations. Where they do not reach the tolerance, the exact plan stands in, which
        the entropic one tends to as `epsilon` falls, with a warning.

    Returns
    -------
    The plan, whose row sums are `a` and column sums `b` up to the tolerance.
    """
    check_positive(epsilon, "epsilon")
    cost, a, b = validate_problem(cost, a, b)
    exact = exact_plan(cost, a, b)
    u, v = exact.potentials
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # whether it converged is seen below
        matrix = ot.bregman.sinkhorn_stabilized(
            a,
            b,
            cost - u[:, None] - v,
            epsilon,
            numItermax=max_iter,
            # The solver's measure is a Euclidean norm over columns.
            stopThr=tolerance / np.sqrt(len(b)),
        )
    if np.abs(matrix.sum(axis=0) - b).sum() <= tolerance:  # false for NaN
        return Plan.from_matrix(matrix)
    warnings.warn(
        f"entropic transport with epsilon {epsilon:.3g} did not converge on costs of mean "
        f"{cost.mean():.3g}; the exact plan stands in: raise epsilon (or sigma)",
        CellflowWarning,
        stacklevel=2,
    )
    return exact
