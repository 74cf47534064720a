"""Paths: where a pair is at time t, and how fast it moves."""

from cellflow.paths.bridge import BridgePath
from cellflow.paths.sample import Path, PathSample
from cellflow.paths.straight import StraightPath
from cellflow.paths.target import TargetPath
from cellflow.paths.variance_preserving import VariancePreservingPath

__all__ = [
    "BridgePath",
    "Path",
    "PathSample",
    "StraightPath",
    "TargetPath",
    "VariancePreservingPath",
]
