"""The solution of a differential equation."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from cellflow._errors import DivergenceError
from cellflow._typing import Paths, Points

#: What may have made numbers that are not finite, and the way out.
DIVERGED = (
    "the fit of this flow diverged, or its file was damaged; fit again with a lower learning_rate"
)


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

    @classmethod
    def checked(cls, x: Paths, nfe: int) -> Solution:
        """Return a solution whose numbers are finite.

        Raises
        ------
        DivergenceError
            If some are not.
        """
        check_solution(x, "points")
        return cls(x, nfe)

    @property
    def end(self) -> Points:
        """Positions at the last time, shape (n, d)."""
        return self.x[-1]


def check_solution(values: Tensor, what: str) -> None:
    """Raise `DivergenceError` unless all values of a solution, shape (t, n, ...), are finite."""
    finite = values.isfinite()
    if finite.all():
        return
    bad = ~finite.flatten(start_dim=2).all(dim=2) if values.ndim > 2 else ~finite
    index = int(bad.any(dim=1).nonzero()[0])
    n_bad = int(bad[index].sum())
    raise DivergenceError(f"{n_bad:,} of {bad.shape[1]:,} {what} are not finite", DIVERGED, index)
