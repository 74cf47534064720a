"""Integration of velocity fields: only a callable `v(t, x)` is needed."""

from cellflow.integrate.ode import SOLVERS, Solution, solve

__all__ = ["SOLVERS", "Solution", "solve"]
