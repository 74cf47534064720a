"""Unbalanced entropic optimal transport, and partial optimal transport."""

from __future__ import annotations

import warnings

import numpy as np
import ot
from scipy.special import logsumexp

from cellflow._checks import check_positive
from cellflow._errors import CellflowWarning, InputError, SolverError
from cellflow.transport.plan import Plan, validate_problem

_MAX_ITER = 2000
_TOLERANCE = 1e-4


def unbalanced_plan(
    cost: np.ndarray,
    epsilon: float,
    tau_a: float,
    tau_b: float,
    a: np.ndarray | None = None,
    b: np.ndarray | None = None,
) -> Plan:
    """Return the entropic plan whose marginals are penalised by Kullback-Leibler divergences.

    Parameters
    ----------
    cost
        Cost matrix, shape (n, m).
    epsilon
        Entropic regularisation, in units of the cost.
    tau_a, tau_b
        Penalties of row and column marginals, tau = lambda / (lambda + epsilon) for a penalty of
        weight lambda; 1 enforces the marginal, smaller values relax it.
    a, b
        Masses of rows and columns; None for uniform masses.

    Returns
    -------
    The plan; its total mass is not fixed.

    Raises
    ------
    SolverError
        If the plan is not finite or has no mass.

    References
    ----------
    Chizat et al. 2018, Scaling algorithms for unbalanced transport problems; Eyring et al. 2024,
    arXiv 2311.15100 (tau).
    """
    check_positive(epsilon, "epsilon")
    for name, tau in (("tau_a", tau_a), ("tau_b", tau_b)):
        if not 0 < tau <= 1:
            raise InputError(f"{name} must be above 0 and at most 1, got {tau}")
    cost, a, b = validate_problem(cost, a, b)
    weights = tuple(np.inf if tau == 1 else epsilon * tau / (1 - tau) for tau in (tau_a, tau_b))
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # the plan is checked below
        # POT's stabilised variant does not converge to this plan, so problems that underflow are
        # solved in the log domain below.
        matrix, log = ot.unbalanced.sinkhorn_unbalanced(
            a, b, cost, epsilon, weights, numItermax=_MAX_ITER, stopThr=_TOLERANCE, log=True
        )
        converged = bool(log["err"]) and log["err"][-1] <= _TOLERANCE
    if not np.isfinite(matrix).all() or (matrix.sum(axis=1) == 0).any():
        matrix, converged = _log_domain_plan(cost, epsilon, (tau_a, tau_b), a, b)
    plan = make_plan(matrix, cost, "raise epsilon or tau_a and tau_b")
    if not converged:
        warnings.warn(
            f"unbalanced transport with epsilon {epsilon:.3g} did not converge in {_MAX_ITER} "
            "iterations; the last plan is used: raise epsilon, or lower tau_a and tau_b",
            CellflowWarning,
            stacklevel=2,
        )
    return plan


def _log_domain_plan(
    cost: np.ndarray, epsilon: float, taus: tuple[float, float], a: np.ndarray, b: np.ndarray
) -> tuple[np.ndarray, bool]:
    """Return the plan by slower iterations in the log domain, and whether they converged."""
    f, g = np.zeros(len(a)), np.zeros(len(b))
    for _ in range(_MAX_ITER):
        before = f
        f = -taus[0] * epsilon * logsumexp((g - cost) / epsilon, axis=1, b=b)
        g = -taus[1] * epsilon * logsumexp((f[:, None] - cost) / epsilon, axis=0, b=a[:, None])
        if converged := bool(np.abs(f - before).max() <= _TOLERANCE * epsilon):
            break
    return a[:, None] * b * np.exp((f[:, None] + g - cost) / epsilon), converged


def partial_plan(
    cost: np.ndarray,
    share: float,
    a: np.ndarray | None = None,
    b: np.ndarray | None = None,
) -> Plan:
    """Return the optimal plan that transports a `share` of the mass (Caffarelli and McCann 2010).

    Parameters
    ----------
    cost
        Cost matrix, shape (n, m).
    share
        Mass to transport, above 0 and at most 1.
    a, b
        Masses of rows and columns; None for uniform masses.
    """
    if not 0 < share <= 1:
        raise InputError(f"the share of mass to move must be above 0 and at most 1, got {share}")
    cost, a, b = validate_problem(cost, a, b)
    # Masses may sum to slightly less than one, and the solver rejects a larger share.
    matrix = ot.partial.partial_wasserstein(a, b, cost, m=min(share, a.sum(), b.sum()))
    return make_plan(matrix, cost, "raise the share of mass")


def make_plan(matrix: np.ndarray, cost: np.ndarray, advice: str) -> Plan:
    """Return the plan of a solver's dense matrix, and raise `SolverError` if it failed."""
    if not np.isfinite(matrix).all() or not matrix.sum() > 0:
        raise SolverError(
            f"unbalanced transport failed on costs of mean {cost.mean():.3g}: {advice}"
        )
    return Plan.from_matrix(matrix)
