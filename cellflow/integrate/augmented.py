"""Integrals along the trajectories of an ordinary differential equation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from scipy.interpolate import make_interp_spline
from torch import Tensor

from cellflow._checks import check_choice
from cellflow._typing import Points, Rows, Times, VelocityField
from cellflow.integrate.ode import solve
from cellflow.integrate.solution import Solution, check_solution
from cellflow.integrate.steps import count_steps

Integrals = Float[Tensor, "t n"]

#: Steps of `rk4` per unit of time, and values of the divergence: on two data sets the error of
#: log-densities is at most that of 25 steps with a divergence at each of their four evaluations.
_STEPS_PER_UNIT_TIME = 32

#: Estimators of the divergence.
TRACES = ("exact", "hutchinson")


def solve_augmented(
    field: Callable[[Rows, Points], tuple[Points, Rows]],
    x: Points,
    times: Times,
    **options: Any,
) -> tuple[Solution, Integrals]:
    """Integrate points along a velocity, and a rate along their trajectories.

    Parameters
    ----------
    field
        Velocity, shape (n, d), and rate, shape (n,), at (t, x).
    x
        Positions at the first time, shape (n, d).
    times
        As in `solve`.
    options
        Arguments of `solve`; the solver cannot be `edm-heun`, whose states are not points of
        the path.

    Returns
    -------
    The solution, and the integrals of the rate up to each time, shape (t, n).
    """

    def augmented(t: Rows, x: Points) -> Points:
        velocity, rate = field(t, x[:, :-1])
        return torch.cat([velocity, rate[:, None]], dim=1)

    state = torch.cat([x, x.new_zeros((len(x), 1))], dim=1)
    solution = solve(augmented, state, times, **options)
    return Solution(solution.x[:, :, :-1], solution.nfe), solution.x[:, :, -1]


def log_density(
    velocity: VelocityField,
    base: Callable[[Points], Rows],
    x: Points,
    start: float,
    stop: float,
    *,
    trace: str = "exact",
    generator: torch.Generator | None = None,
    n_steps: int | None = None,
) -> Rows:
    """Compute the log-density at `stop` of a density at `start`, transported by a flow.

    log p(x) = log p_start(y) - integral of div v from start to stop, along the trajectory from y
    to x (instantaneous change of variables; Chen et al. 2018, arXiv 1806.07366, theorem 1).

    The divergence takes d derivatives, so it is computed at the ends of the steps of `rk4` alone,
    and the spline of degree 5 through these values is integrated.

    Parameters
    ----------
    velocity
        Differentiable field v(t, x).
    base
        Log-density at `start`.
    x
        Points of evaluation, shape (n, d).
    start, stop
        Times.
    trace
        `exact` computes d derivatives per evaluation; `hutchinson` one, along random signs that
        are fixed for the whole solve, an unbiased estimate.
    generator
        Source of the random signs; required for `hutchinson`.
    n_steps
        Number of steps; None uses 32 per unit of time.

    Returns
    -------
    Log-densities, shape (n,).

    Raises
    ------
    DivergenceError
        If positions or log-densities are not finite.
    """
    check_choice(trace, TRACES, "trace")
    signs = None
    if trace == "hutchinson":
        signs = torch.randint(2, x.shape, generator=generator, device=x.device).to(x) * 2 - 1
    n_steps = n_steps or count_steps("rk4", stop - start, _STEPS_PER_UNIT_TIME)
    nodes = np.linspace(stop, start, n_steps + 1).tolist()
    weights = spline_weights(n_steps) * (start - stop) / n_steps
    integral = torch.zeros_like(x[:, 0])
    for k, (time, weight) in enumerate(zip(nodes, weights.tolist(), strict=True)):
        # Reverse mode takes half the time of forward mode, and all networks have it.
        with torch.enable_grad():
            point = x.detach().requires_grad_(True)
            value = velocity(point.new_full((len(x),), time), point)
            divergence = _divergence(value, point, signs)
        integral = integral + weight * divergence
        if k < n_steps:
            x = solve(velocity, x, nodes[k : k + 2], n_steps=1).end
    density = base(x) + integral
    check_solution(density[None], "log-densities")
    return density


def spline_weights(n_steps: int) -> np.ndarray:
    """Return weights of values at 0, 1, ..., n in the integral of the spline through them.

    Its degree is 5, or the largest odd number up to `n_steps`.
    """
    degree = min(5, n_steps - 1 + n_steps % 2)
    spline = make_interp_spline(np.arange(n_steps + 1), np.eye(n_steps + 1), k=degree)
    return np.asarray(spline.integrate(0, n_steps))


def _divergence(value: Points, point: Points, signs: Points | None) -> Rows:
    """Return the divergence of a velocity at points, or its estimate along random signs."""
    if not value.requires_grad:
        return torch.zeros_like(value[:, 0])  # constant
    if signs is not None:
        (slope,) = torch.autograd.grad(value, point, signs, materialize_grads=True)
        return (slope * signs).sum(dim=1)
    divergence = torch.zeros_like(value[:, 0])
    for k in range(point.shape[1]):
        last = k == point.shape[1] - 1
        (slope,) = torch.autograd.grad(
            value[:, k].sum(), point, retain_graph=not last, materialize_grads=True
        )
        divergence = divergence + slope[:, k]
    return divergence
