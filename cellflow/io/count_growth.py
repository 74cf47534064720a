"""Growth that numbers of cells would mean if they were sizes of the population."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from cellflow._checks import format_number
from cellflow.io.time_points import TimePoints, plural_unit


@dataclass(frozen=True)
class CountGrowth:
    """Change of the number of cells between two consecutive times.

    Attributes
    ----------
    start, stop
        The two times.
    doublings
        log2 of the ratio of the numbers of cells; negative where the later time has fewer.
    """

    start: float
    stop: float
    doublings: float

    @property
    def per_time(self) -> float:
        """Doublings per unit of elapsed time."""
        return self.doublings / (self.stop - self.start)


def count_growth(points: TimePoints) -> list[CountGrowth]:
    """Return the change of the number of cells over each interval."""
    ends = pairwise(zip(points.times, points.counts, strict=True))
    return [
        CountGrowth(start, stop, float(np.log2(after / before)))
        for (start, before), (stop, after) in ends
    ]


def per_unit(points: TimePoints) -> str:
    """Return `per day`, or `per unit of time` if the unit is not known."""
    return f"per {points.unit}" if plural_unit(points.unit) else "per unit of time"


def describe_count_growth(points: TimePoints) -> str:
    """Describe the doublings of the number of cells over each interval, and their rate."""
    each = ", ".join(
        f"{format_number(change.start)} to {format_number(change.stop)}: "
        f"{change.doublings:+.2f} ({change.per_time:+.2g})"
        for change in count_growth(points)
    )
    return f"doublings in an interval ({per_unit(points)}): {each}"
