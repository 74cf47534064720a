"""Ordinary differential equations dx/dt = v(t, x): Runge-Kutta steps, adaptive by torchdiffeq."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from cellflow._checks import check_choice, check_positive
from cellflow._errors import InputError, SolverError
from cellflow._typing import Paths, Points, Times, VelocityField
from cellflow.integrate.heun import Guide, check_unit_interval, heun
from cellflow.integrate.solution import Solution
from cellflow.integrate.steps import count_steps
from cellflow.methods.names import ODE_SOLVERS


@dataclass(frozen=True)
class Tableau:
    """An explicit Runge-Kutta method: stage times, stage weights, final weights."""

    times: tuple[float, ...]
    stages: tuple[tuple[float, ...], ...]
    weights: tuple[float, ...]


FIXED_STEP = {
    "euler": Tableau((0,), ((),), (1,)),
    "midpoint": Tableau((0, 1 / 2), ((), (1 / 2,)), (0, 1)),
    "rk4": Tableau(
        (0, 1 / 2, 1 / 2, 1),
        ((), (1 / 2,), (0, 1 / 2), (0, 0, 1)),
        (1 / 6, 1 / 3, 1 / 3, 1 / 6),
    ),
}

#: Function of the time, or one per point, and the positions after a step.
AfterStep = Callable[[float | Tensor, Points], None]

#: Maximum number of steps of an adaptive solver between two times.
_MAX_STEPS = 20_000


class _Counted:
    """A velocity field at one time for all points, or one per row, that counts evaluations."""

    def __init__(self, velocity: VelocityField) -> None:
        self.velocity = velocity
        self.calls = 0

    def __call__(self, t: float | Tensor, x: Points) -> Points:
        self.calls += 1
        return self.velocity(torch.as_tensor(t).to(x).reshape(-1).expand(len(x)), x)


@torch.no_grad()
def solve(
    velocity: VelocityField,
    x: Points,
    times: Times,
    *,
    solver: str = "rk4",
    n_steps: int | None = None,
    rate: float | None = None,
    tolerance: float = 1e-5,
    rho: float = 7.0,
    guide: Guide | None = None,
    after_step: AfterStep | None = None,
) -> Solution:
    """Integrate points along a velocity, forward or backward in time.

    Parameters
    ----------
    velocity
        Field v(t, x), with t of shape (n,) and x of shape (n, d).
    x
        Positions at the first time, shape (n, d).
    times
        Flow times of the solution, increasing or decreasing; the first is that of `x`. A tensor of
        shape (t, n) has one column per point.
    solver
        One of `euler`, `midpoint`, `rk4` (fixed steps), `dopri5`, `dopri8`, `bosh3` and
        `adaptive_heun` (torchdiffeq), or `edm-heun` (`heun`), from standard normal noise at time 0
        to data at time 1 only.
    n_steps
        Fixed steps between each two consecutive times; None uses 18 for `edm-heun`, and for the
        others a number in proportion to the time between.
    rate
        Fixed steps per unit of time if `n_steps` is None; None uses `STEPS_PER_UNIT_TIME`.
    tolerance
        Absolute and relative tolerance of the adaptive solvers.
    rho
        Exponent of the noise levels of `edm-heun`.
    guide
        Guidance of `edm-heun`.
    after_step
        Called with the time and the positions after each step of `euler`, `midpoint` and `rk4`; it
        may raise an error.

    Returns
    -------
    Positions at all times, and the number of evaluations of the velocity.

    Raises
    ------
    InputError
        For an unknown solver, an invalid number of steps, times other than 0 and 1 with `edm-heun`,
        or a guide with another solver.
    SolverError
        If an adaptive solver needs a step size of 0, or more than 20,000 steps.
    DivergenceError
        If positions are not finite.
    """
    check_choice(solver, ODE_SOLVERS, "solver")
    if n_steps is not None:
        check_positive(n_steps, "n_steps")
    if solver == "edm-heun":
        if isinstance(times, Tensor):
            raise InputError(
                "solver 'edm-heun' has one time for all points; take another, such as 'rk4'"
            )
        check_unit_interval(times)
        return heun(velocity, x, n_steps=n_steps or 18, rho=rho, guide=guide)
    if guide is not None:
        raise InputError(f"guidance goes with solver 'edm-heun', not with {solver!r}")
    field = _Counted(velocity)
    # Times per row become columns, which broadcast over the dimensions of the points.
    times = times.to(x)[:, :, None] if isinstance(times, Tensor) else times
    if solver in FIXED_STEP:

        def count(span: float | Tensor) -> int:
            return n_steps or count_steps(solver, span, rate)

        path = _by_steps(field, x, times, FIXED_STEP[solver], count, after_step)
    elif isinstance(times, Tensor):
        path = _by_tolerance_per_row(field, x, times, solver, tolerance)
    else:
        path = _by_tolerance(field, x, times, solver, tolerance)
    return Solution.checked(path, field.calls)


def _by_steps(
    field: _Counted,
    x: Points,
    times: Sequence[float] | Tensor,
    tableau: Tableau,
    count: Callable[[float | Tensor], int],
    after_step: AfterStep | None,
) -> Paths:
    path = [x]
    for start, stop in pairwise(times):
        n_here = count(stop - start)
        step = (stop - start) / n_here
        for k in range(n_here):
            x = x + _increment(field, tableau, start + k * step, x, step)
            if after_step is not None:
                after_step(start + (k + 1) * step, x)
        path.append(x)
    return torch.stack(path)


def _by_tolerance_per_row(
    field: _Counted, x: Points, times: Tensor, solver: str, tolerance: float
) -> Paths:
    """Solve in s = (t - start) / (stop - start), which is one time for all rows."""
    path = [x]
    for start, stop in pairwise(times):

        def scaled(
            share: Tensor, x: Points, start: Tensor = start, span: Tensor = stop - start
        ) -> Points:
            return span * field(start + share * span, x)

        path.append(_by_tolerance(scaled, path[-1], [0.0, 1.0], solver, tolerance)[-1])
    return torch.stack(path)


def _by_tolerance(
    field: Callable[[Tensor, Points], Points],
    x: Points,
    times: Sequence[float],
    solver: str,
    tolerance: float,
) -> Paths:
    from torchdiffeq import odeint

    flow_times = torch.tensor(times, dtype=torch.float64, device=x.device)
    options = {"max_num_steps": _MAX_STEPS}
    try:
        path: Paths = odeint(
            field, x, flow_times, rtol=tolerance, atol=tolerance, method=solver, options=options
        )
    except AssertionError as error:  # raised by torchdiffeq when it stops
        raise SolverError(
            f"solver {solver!r} stopped between times {times[0]:g} and {times[-1]:g} "
            f"({str(error) or 'no step is small enough'}): the velocity is too stiff, or not "
            f"finite; raise tolerance (it is {tolerance:g}) or take fixed steps, solver 'rk4'"
        ) from error
    return path


def _increment(
    field: _Counted, tableau: Tableau, t: float | Tensor, x: Points, step: float | Tensor
) -> Points:
    slopes: list[Tensor] = []
    for time, weights in zip(tableau.times, tableau.stages, strict=True):
        inner = x + step * _combine(weights, slopes) if slopes else x
        slopes.append(field(t + time * step, inner))
    return step * _combine(tableau.weights, slopes)


def _combine(weights: Sequence[float], slopes: Sequence[Tensor]) -> Tensor:
    terms = [weight * slope for weight, slope in zip(weights, slopes, strict=True) if weight]
    return torch.stack(terms).sum(dim=0) if len(terms) > 1 else terms[0]
