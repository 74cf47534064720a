"""Integration of ordinary and stochastic differential equations."""

from cellflow.integrate.augmented import TRACES, log_density, solve_augmented
from cellflow.integrate.average_velocity import solve_mean_flow
from cellflow.integrate.heun import Guide, check_unit_interval, heun, noise_levels
from cellflow.integrate.jacobian import jacobian
from cellflow.integrate.ode import FIXED_STEP, AfterStep, solve
from cellflow.integrate.sde import compare_steps, solve_sde
from cellflow.integrate.solution import DIVERGED, Solution, check_solution
from cellflow.integrate.steps import (
    ERROR_CONTROL,
    STEPS_PER_UNIT_TIME,
    choose_rate,
    count_steps,
    path_error,
    spaced_rows,
)

__all__ = [
    "DIVERGED",
    "ERROR_CONTROL",
    "FIXED_STEP",
    "STEPS_PER_UNIT_TIME",
    "TRACES",
    "AfterStep",
    "Guide",
    "Solution",
    "check_solution",
    "check_unit_interval",
    "choose_rate",
    "compare_steps",
    "count_steps",
    "heun",
    "jacobian",
    "log_density",
    "noise_levels",
    "path_error",
    "solve",
    "solve_augmented",
    "solve_mean_flow",
    "solve_sde",
    "spaced_rows",
]
