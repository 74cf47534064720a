"""Learning-rate schedules: the factor of the step size at a share of the training done."""

from __future__ import annotations

import math
from collections.abc import Callable

from cellflow.methods.recipes import Recipe


def constant(_done: float) -> float:
    """Leave the step size as it is."""
    return 1.0


def cosine(done: float) -> float:
    """Fall to zero along half a cosine (Loshchilov and Hutter 2017, equation 5)."""
    return 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


SCHEDULES: dict[str, Callable[[float], float]] = {"constant": constant, "cosine": cosine}


def rate_at(recipe: Recipe, done: int) -> float:
    """Step size after `done` steps; the first of a warm-up is zero."""
    rise = min(done / recipe.warmup, 1.0) if recipe.warmup else 1.0
    return recipe.learning_rate * rise * SCHEDULES[recipe.schedule](done / recipe.n_steps)
