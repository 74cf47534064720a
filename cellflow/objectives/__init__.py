"""Objectives: training losses of networks on pairs; each draws its own times."""

from cellflow.objectives.edm import EDM
from cellflow.objectives.mean_flow import Guidance, MeanFlow
from cellflow.objectives.metric_energy import MetricEnergy
from cellflow.objectives.objective import (
    LogitNormal,
    Objective,
    TimeSampler,
    condition_at,
    uniform_times,
)
from cellflow.objectives.velocity_regression import AccelerationRegression, VelocityRegression

__all__ = [
    "EDM",
    "AccelerationRegression",
    "Guidance",
    "LogitNormal",
    "MeanFlow",
    "MetricEnergy",
    "Objective",
    "TimeSampler",
    "VelocityRegression",
    "condition_at",
    "uniform_times",
]
