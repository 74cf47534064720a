"""Integrals along the trajectories of an ordinary differential equation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from cellflow._checks import check_choice
from cellflow._typing import Points, Rows, Times, VelocityField
from cellflow.integrate.ode import solve
from cellflow.integrate.solution import Solution, check_solution

Integrals = Float[Tensor, "t n"]

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
    **options: Any,
) -> Rows:
    """Compute the log-density at `stop` of a density at `start`, transported by a flow.

    log p(x) = log p_start(y) - integral of div v from start to stop, along the trajectory from y
    to x (instantaneous change of variables; Chen et al. 2018, arXiv 1806.07366, theorem 1).

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
    options
        Arguments of `solve`.

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

    def field(t: Rows, here: Points) -> tuple[Points, Rows]:
        # Reverse mode takes half the time of forward mode, and all networks have it.
        with torch.enable_grad():
            point = here.detach().requires_grad_(True)
            value = velocity(t, point)
            return value.detach(), _divergence(value, point, signs)

    solution, integral = solve_augmented(field, x, [stop, start], **options)
    density = base(solution.end) + integral[-1]
    check_solution(density[None], "log-densities")
    return density


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
