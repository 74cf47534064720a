"""Distances between predicted and real populations, and baselines to compare with."""

from cellflow.metrics.baselines import (
    BASELINES,
    MIXTURE,
    NEAREST,
    REFERENCES,
    Baselines,
    PredictionScore,
    Score,
    make_baselines,
    make_condition_baselines,
)
from cellflow.metrics.cloud import Cloud
from cellflow.metrics.distances import (
    cov_error,
    energy_distance,
    mean_error,
    midpoint,
    mmd,
    var_ratio,
    wasserstein,
)
from cellflow.metrics.permutation import permutation_test, split_distances
from cellflow.metrics.replicates import OTHERS, OTHERS_SHIFTED, replicate_distance

__all__ = [
    "BASELINES",
    "MIXTURE",
    "NEAREST",
    "OTHERS",
    "OTHERS_SHIFTED",
    "REFERENCES",
    "Baselines",
    "Cloud",
    "PredictionScore",
    "Score",
    "cov_error",
    "energy_distance",
    "make_baselines",
    "make_condition_baselines",
    "mean_error",
    "midpoint",
    "mmd",
    "permutation_test",
    "replicate_distance",
    "split_distances",
    "var_ratio",
    "wasserstein",
]
