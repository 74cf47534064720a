"""Number of steps of solvers with fixed steps: a default, or by their error on some points."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

#: Default steps per unit of flow time, which is the mean interval between two time points.
STEPS_PER_UNIT_TIME = {"euler": 100, "midpoint": 100, "rk4": 25, "sra1": 25}

#: Largest steps per unit of flow time when steps are chosen by error.
_LAST = 100.0

#: Factor by which more steps are taken than the error asks for.
_SAFETY = 1.5

#: Points that an error is measured on.
SAMPLE_SIZE = 128


@dataclass(frozen=True)
class ErrorControl:
    """Settings by which the number of steps of a solver is chosen.

    Attributes
    ----------
    order
        Order of convergence.
    tolerance
        Error aimed at for 99 % of the points, in units of their spread.
    per_unit
        Whether it is that of each unit of flow time, so that longer paths may be off by more.
    first
        Steps per unit of flow time that are tried first.
    """

    order: float
    tolerance: float
    per_unit: bool
    first: float


#: Solvers whose steps are chosen by error. That of stochastic paths is of each path along its own
#: noise; errors of their means are about a fifth of it.
ERROR_CONTROL = {
    "rk4": ErrorControl(order=4, tolerance=5e-4, per_unit=True, first=4),
    "sra1": ErrorControl(order=1.5, tolerance=5e-3, per_unit=False, first=8),
}


def count_steps(solver: str, span: float | Tensor, per_unit: float | None = None) -> int:
    """Return the number of equal steps for a span of flow time; the longest of several counts.

    There are `per_unit` steps per unit of flow time; None takes those of the solver.
    """
    if isinstance(span, Tensor):
        span = float(span.abs().max()) if len(span) else 0.0
    rate = STEPS_PER_UNIT_TIME[solver] if per_unit is None else per_unit
    return max(1, math.ceil(round(rate * abs(span), 4)))


def choose_rate(solver: str, spans: Sequence[float], error: Callable[[float], float]) -> float:
    """Return the steps per unit of flow time with which the error is as small as aimed at.

    The number of steps is doubled until the error of twice as many is known to be below that; the
    order of the solver says how many in between suffice. Errors that are not finite give the
    default.

    Parameters
    ----------
    solver
        A key of `ERROR_CONTROL`.
    spans
        Spans of flow time between the times of the solution, negative backward.
    error
        Error of a rate, in units of the spread of the points: the difference from twice as many
        steps.
    """
    control = ERROR_CONTROL[solver]
    longest = max(map(abs, spans), default=0.0)
    least = 1 / longest if longest else 0.0  # one step
    tolerance = control.tolerance * max(1.0, abs(sum(spans)) if control.per_unit else 0.0)
    rate = max(control.first, least)
    while True:
        found = error(rate)
        if not math.isfinite(found):
            return float(STEPS_PER_UNIT_TIME[solver])
        # Below half the rate the order says nothing that was measured.
        wanted = rate * max(0.5, _SAFETY * (found / tolerance) ** (1 / control.order))
        if wanted <= 2 * rate or 2 * rate >= _LAST:
            return min(wanted, max(_LAST, least))
        rate *= 2


def spaced_rows(n: int) -> Tensor:
    """Return up to `SAMPLE_SIZE` row numbers, evenly spaced among n."""
    return torch.linspace(0, max(n - 1, 0), min(n, SAMPLE_SIZE)).round().long()


def path_error(coarse: Tensor, fine: Tensor) -> float:
    """Return the 99th percentile over points of the largest difference of their paths.

    Paths have shape (t, n, d), in units of the spread of the points.
    """
    if not coarse.shape[1]:
        return 0.0
    differences = (coarse - fine).norm(dim=2).amax(dim=0)
    return float(torch.quantile(differences.float(), 0.99))
