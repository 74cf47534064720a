"""Learning-rate schedules: the factor of the step size at a share of the training done."""

from __future__ import annotations

import math
from collections.abc import Callable


def constant(_done: float) -> float:
    """Leave the step size as it is."""
    return 1.0


def cosine(done: float) -> float:
    """Fall to zero along half a cosine (Loshchilov and Hutter 2017, equation 5)."""
    return 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


SCHEDULES: dict[str, Callable[[float], float]] = {"constant": constant, "cosine": cosine}
