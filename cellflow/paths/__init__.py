"""Conditional paths: position and velocity of a pair at a flow time between its ends."""

from cellflow.paths.gaussian_paths import (
    BridgePath,
    HermitePath,
    StraightPath,
    TargetPath,
    VariancePreservingPath,
)
from cellflow.paths.metric_path import Geopath, MetricPath
from cellflow.paths.path import Path, PathSample
from cellflow.paths.riemannian import IntervalMetrics, LandMetric, Metric, RBFMetric
from cellflow.paths.wfr_path import WFRPath

__all__ = [
    "BridgePath",
    "Geopath",
    "HermitePath",
    "IntervalMetrics",
    "LandMetric",
    "Metric",
    "MetricPath",
    "Path",
    "PathSample",
    "RBFMetric",
    "StraightPath",
    "TargetPath",
    "VariancePreservingPath",
    "WFRPath",
]
