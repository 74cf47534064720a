"""Moved points and their mass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
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

    @classmethod
    def cat(cls, chunks: Sequence[Trajectory]) -> Trajectory:
        """Stack the points of trajectories through the same times."""
        if len(chunks) == 1:
            return chunks[0]
        x, log_mass = (
            torch.cat([getattr(each, name) for each in chunks], dim=1) for name in ("x", "log_mass")
        )
        return cls(x, max(each.nfe for each in chunks), log_mass)
