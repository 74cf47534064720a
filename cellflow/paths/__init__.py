"""Paths: where a pair is at time t, and how fast it moves."""

from cellflow.paths.bridge import BridgePath
from cellflow.paths.geodesic import Geopath, MetricPath
from cellflow.paths.hermite import HermitePath
from cellflow.paths.riemannian import IntervalMetrics, LandMetric, Metric, RBFMetric
from cellflow.paths.sample import Path, PathSample
from cellflow.paths.straight import StraightPath
from cellflow.paths.target import TargetPath
from cellflow.paths.variance_preserving import VariancePreservingPath
from cellflow.paths.wfr import WFRPath

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
