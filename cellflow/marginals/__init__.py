"""Marginals: the cells of each time point, noise, and the map from elapsed to flow time."""

from cellflow.marginals.gaussian import Gaussian
from cellflow.marginals.marginals import Marginals
from cellflow.marginals.population import Population
from cellflow.marginals.time_axis import ExtrapolatedTimeAxis, TimeAxis, fit_time_axis

__all__ = [
    "ExtrapolatedTimeAxis",
    "Gaussian",
    "Marginals",
    "Population",
    "TimeAxis",
    "fit_time_axis",
]
