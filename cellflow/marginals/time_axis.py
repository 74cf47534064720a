"""The time axis of a flow: the map from elapsed time to the flow time that the nets see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import torch
from scipy.interpolate import PchipInterpolator
from scipy.special import boxcox1p
from torch import Tensor

from cellflow._checks import check_choice, format_list, format_number
from cellflow._errors import InputError
from cellflow._random import torch_generator
from cellflow.methods.names import TIME_AXES
from cellflow.transport import distances, exact_plan

#: Weights of the three estimates of a learned clock: slowed time, transport length, elapsed time.
_WEIGHTS = (0.375, 0.375, 0.25)

#: Standard deviations of the logarithm of a transport length, and of the exponent around 0.
_LENGTH_ERROR, _PRIOR_WIDTH = 0.3, 0.5

#: Finite difference of `clock_rate`, relative to the distance to the next time point.
_STEP = 1e-6


@dataclass(frozen=True)
class TimeAxis:
    """An increasing map from elapsed time to flow time.

    Attributes
    ----------
    kind
        `real` is proportional to elapsed time, with a mean interval of 1; `index` numbers the time
        points 0, 1, 2, ..., as published single-cell benchmarks do; `learned` numbers them too, and
        interpolates between them by `lengths` and a time that slows down as these tell.
    times
        Elapsed times of all time points, increasing. Unless the axis is learned, a held-out time
        is included, because it is known when it was sampled.
    lengths
        For `learned`: cumulative transport length at each time, in any unit, starting from 0. Empty
        otherwise.
    """

    kind: str
    times: tuple[float, ...]
    lengths: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        check_choice(self.kind, TIME_AXES, "time axis")
        if len(self.times) < 2 or not all(np.diff(self.times) > 0):
            raise InputError(f"a time axis requires 2 or more increasing times, got {self.times}")
        if len(self.lengths) != (len(self.times) if self.kind == "learned" else 0):
            raise InputError(
                f"a {self.kind} time axis of {len(self.times)} times cannot have "
                f"{len(self.lengths)} lengths"
            )
        if self.kind == "learned" and not all(
            (np.diff(self._slow_down(self.times, exponent)) > 0).all() for exponent in (0.0, 1.0)
        ):
            raise InputError(
                f"times {format_list(map(format_number, self.times))} have intervals too different "
                "for a learned clock, which cannot tell the shorter ones from none; choose another "
                "time_axis (--time-axis index), or other times"
            )

    @property
    def positions(self) -> np.ndarray:
        """Flow times of the k time points, shape (k,), from 0 to k - 1."""
        index = np.arange(len(self.times), dtype=np.float64)
        if self.kind != "real":
            return index
        elapsed = np.asarray(self.times) - self.times[0]
        return elapsed / elapsed[-1] * index[-1]

    def to_flow(self, time: float) -> float:
        """Return the flow time of an elapsed time within the range."""
        if not self.times[0] <= time <= self.times[-1]:
            raise InputError(
                f"time {format_number(time)} is outside the range {format_number(self.times[0])} "
                f"to {format_number(self.times[-1])} of the flow; choose a time within it, or fit "
                "a flow to cells of that time too"
            )
        if self.kind == "learned" and time not in self.times:
            return self._interpolate_learned(time)
        return float(np.interp(time, self.times, self.positions))

    def clock_rate(self, time: float) -> float:
        """Return the derivative of flow time with respect to elapsed time.

        At a time point it is the mean of both one-sided derivatives. Multiplying velocities and
        growth rates by it converts them from per flow time to per elapsed time.
        """
        here = self.to_flow(time)
        sides = [
            [knot for knot in self.times if knot < time][-1:],
            [knot for knot in self.times if knot > time][:1],
        ]
        steps = [_STEP * (knot - time) for side in sides for knot in side]
        return float(np.mean([(self.to_flow(time + step) - here) / step for step in steps]))

    def describe(self) -> str:
        """Return the kind of the clock, and how much a learned one slows down."""
        return self.kind + (f", exponent {self.exponent:g}" if self.kind == "learned" else "")

    @cached_property
    def exponent(self) -> float:
        """Exponent p of a learned clock, from 0 to 1; 1 on other clocks.

        Populations that move at a constant speed have p = 1, and the time that counts is elapsed
        time; with p = 0 they slow down and it is the logarithm. It fits the transport length of
        each interval, up to a common factor, by least squares of logarithms with errors of 0.3, and
        is drawn to 0 as by a normal prior of standard deviation 0.5.
        """
        if self.kind != "learned":
            return 1.0
        steps = np.diff(self.lengths)
        if not (steps > 0).all():
            return 0.0
        candidates = np.linspace(0, 1, 101)
        lengths = np.diff(self._slow_down(self.times, candidates[:, None]))
        residuals = np.log(steps) - np.log(lengths)
        residuals -= residuals.mean(axis=1, keepdims=True)
        errors = np.square(residuals / _LENGTH_ERROR).sum(axis=1)
        penalties = np.square(candidates / _PRIOR_WIDTH)
        return float(candidates[np.argmin(errors + penalties)])

    def _slow_down(self, times: Sequence[float], exponent: float | np.ndarray) -> np.ndarray:
        """Return ((1 + u)^p - 1) / p, log(1 + u) for p = 0, with u in units of the first interval.

        It is the integral of a speed (1 + u)^(p - 1).
        """
        first = self.times[1] - self.times[0]
        return boxcox1p((np.asarray(times) - self.times[0]) / first, exponent)

    def _interpolate_learned(self, time: float) -> float:
        """Return the flow time of a time strictly between two time points.

        The elapsed share of the interval is estimated in three ways, which are averaged: by the
        time of a course that slows down as transport lengths tell (`exponent`), by the transport
        length, interpolated monotonically over that time, and, with less weight, by elapsed time.
        The slope of the length may be 0 at a time point, so a mean of log-odds would stand still
        there, and with it all velocities per elapsed time.
        """
        exponent = self.exponent
        before = int(np.searchsorted(self.times, time)) - 1
        ends = [self.times[before], self.times[before + 1], time]
        slowed = self._slow_down(ends, exponent)
        knots = self._slow_down(self.times, exponent)
        length = PchipInterpolator(knots, self.lengths)(slowed)
        # If the cells do not move in this interval, the transport length gives no share.
        shares, weights = zip(
            *(
                ((here - start) / (stop - start), weight)
                for (start, stop, here), weight in zip(
                    (slowed, length, ends), _WEIGHTS, strict=True
                )
                if stop > start
            ),
            strict=True,
        )
        return before + float(np.average(shares, weights=weights))


@dataclass(frozen=True)
class ExtrapolatedTimeAxis(TimeAxis):
    """A time axis that is extrapolated linearly from its first and last interval."""

    def to_flow(self, time: float) -> float:
        """Return the flow time of any elapsed time."""
        if self.times[0] <= time <= self.times[-1]:
            return super().to_flow(time)
        first = 0 if time < self.times[0] else -2
        begin, end = self.times[first], self.times[first + 1]
        low, high = self.positions[first], self.positions[first + 1]
        return float(low + (time - begin) * (high - low) / (end - begin))

    def to_elapsed(self, flow_time: float) -> float:
        """Return the elapsed time of a flow time; that inside an interval is interpolated."""
        if self.positions[0] <= flow_time <= self.positions[-1]:
            return float(np.interp(flow_time, self.positions, self.times))
        first = 0 if flow_time < self.positions[0] else -2
        begin, end = self.times[first], self.times[first + 1]
        low, high = self.positions[first], self.positions[first + 1]
        return float(begin + (flow_time - low) * (end - begin) / (high - low))


#: Largest number of cells per time from which transport lengths are estimated, and the seed of the
#: sample. It is fixed so that the time axis depends on the data only.
_N_SAMPLE, _SEED = 500, 0

#: Least share of a squared distance that is left after the noise of sampling is subtracted.
_LEAST_SHARE = 0.05


def fit_time_axis(
    kind: str,
    times: tuple[float, ...],
    x: Tensor,
    elapsed: np.ndarray,
) -> TimeAxis:
    """Return the time axis of a time course.

    Parameters
    ----------
    kind
        Kind of `TimeAxis`.
    times
        Elapsed times of the time course, including a held-out one.
    x, elapsed
        Training cells, shape (n, d), and their elapsed times, shape (n,). A `learned` axis uses
        only these times, and the 2-Wasserstein distances between consecutive ones, of up to 500
        cells each, above what two samples of one population are apart.
    """
    if kind != "learned":
        return TimeAxis(kind, times)
    observed = np.unique(elapsed)
    generator = torch_generator(_SEED)
    samples = [_sample(x[torch.as_tensor(elapsed == time)], generator) for time in observed]
    steps = [_w2(one, other) for one, other in pairwise(samples)]
    lengths = np.concatenate([[0.0], np.cumsum(steps)])
    return TimeAxis(kind, tuple(observed.tolist()), tuple(lengths.tolist()))


def _sample(x: Tensor, generator: torch.Generator) -> np.ndarray:
    drawn = torch.randperm(len(x), generator=generator)[:_N_SAMPLE]
    return x[drawn].double().cpu().numpy()


def _w2(x: np.ndarray, y: np.ndarray) -> float:
    """Return the 2-Wasserstein distance above that of samples of one population.

    The latter is that of the halves of both samples, and falls as n^(-1/d) with their size, or
    n^(-1/2) in one dimension (Fournier and Guillin 2015, arXiv 1312.2128).
    """
    n = min(len(x), len(y))
    x, y = x[:n], y[:n]
    squared = exact_plan(distances(x, y) ** 2).cost
    half = n // 2
    if half:
        within = [exact_plan(distances(z[:half], z[half : 2 * half]) ** 2).cost for z in (x, y)]
        noise = float(np.mean(within)) * 2 ** (-2 / max(x.shape[1], 2))
        squared = max(squared - noise, _LEAST_SHARE * squared)
    return float(np.sqrt(max(squared, 0.0)))
