"""How finely solvers with fixed steps integrate, unless the caller says."""

from __future__ import annotations

import math

from torch import Tensor

#: Steps per unit of flow time, which is the mean interval between two time points.
STEPS_PER_UNIT_TIME = {"euler": 100, "midpoint": 100, "rk4": 8, "euler-maruyama": 100}


def count_steps(solver: str, span: float | Tensor) -> int:
    """Return how many equal steps of a solver cover a span of flow time, the longest of several."""
    if isinstance(span, Tensor):
        span = float(span.abs().max()) if len(span) else 0.0
    return max(1, math.ceil(round(STEPS_PER_UNIT_TIME[solver] * abs(span), 6)))
