"""Integration of ordinary and stochastic differential equations."""

from cellflow.integrate.augmented import TRACES, accumulate, log_density, solve_jointly
from cellflow.integrate.average_velocity import solve_mean_flow
from cellflow.integrate.heun import Guide, check_unit_interval, heun, noise_levels
from cellflow.integrate.jacobian import jacobian
from cellflow.integrate.ode import FIXED_STEP, solve
from cellflow.integrate.own_time import own_time
from cellflow.integrate.sde import solve_sde
from cellflow.integrate.solution import Solution

__all__ = [
    "FIXED_STEP",
    "TRACES",
    "Guide",
    "Solution",
    "accumulate",
    "check_unit_interval",
    "heun",
    "jacobian",
    "log_density",
    "noise_levels",
    "own_time",
    "solve",
    "solve_jointly",
    "solve_mean_flow",
    "solve_sde",
]
