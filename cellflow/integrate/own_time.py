"""Points that do not arrive at one time."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from cellflow._typing import Points, Rows, VelocityField


def own_time(field: Callable[[Rows, Points], Tensor], start: float, spans: Rows) -> VelocityField:
    """The field, in the share of each point's own time that has passed.

    Solved for t from 0 to 1 it carries every point from `start` to `start` plus its own span.

    Parameters
    ----------
    field
        Velocity, shape (n, d), or rate, shape (n,), at (t, x).
    start
        Time that all points are at first.
    spans
        How long each moves, shape (n,); negative where it moves back.
    """

    def along(t: Rows, x: Points) -> Tensor:
        slope = field(start + t * spans, x)
        return slope * spans.reshape(-1, *[1] * (slope.ndim - 1))

    return along
