"""The populations in time that a flow is fitted to."""

from cellflow.marginals.clock import fit_time_axis
from cellflow.marginals.conditioned import ConditionCosts, ConditionedNoise, balanced_weight
from cellflow.marginals.gaussian import Gaussian
from cellflow.marginals.population import Population
from cellflow.marginals.time_axis import ExtrapolatedTimeAxis, TimeAxis
from cellflow.marginals.time_course import Marginals

__all__ = [
    "ConditionCosts",
    "ConditionedNoise",
    "ExtrapolatedTimeAxis",
    "Gaussian",
    "Marginals",
    "Population",
    "TimeAxis",
    "balanced_weight",
    "fit_time_axis",
]
