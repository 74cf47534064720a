"""Default number of steps of solvers with fixed steps."""

from __future__ import annotations

import math

from torch import Tensor

#: Steps per unit of flow time, which is the mean interval between two time points. On flows of two
#: data sets (methods default, ot-cfm and sf2m) 25 steps of rk4 are off by 5e-4 of the spread of the
#: cells for 99 % of them, where the flow bends most, and 16 steps by 4e-3.
STEPS_PER_UNIT_TIME = {"euler": 100, "midpoint": 100, "rk4": 25, "euler-maruyama": 100}


def count_steps(solver: str, span: float | Tensor) -> int:
    """Return the number of equal steps for a span of flow time; the longest of several counts."""
    if isinstance(span, Tensor):
        span = float(span.abs().max()) if len(span) else 0.0
    return max(1, math.ceil(round(STEPS_PER_UNIT_TIME[solver] * abs(span), 4)))
