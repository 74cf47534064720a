"""Stochastic differential equations dx = f(t, x) dt + g dW with constant g."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch

from cellflow._checks import check_positive
from cellflow._random import normal_like
from cellflow._typing import Points, VelocityField
from cellflow.integrate.ode import AfterStep
from cellflow.integrate.solution import Solution
from cellflow.integrate.steps import count_steps


@torch.no_grad()
def solve_sde(
    drift: VelocityField,
    diffusion: float,
    x: Points,
    times: Sequence[float],
    generator: torch.Generator,
    *,
    n_steps: int | None = None,
    after_step: AfterStep | None = None,
) -> Solution:
    """Integrate a stochastic differential equation by Euler-Maruyama.

    Parameters
    ----------
    drift
        Field f(t, x), per unit of time in the direction of integration; for decreasing times,
        dx = f |dt| + g dW.
    diffusion
        Constant g, in units of the points per square root of time.
    x
        Positions at the first time, shape (n, d).
    times
        Times of the solution, increasing or decreasing; the first is that of `x`.
    generator
        Source of the noise.
    n_steps
        Steps between consecutive times; None uses a number in proportion to the time
        between (`STEPS_PER_UNIT_TIME`).
    after_step
        Called with the time and the positions after each step; it may raise an error.

    Returns
    -------
    Positions at all times, and the number of evaluations of the drift.

    Raises
    ------
    DivergenceError
        If positions are not finite.
    """
    if n_steps is not None:
        check_positive(n_steps, "n_steps")
    path, nfe = [x], 0
    for start, stop in pairwise(times):
        n_here = n_steps or count_steps("euler-maruyama", stop - start)
        step = (stop - start) / n_here
        length = abs(step)
        for k in range(n_here):
            t = x.new_full((len(x),), start + k * step)
            noise = normal_like(x, generator)
            x = x + length * drift(t, x) + diffusion * math.sqrt(length) * noise
            if after_step is not None:
                after_step(start + (k + 1) * step, x)
        path.append(x)
        nfe += n_here
    return Solution.checked(torch.stack(path), nfe)
