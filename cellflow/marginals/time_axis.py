"""The clock of a flow: how elapsed time becomes the time that the net sees."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cellflow._checks import check_choice
from cellflow._errors import InputError
from cellflow.methods.names import TIME_AXES


@dataclass(frozen=True)
class TimeAxis:
    """A piecewise linear, increasing map from elapsed time to flow time.

    Attributes
    ----------
    kind
        `real` keeps proportions between intervals, scaled so that the mean interval is 1;
        `index` counts the time points 0, 1, 2, ..., as published single-cell benchmarks do.
    times
        Elapsed times of all time points of the course, increasing; a held-out one included,
        since when it was taken is known.
    """

    kind: str
    times: tuple[float, ...]

    def __post_init__(self) -> None:
        check_choice(self.kind, TIME_AXES, "time axis")
        if len(self.times) < 2 or not all(np.diff(self.times) > 0):
            raise InputError(f"a time axis needs two or more increasing times, got {self.times}")

    @property
    def positions(self) -> np.ndarray:
        """Flow times of the time points, shape (k,), from 0 to k - 1."""
        index = np.arange(len(self.times), dtype=np.float64)
        if self.kind == "index":
            return index
        elapsed = np.asarray(self.times) - self.times[0]
        return elapsed / elapsed[-1] * index[-1]

    def to_flow(self, time: float) -> float:
        """Flow time of an elapsed time inside the range."""
        if not self.times[0] <= time <= self.times[-1]:
            raise InputError(
                f"time {time:g} is outside the range {self.times[0]:g} to {self.times[-1]:g}"
            )
        return float(np.interp(time, self.times, self.positions))
