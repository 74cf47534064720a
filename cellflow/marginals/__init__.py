"""The populations in time that a flow is fitted to."""

from cellflow.marginals.population import Population
from cellflow.marginals.time_axis import TimeAxis
from cellflow.marginals.time_course import Marginals

__all__ = ["Marginals", "Population", "TimeAxis"]
