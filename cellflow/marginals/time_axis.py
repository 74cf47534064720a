"""The clock of a flow: how elapsed time becomes the time that the net sees."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from scipy.interpolate import PchipInterpolator
from scipy.special import expit, logit
from torch import Tensor

from cellflow._checks import check_choice
from cellflow._errors import InputError
from cellflow._random import torch_generator
from cellflow.methods.names import TIME_AXES
from cellflow.transport import distances, exact_plan

#: Share of the way to the next time point that a pace is taken over.
_STEP = 1e-6


@dataclass(frozen=True)
class TimeAxis:
    """An increasing map from elapsed time to flow time.

    Attributes
    ----------
    kind
        `real` keeps proportions between intervals, scaled so that the mean interval is 1;
        `index` counts the time points 0, 1, 2, ..., as published single-cell benchmarks do;
        `learned` counts them too, and between two of them time runs as `lengths` and the
        logarithm of time say.
    times
        Elapsed times of all time points of the course, increasing; on a clock that is not learned
        a held-out one included, since when it was taken is known.
    lengths
        Of `learned`: how far the cells have come at each time, cumulative transport lengths in any
        unit, starting from 0. Empty for the others.
    """

    kind: str
    times: tuple[float, ...]
    lengths: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        check_choice(self.kind, TIME_AXES, "time axis")
        if len(self.times) < 2 or not all(np.diff(self.times) > 0):
            raise InputError(f"a time axis needs two or more increasing times, got {self.times}")
        if len(self.lengths) != (len(self.times) if self.kind == "learned" else 0):
            raise InputError(
                f"a {self.kind} time axis of {len(self.times)} times cannot have "
                f"{len(self.lengths)} lengths"
            )

    @property
    def positions(self) -> np.ndarray:
        """Flow times of the time points, shape (k,), from 0 to k - 1."""
        index = np.arange(len(self.times), dtype=np.float64)
        if self.kind != "real":
            return index
        elapsed = np.asarray(self.times) - self.times[0]
        return elapsed / elapsed[-1] * index[-1]

    def to_flow(self, time: float) -> float:
        """Flow time of an elapsed time inside the range."""
        if not self.times[0] <= time <= self.times[-1]:
            raise InputError(
                f"time {time:g} is outside the range {self.times[0]:g} to {self.times[-1]:g}"
            )
        if self.kind == "learned" and time not in self.times:
            return self._learned(time)
        return float(np.interp(time, self.times, self.positions))

    def clock_rate(self, time: float) -> float:
        """Flow time that passes per unit of elapsed time; the mean of both sides of a time point.

        Velocities and growth rates per unit of flow time, times this, are per unit of elapsed time.
        """
        here = self.to_flow(time)
        sides = [
            [knot for knot in self.times if knot < time][-1:],
            [knot for knot in self.times if knot > time][:1],
        ]
        steps = [_STEP * (knot - time) for side in sides for knot in side]
        return float(np.mean([(self.to_flow(time + step) - here) / step for step in steps]))

    def _learned(self, time: float) -> float:
        """Flow time strictly between two time points.

        Two clocks say which share of the interval has passed: the logarithm of time since the
        start, in first intervals, as development slows down; and the length that the cells have
        come, interpolated monotonically over that logarithm. Their log-odds are averaged.
        """
        elapsed = np.array([*self.times, time]) - self.times[0]
        *knots, moment = np.log1p(elapsed / elapsed[1])
        before = int(np.searchsorted(self.times, time)) - 1
        marks = np.array([knots[before], knots[before + 1], moment])
        clocks = [marks, PchipInterpolator(knots, self.lengths)(marks)]
        # Where the cells stand still, the second clock does, and is not asked.
        shares = [(here - start) / (stop - start) for start, stop, here in clocks if stop > start]
        inside = [logit(share) for share in shares if 0 < share < 1]
        if not inside:  # the time is a time point, up to rounding
            return float(np.interp(time, self.times, self.positions))
        return before + float(expit(np.mean(inside)))


@dataclass(frozen=True)
class ExtrapolatedTimeAxis(TimeAxis):
    """A clock that goes on outside its times, at the mean pace of the interval that is nearest."""

    def to_flow(self, time: float) -> float:
        """Flow time of any elapsed time."""
        if self.times[0] <= time <= self.times[-1]:
            return super().to_flow(time)
        first = 0 if time < self.times[0] else -2
        begin, end = self.times[first], self.times[first + 1]
        low, high = self.positions[first], self.positions[first + 1]
        return float(low + (time - begin) * (high - low) / (end - begin))


#: Cells of a time that are transported to read the clock, and the seed that they are drawn by: a
#: clock hangs on the data alone, so that fits of several seeds share it.
_SAMPLE, _SEED = 1000, 0


def fit_time_axis(
    kind: str,
    times: tuple[float, ...],
    x: Tensor,
    elapsed: np.ndarray,
) -> TimeAxis:
    """The clock of a course.

    Parameters
    ----------
    kind
        Of `TimeAxis`.
    times
        Elapsed times of the course, a held-out one included.
    x, elapsed
        The cells that may be seen, shape (n, d), and their times, shape (n,). A `learned` clock has
        their times alone, and the 2-Wasserstein distances between consecutive ones, of up to 1,000
        cells a time.
    """
    if kind != "learned":
        return TimeAxis(kind, times)
    seen = np.unique(elapsed)
    generator = torch_generator(_SEED)
    samples = [_sample(x[torch.as_tensor(elapsed == time)], generator) for time in seen]
    steps = [_w2(one, other) for one, other in pairwise(samples)]
    lengths = np.concatenate([[0.0], np.cumsum(steps)])
    return TimeAxis(kind, tuple(seen.tolist()), tuple(lengths.tolist()))


def _sample(x: Tensor, generator: torch.Generator) -> np.ndarray:
    drawn = torch.randperm(len(x), generator=generator)[:_SAMPLE]
    return x[drawn].double().cpu().numpy()


def _w2(x: np.ndarray, y: np.ndarray) -> float:
    return float(np.sqrt(max(exact_plan(distances(x, y) ** 2).cost, 0.0)))
