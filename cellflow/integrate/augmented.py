"""Integrals along the trajectories of an ordinary differential equation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from cellflow._checks import check_choice
from cellflow._typing import Points, Rows, Times, VelocityField
from cellflow.integrate.ode import solve
from cellflow.integrate.solution import Solution

Integrals = Float[Tensor, "t n"]

#: Estimators of the divergence.
TRACES = ("exact", "hutchinson")

#: Directional derivatives computed at a time.
_DIRECTIONS = 16


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
    """
    check_choice(trace, TRACES, "trace")
    signs = None
    if trace == "hutchinson":
        signs = torch.randint(2, x.shape, generator=generator, device=x.device).to(x) * 2 - 1

    def field(t: Rows, here: Points) -> tuple[Points, Rows]:
        directions = torch.eye(here.shape[1]).to(here)[:, None] if signs is None else signs[None]

        def along(direction: Tensor) -> Tensor:
            tangent = direction.expand_as(here)
            change = torch.func.jvp(lambda p: velocity(t, p), (here,), (tangent,))[1]
            return (change * tangent).sum(dim=1)

        # Fused attention has no forward-mode derivative.
        with sdpa_kernel(SDPBackend.MATH):
            divergence = torch.func.vmap(along, chunk_size=_DIRECTIONS)(directions).sum(dim=0)
        return velocity(t, here), divergence

    solution, integral = solve_augmented(field, x, [stop, start], **options)
    return base(solution.end) + integral[-1]
