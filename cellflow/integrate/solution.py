"""The solution of a differential equation."""

from __future__ import annotations

from dataclasses import dataclass

from cellflow._typing import Paths, Points


@dataclass(frozen=True)
class Solution:
    """Positions of points at the times of a solver.

    Attributes
    ----------
    x
        Positions, shape (t, n, d).
    nfe
        Number of evaluations of the velocity field.
    """

    x: Paths
    nfe: int

    @property
    def end(self) -> Points:
        """Positions at the last time, shape (n, d)."""
        return self.x[-1]
