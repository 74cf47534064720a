"""Integration of ordinary and stochastic differential equations."""

from cellflow.integrate.augmented import TRACES, log_density, solve_augmented
from cellflow.integrate.heun import Guide, check_in_one_go, heun, noise_levels
from cellflow.integrate.jacobian import jacobian
from cellflow.integrate.leaps import leap
from cellflow.integrate.ode import FIXED_STEP, solve
from cellflow.integrate.sde import solve_sde
from cellflow.integrate.solution import Solution
from cellflow.integrate.steps import STEPS_PER_UNIT_TIME, count_steps

__all__ = [
    "FIXED_STEP",
    "STEPS_PER_UNIT_TIME",
    "TRACES",
    "Guide",
    "Solution",
    "check_in_one_go",
    "count_steps",
    "heun",
    "jacobian",
    "leap",
    "log_density",
    "noise_levels",
    "solve",
    "solve_augmented",
    "solve_sde",
]
