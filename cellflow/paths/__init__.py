"""Paths: where a pair is at time t, and how fast it moves."""

from cellflow.paths.sample import Path, PathSample
from cellflow.paths.straight import StraightPath

__all__ = ["Path", "PathSample", "StraightPath"]
