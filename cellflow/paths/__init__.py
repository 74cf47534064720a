"""Conditional paths: position and velocity of a pair at a flow time between its ends."""

from cellflow.paths.gaussian_paths import (
    BridgePath,
    HermitePath,
    StraightPath,
    TargetPath,
    VariancePreservingPath,
)
from cellflow.paths.land import LandMetric, likelihood_width
from cellflow.paths.metric_path import Geopath, MetricPath
from cellflow.paths.path import Path, PathSample
from cellflow.paths.riemannian import IntervalMetrics, Metric, RBFMetric, share_sparser
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
    "likelihood_width",
    "share_sparser",
]
