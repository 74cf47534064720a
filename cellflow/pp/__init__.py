"""Preprocessing verbs: when cells were taken, how they grow, and the space that flows live in."""

from cellflow.pp._embed import embed
from cellflow.pp._growth import growth
from cellflow.pp._time_points import time_points

__all__ = ["embed", "growth", "time_points"]
