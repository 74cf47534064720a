"""The one door to the optimal transport solvers, POT and lapx."""

from cellflow.transport.assignment import assign
from cellflow.transport.costs import distances, squared_distances
from cellflow.transport.entropic import entropic_plan
from cellflow.transport.exact import ExactPlan, exact_plan
from cellflow.transport.plan import Plan
from cellflow.transport.unbalanced import partial_plan, relaxed_plan, unbalanced_plan

__all__ = [
    "ExactPlan",
    "Plan",
    "assign",
    "distances",
    "entropic_plan",
    "exact_plan",
    "partial_plan",
    "relaxed_plan",
    "squared_distances",
    "unbalanced_plan",
]
