"""Steps of any length by average velocities, which need no solver."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from cellflow._typing import Points, Rows
from cellflow.integrate.solution import Solution

#: u(t, r, x): the average velocity from t, where the points are at x, to r.
Average = Callable[[Rows, Rows, Points], Points]


@torch.no_grad()
def solve_mean_flow(
    average: Average,
    x: Points,
    times: Sequence[float],
    *,
    knots: Sequence[float] = (),
    n_steps: int = 1,
    time_offset: Rows | float = 0.0,
) -> Solution:
    """Carry points to each time from the first one, or from the last knot on the way.

    Parameters
    ----------
    average
        The field u(t, r, x).
    x
        Positions at the first time, shape (n, d).
    times
        Times at which positions are wanted, the start first.
    knots
        Times that no step reaches over, in order.
    n_steps
        Steps to each time and to each knot.
    time_offset
        How far points are ahead of each time but the first, one for all or one a row.

    Returns
    -------
    Positions at all times and the number of evaluations.
    """
    start, anchor, nfe = times[0], x, 0
    path = [x]
    for time in times[1:]:
        for knot in _between(knots, start, time):
            anchor = _average_velocity_steps(average, anchor, start, knot, n_steps)
            start, nfe = knot, nfe + n_steps
        path.append(_average_velocity_steps(average, anchor, start, time + time_offset, n_steps))
        nfe += n_steps
    return Solution(torch.stack(path), nfe)


def _average_velocity_steps(
    average: Average, x: Points, start: float, stop: Rows | float, n_steps: int
) -> Points:
    step = (x.new_zeros(len(x)) + stop - start) / n_steps
    for k in range(n_steps):
        t, r = (start + each * step for each in (k, k + 1))
        x = x + step[:, None] * average(t, r, x)
    return x


def _between(knots: Sequence[float], start: float, stop: float) -> list[float]:
    """Those strictly between two times, in the order of the way."""
    low, high = sorted((start, stop))
    inside = [knot for knot in knots if low < knot < high]
    return inside if start < stop else inside[::-1]
