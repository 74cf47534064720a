"""Steps along an average velocity, as learned by mean flows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from cellflow._typing import Points, Rows
from cellflow.integrate.solution import Solution

#: Average velocity u(t, r, x) from t, where points are at x, to r.
AverageVelocity = Callable[[Rows, Rows, Points], Points]


@torch.no_grad()
def solve_mean_flow(
    average: AverageVelocity,
    x: Points,
    times: Sequence[float],
    *,
    knots: Sequence[float] = (),
    n_steps: int = 1,
    time_offset: Float[Tensor, "*t n"] | float = 0.0,
) -> Solution:
    """Integrate points along an average velocity: x_r = x_t + (r - t) u(t, r, x_t).

    Each time is reached from the first one, or from the last knot before it.

    Parameters
    ----------
    average
        The field u(t, r, x).
    x
        Positions at the first time, shape (n, d).
    times
        Times of the solution, increasing or decreasing; the first is that of `x`.
    knots
        Increasing times that no step crosses, such as the time points of the data.
    n_steps
        Number of equal steps to each time and to each knot.
    time_offset
        Offset added to each time but the first: a number, one per row, shape (n,), or one per time
        and row, shape (t - 1, n).

    Returns
    -------
    Positions at all times, and the number of evaluations of `average`.
    """
    start, anchor, nfe = times[0], x, 0
    path = [x]
    own = torch.as_tensor(time_offset).to(x).expand(len(times) - 1, len(x))
    for time, offset in zip(times[1:], own, strict=True):
        for knot in _between(knots, start, time):
            anchor = _average_velocity_steps(average, anchor, start, knot, n_steps)
            start, nfe = knot, nfe + n_steps
        path.append(_average_velocity_steps(average, anchor, start, time + offset, n_steps))
        nfe += n_steps
    return Solution.checked(torch.stack(path), nfe)


def _average_velocity_steps(
    average: AverageVelocity, x: Points, start: float, stop: Rows | float, n_steps: int
) -> Points:
    step = (x.new_zeros(len(x)) + stop - start) / n_steps
    for k in range(n_steps):
        t, r = (start + each * step for each in (k, k + 1))
        x = x + step[:, None] * average(t, r, x)
    return x


def _between(knots: Sequence[float], start: float, stop: float) -> list[float]:
    """Return the knots strictly between two times, in the direction of integration."""
    low, high = sorted((start, stop))
    inside = [knot for knot in knots if low < knot < high]
    return inside if start < stop else inside[::-1]
