"""Stochastic differential equations dx = f(t, x) dt + g dW with constant g."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from cellflow._checks import check_positive
from cellflow._random import normal_like, torch_generator
from cellflow._typing import Points, VelocityField
from cellflow.integrate.ode import AfterStep
from cellflow.integrate.solution import Solution
from cellflow.integrate.steps import count_steps


@dataclass(frozen=True)
class BrownianSteps:
    """Brownian paths W over equal steps, as the solver needs them.

    Attributes
    ----------
    length
        Length of a step.
    change
        Change of W over each step, shape (k, n, d).
    area
        Integral over each step of the change since its start, shape (k, n, d).
    """

    length: float
    change: Tensor
    area: Tensor

    @classmethod
    def draw(
        cls, x: Points, n_steps: int, length: float, generator: torch.Generator
    ) -> BrownianSteps:
        """Draw the paths of points, shape (n, d)."""
        shape = x.expand(n_steps, *x.shape)
        change, other = (normal_like(shape, generator) * math.sqrt(length) for _ in range(2))
        return cls(length, change, length / 2 * (change + other / math.sqrt(3)))

    def halve(self) -> BrownianSteps:
        """Return the same paths over half as many steps of twice the length."""
        first, second = self.change[::2], self.change[1::2]
        area = self.area[::2] + self.area[1::2] + self.length * first
        return BrownianSteps(2 * self.length, first + second, area)


@torch.no_grad()
def solve_sde(
    drift: VelocityField,
    diffusion: float,
    x: Points,
    times: Sequence[float],
    generator: torch.Generator,
    *,
    n_steps: int | None = None,
    rate: float | None = None,
    after_step: AfterStep | None = None,
) -> Solution:
    """Integrate a stochastic differential equation by the stochastic Runge-Kutta method SRA1.

    For noise that does not depend on the points its order is 1.5 for each path and 2 for their
    law, with two evaluations a step (Roessler 2010, SIAM Journal on Numerical Analysis 48:922).

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
        between.
    rate
        Steps per unit of time if `n_steps` is None; None uses `STEPS_PER_UNIT_TIME`.
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
        n_here = n_steps or count_steps("sra1", stop - start, rate)
        step = (stop - start) / n_here
        for k in range(n_here):
            noise = BrownianSteps.draw(x, 1, abs(step), generator)
            x = _sra1_steps(drift, diffusion, x, start + k * step, step, noise)
            if after_step is not None:
                after_step(start + (k + 1) * step, x)
        path.append(x)
        nfe += 2 * n_here
    return Solution.checked(torch.stack(path), nfe)


def compare_steps(
    drift: VelocityField, diffusion: float, x: Points, times: Sequence[float], rate: float
) -> tuple[Solution, Solution]:
    """Integrate along the same noise with `rate` steps per unit of time, and with twice as many.

    The noise is that of a generator of its own, so that no other draw changes.
    """
    generator = torch_generator(0, x.device)
    ends, paths, n_steps = [x, x], ([x], [x]), 0
    for start, stop in pairwise(times):
        n_here = count_steps("sra1", stop - start, rate)
        step = (stop - start) / n_here
        fine = BrownianSteps.draw(x, 2 * n_here, abs(step) / 2, generator)
        ways = (step, fine.halve()), (step / 2, fine)
        for k, (each, noise) in enumerate(ways):
            ends[k] = _sra1_steps(drift, diffusion, ends[k], start, each, noise)
            paths[k].append(ends[k])
        n_steps += n_here
    coarse, fine_path = map(torch.stack, paths)
    return Solution.checked(coarse, 2 * n_steps), Solution.checked(fine_path, 4 * n_steps)


def _sra1_steps(
    drift: VelocityField,
    diffusion: float,
    x: Points,
    start: float,
    step: float,
    noise: BrownianSteps,
) -> Points:
    """Return the points after steps along given Brownian paths; `step` is negative backward."""
    length = noise.length or 1.0  # steps of no length have no noise either
    for k, (change, area) in enumerate(zip(noise.change, noise.area, strict=True)):
        t = x.new_full((len(x),), start + k * step)
        first = drift(t, x)
        inner = x + 0.75 * noise.length * first + 1.5 * diffusion / length * area
        second = drift(t + 0.75 * step, inner)
        x = x + noise.length * (first + 2 * second) / 3 + diffusion * change
    return x
