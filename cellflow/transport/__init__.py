"""The one door to the optimal transport solvers, POT and lapx."""

from cellflow.transport.assignment import assign
from cellflow.transport.costs import distances, squared_distances
from cellflow.transport.exact import Plan, exact_plan

__all__ = ["Plan", "assign", "distances", "exact_plan", "squared_distances"]
