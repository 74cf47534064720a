"""Bounds on moved points: how far from the data they may be, and in how many steps they get there.

Outside its times a flow extrapolates, and velocities that point outward take cells away at an
exponential rate. A fit that diverged, or weights that were altered, do so within an interval.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from cellflow._checks import format_number
from cellflow._errors import DivergenceError, InputError
from cellflow._log import progress_bar
from cellflow._typing import Paths, Points
from cellflow.flow.trajectory import Trajectory
from cellflow.integrate import DIVERGED, STEPS_PER_UNIT_TIME, AfterStep, count_steps
from cellflow.marginals import ExtrapolatedTimeAxis, TimeAxis
from cellflow.nets import Fields

#: Largest distance of a moved point from the centre of the data, in units of `Reach`. Flows of
#: two data sets took cells to 11 at most when they were pushed one length of the course beyond its
#: ends. Where cells passed 100, at two lengths or more, the next doubling of the time made it 1e4.
_FARTHEST = 100.0

#: Largest change of the logarithm of a mass: exp(700) is about the largest number in float64.
_MAX_LOG_MASS = 700.0

#: Largest number of fixed steps of a trajectory that leaves the times of a flow.
_MAX_STEPS = 20_000


@dataclass(frozen=True)
class Reach:
    """Bound on the distance of moved points from the centre of the data.

    Attributes
    ----------
    centre
        Centre of the data, shape (d,).
    unit
        Distance of the farthest point before the move, or root mean square distance of the data if
        that is more.
    """

    centre: Float[Tensor, " d"]
    unit: float

    @classmethod
    def of(cls, nets: Fields, x: Points) -> Reach:
        """Return the bound for points `x` that nets move."""
        centre, scale = nets.units
        farthest = float((x - centre).norm(dim=1).max()) if len(x) else 0.0
        return cls(centre, max(scale * len(centre) ** 0.5, farthest))

    def distances(self, x: Points | Paths) -> Tensor:
        """Return the distances of points from the centre, in units."""
        return (x - self.centre).norm(dim=-1) / self.unit

    def check(self, paths: Paths, log_mass: Float[Tensor, "t n"]) -> None:
        """Raise `DivergenceError` if points are too far, or masses too large or too small."""
        distances = self.distances(paths)
        if not (distances <= _FARTHEST).all():
            index = int((~(distances <= _FARTHEST)).any(dim=1).nonzero()[0])
            raise DivergenceError(describe_far(distances[index]), index=index)
        beyond = log_mass.abs() > _MAX_LOG_MASS
        if beyond.any():
            index = int(beyond.any(dim=1).nonzero()[0])
            fact = f"the masses of {int(beyond[index].sum()):,} of {beyond.shape[1]:,} points"
            raise DivergenceError(f"{fact} change by factors beyond 1e304", index=index)

    @contextmanager
    def watching(self, axis: ExtrapolatedTimeAxis, n_steps: int) -> Iterator[AfterStep]:
        """Yield what to call after each step outside the times of a flow: it stops at the bound.

        Progress is shown on stderr if the steps take more than two seconds.
        """
        with progress_bar(n_steps, "extrapolate", "step") as bar:

            def after_step(t: float | Tensor, x: Points) -> None:
                bar.update()
                distances = self.distances(x[:, : len(self.centre)])
                if not (distances <= _FARTHEST).all():
                    where = describe_outside(axis, axis.to_elapsed(float(t)))
                    raise DivergenceError(f"{describe_far(distances)}, {where}")

            yield after_step


def move_within_reach(
    integrate: Callable[[AfterStep | None], Trajectory],
    nets: Fields,
    axis: TimeAxis,
    x: Points,
    times: Sequence[float],
    solver: str,
    n_steps: int | None,
    n_chunks: int = 1,
) -> Trajectory:
    """Integrate points, and refuse numbers that are not finite and points far from the data.

    Outside the times of a flow both are found after each step of a fixed size.

    Parameters
    ----------
    integrate
        Integrates the points, with a function to call after each step.
    nets, axis
        Fields and clock of the flow.
    x, times
        Points at the first of the elapsed times.
    solver, n_steps
        As in `Flow.trajectory`, or `sra1`.
    n_chunks
        Number of chunks that the points are integrated in.

    Raises
    ------
    InputError
        If an extrapolation takes more than 20,000 fixed steps.
    DivergenceError
        If numbers are not finite or points leave the data.
    """
    reach, way_out = Reach.of(nets, x), DIVERGED
    watching: AbstractContextManager[AfterStep | None] = nullcontext()
    farthest = max(times, key=lambda time: lengths_outside(axis, time))
    if isinstance(axis, ExtrapolatedTimeAxis) and lengths_outside(axis, farthest):
        way_out = (
            f"time {format_number(farthest)} is {describe_outside(axis, farthest)}, and nothing "
            "was measured there; take a nearer time"
        )
        if solver in STEPS_PER_UNIT_TIME:
            spans = [abs(b - a) for a, b in pairwise(map(axis.to_flow, times))]
            n_here = sum(n_steps or count_steps(solver, span) for span in spans)
            if n_here > _MAX_STEPS:
                raise InputError(f"{n_here:,} steps are more than {_MAX_STEPS:,}: {way_out}")
            watching = reach.watching(axis, n_here * n_chunks)
    with explain_divergence(times, way_out):
        with watching as after_step:
            found = integrate(after_step)
        reach.check(found.x, found.log_mass)
    return found


@contextmanager
def explain_divergence(times: Sequence[float], way_out: str = DIVERGED) -> Iterator[None]:
    """Name the elapsed time in any `DivergenceError` of the block, and what to do about it."""
    try:
        yield
    except DivergenceError as error:
        when = "" if error.index is None else f" at time {format_number(times[error.index])}"
        raise DivergenceError(f"{error.fact}{when}", way_out) from None


def describe_far(distances: Float[Tensor, " n"]) -> str:
    """Say how many of the points at some distances are too far, and how far they are."""
    far = distances[~(distances <= _FARTHEST)].nan_to_num(torch.inf)
    return (
        f"{len(far):,} of {len(distances):,} points leave the data, up to {float(far.max()):.3g} "
        "times as far from its centre as the farthest started"
    )


def lengths_outside(axis: TimeAxis, time: float) -> float:
    """Return how far an elapsed time is outside a course, in lengths of the course."""
    first, last = axis.times[0], axis.times[-1]
    return max(first - time, time - last, 0.0) / (last - first)


def describe_outside(axis: TimeAxis, time: float) -> str:
    """Say how far an elapsed time is outside a course, in lengths of the course."""
    first, last = axis.times[0], axis.times[-1]
    side = f"after its last time, {format_number(last)}"
    if time < first:
        side = f"before its first time, {format_number(first)}"
    return f"{lengths_outside(axis, time):.3g} times the length of the course {side}"
