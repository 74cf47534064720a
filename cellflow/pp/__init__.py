"""Preprocessing verbs: when cells were taken, and the space that flows live in."""

from cellflow.pp._embed import embed
from cellflow.pp._time_points import time_points

__all__ = ["embed", "time_points"]
