"""Integration of ordinary and stochastic differential equations."""

from cellflow.integrate.augmented import TRACES, accumulate, log_density, solve_jointly
from cellflow.integrate.heun import Guide, check_in_one_go, heun, noise_levels
from cellflow.integrate.jacobian import jacobian
from cellflow.integrate.leaps import leap
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
    "check_in_one_go",
    "heun",
    "jacobian",
    "leap",
    "log_density",
    "noise_levels",
    "own_time",
    "solve",
    "solve_jointly",
    "solve_sde",
]
