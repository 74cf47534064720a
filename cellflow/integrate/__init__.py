"""Integration of ordinary and stochastic differential equations."""

from cellflow.integrate.augmented import TRACES, accumulate, log_density
from cellflow.integrate.ode import FIXED_STEP, Solution, solve
from cellflow.integrate.sde import solve_sde

__all__ = ["FIXED_STEP", "TRACES", "Solution", "accumulate", "log_density", "solve", "solve_sde"]
