"""Optimal transport solvers; the only package that imports POT and lapx."""

from cellflow.transport.assignment import assign
from cellflow.transport.cost_matrix import distances, squared_distances
from cellflow.transport.entropic import entropic_plan
from cellflow.transport.exact import ExactPlan, exact_plan
from cellflow.transport.kl_unbalanced import mm_unbalanced_plan
from cellflow.transport.plan import Plan
from cellflow.transport.unbalanced import partial_plan, unbalanced_plan

__all__ = [
    "ExactPlan",
    "Plan",
    "assign",
    "distances",
    "entropic_plan",
    "exact_plan",
    "mm_unbalanced_plan",
    "partial_plan",
    "squared_distances",
    "unbalanced_plan",
]
