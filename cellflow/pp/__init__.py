"""Preprocessing: times of cells, their representation, their growth rates.

`time_points` reads elapsed times, `embed` makes the representation in which flows are fitted,
`growth` estimates growth rates from gene sets.
"""

from cellflow.pp._embed import embed
from cellflow.pp._growth import growth
from cellflow.pp._time_points import time_points

__all__ = ["embed", "growth", "time_points"]
