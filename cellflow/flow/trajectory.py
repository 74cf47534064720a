"""Moved points and their mass."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from cellflow.integrate import Solution


@dataclass(frozen=True)
class Trajectory(Solution):
    """Points and their mass at several times.

    Attributes
    ----------
    x
        Positions, shape (t, n, d).
    nfe
        Evaluations of the velocity that each point took.
    log_mass
        Logarithm of each point's mass over its mass at the first time, shape (t, n); zero where the
        flow conserves mass.
    """

    log_mass: Float[Tensor, "t n"]
