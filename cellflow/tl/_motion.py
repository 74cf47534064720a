"""Cells that move along a flow, for certain or at random."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from scipy.special import logsumexp

from cellflow._batch import Batch
from cellflow._checks import check_positive
from cellflow._random import torch_generator
from cellflow.flow import Flow
from cellflow.tl._course import Course
from cellflow.training.devices import cpu_threads

#: Steps for one mean interval of the course: of Runge-Kutta of order 4, and with noise.
_STEPS, _NOISY_STEPS = 25, 100


@dataclass(frozen=True)
class Motion:
    """Where cells are at some times.

    Attributes
    ----------
    points
        Coordinates, shape (t, n, d), float32.
    gains
        Logarithm of each cell's mass over that at its start, shape (t, n).
    """

    points: np.ndarray
    gains: np.ndarray


@dataclass(frozen=True)
class Mover:
    """How cells are moved: along the velocity, or as an ensemble with noise.

    Attributes
    ----------
    flow
        The fitted flow.
    n_samples
        Stochastic paths of each cell; None follows the velocity, one path a cell.
    generator
        Of the noise, on the device of the flow.
    """

    flow: Flow
    n_samples: int | None
    generator: torch.Generator

    @classmethod
    def of(cls, flow: Flow, n_samples: int | None, seed: int) -> Mover:
        """Refuse a number of samples that is none."""
        if n_samples is not None:
            check_positive(n_samples, "n_samples")
        return cls(flow, n_samples, torch_generator(seed, flow.device))

    @property
    def copies(self) -> int:
        """Paths of each cell."""
        return self.n_samples or 1

    def move(self, cells: Batch, times: Sequence[float]) -> Motion:
        """Move cells through times, of which the first is their own.

        Paths of one cell follow each other, shape (t, n * copies, d). The CPU computes on as many
        threads as for the fit.
        """
        with cpu_threads(self.flow.settings["recipe"]["threads"]):
            if self.n_samples is not None:
                cells = cells[torch.arange(len(cells)).repeat_interleave(self.copies)]
                return self._noisy(cells, times)
            if self.flow.changes_mass:
                return self._growing(cells, times)
            return self._plain(cells, times)

    def _plain(self, cells: Batch, times: Sequence[float]) -> Motion:
        if len(set(times)) == 1:
            return _motion(cells.x.expand(len(times), *cells.x.shape))
        options = self._steps(times)
        return _motion(self.flow.trajectory(cells.x, times, condition=cells.condition, **options).x)

    def _noisy(self, cells: Batch, times: Sequence[float]) -> Motion:
        moved = self.flow.simulate(
            cells.x,
            times,
            self.generator,
            condition=cells.condition,
            n_steps=max(1, math.ceil(_NOISY_STEPS * self._longest(times))),
        )
        return _motion(moved.x)

    def _growing(self, cells: Batch, times: Sequence[float]) -> Motion:
        points, gains = [cells.x.to(self.flow.device)], [cells.x.new_zeros(len(cells))]
        for start, stop in pairwise(times):
            moved, gained = self.flow.push_with_growth(
                points[-1], start, stop, condition=cells.condition, **self._steps([start, stop])
            )
            points.append(moved)
            gains.append(gains[-1].to(gained) + gained)
        return Motion(*(torch.stack(each).cpu().numpy() for each in (points, gains)))

    def _longest(self, times: Sequence[float]) -> float:
        """The longest stretch between two times that follow each other, in flow time."""
        moments = [self.flow.axis.to_flow(time) for time in times]
        return max(abs(stop - start) for start, stop in pairwise(moments))

    def _steps(self, times: Sequence[float]) -> dict[str, Any]:
        """Options of the solver; a mean flow needs none."""
        if self.flow.is_mean_flow:
            return {}
        return {"n_steps": max(1, math.ceil(_STEPS * self._longest(times)))}


def moved(
    course: Course, mover: Mover, rows: np.ndarray, times: Sequence[float], *, alone: bool
) -> Motion:
    """Cells of one time on their way; gains are the logarithm of the share that each stands for.

    What all cells of a time have grown to is the population of a later one, whichever time they
    were taken at: so cells of several times can be weighed against each other, though they have
    grown for longer and for shorter.

    Parameters
    ----------
    course, mover
        All cells, and how they are moved.
    rows
        Which go, all of one time.
    times
        As of `Mover.move`.
    alone
        Whether they are weighed among themselves only, which all others need not be moved for.
    """
    motion = mover.move(course.batch(rows), times)
    if alone:
        return motion
    others = course.rows(times[0])
    if mover.n_samples is None and mover.flow.changes_mass:
        total = logsumexp(mover.move(course.batch(others), times).gains, axis=1, keepdims=True)
    else:
        total = np.log(len(others))
    return Motion(motion.points, motion.gains - total)


def _motion(points: torch.Tensor) -> Motion:
    moved = points.cpu().numpy()
    return Motion(moved, np.zeros(moved.shape[:2], dtype=moved.dtype))


def shares(gains: np.ndarray) -> np.ndarray:
    """Weights that sum to one of cells with these logarithms of masses, shape (n,)."""
    masses = np.exp(gains.astype(np.float64) - gains.max())
    weights: np.ndarray = masses / masses.sum()
    return weights
