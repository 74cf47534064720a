"""Default number of steps of solvers with fixed steps."""

from __future__ import annotations

import math

from torch import Tensor

#: Steps per unit of flow time, which is the mean interval between two time points. On fitted flows
#: of three data sets (methods default, ot-cfm, sf2m) rk4 with 25 steps is off by less than 5e-4 of
#: the spread of the cells for 99 % of them over an interval, and 3e-3 over the whole course. Many
#: flows need fewer steps; the stiffest decides.
STEPS_PER_UNIT_TIME = {"euler": 100, "midpoint": 100, "rk4": 25, "euler-maruyama": 100}


def count_steps(solver: str, span: float | Tensor, per_unit: float | None = None) -> int:
    """Return the number of equal steps for a span of flow time; the longest of several counts.

    There are `per_unit` steps per unit of flow time; None takes those of the solver.
    """
    if isinstance(span, Tensor):
        span = float(span.abs().max()) if len(span) else 0.0
    rate = STEPS_PER_UNIT_TIME[solver] if per_unit is None else per_unit
    return max(1, math.ceil(round(rate * abs(span), 4)))
