"""Distances between predicted and real populations, and baselines to compare with."""

from cellflow.metrics.cloud import Cloud
from cellflow.metrics.held_out import (
    BASELINES,
    Baselines,
    PredictionScore,
    Score,
    make_baselines,
)
from cellflow.metrics.kernels import energy_distance, mmd
from cellflow.metrics.moments import cov_error, mean_error, var_ratio
from cellflow.metrics.wasserstein import midpoint, wasserstein

__all__ = [
    "BASELINES",
    "Baselines",
    "Cloud",
    "PredictionScore",
    "Score",
    "cov_error",
    "energy_distance",
    "make_baselines",
    "mean_error",
    "midpoint",
    "mmd",
    "var_ratio",
    "wasserstein",
]
