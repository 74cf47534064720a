"""Cells that move along a flow, for certain or at random."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import logsumexp

from cellflow._batch import Batch
from cellflow._checks import check_positive
from cellflow._random import torch_generator
from cellflow.flow import Flow
from cellflow.tl._course import Course
from cellflow.training.devices import cpu_threads


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
            if self.n_samples is None:
                found = self.flow.trajectory(cells.x, times, condition=cells.condition)
            else:
                cells = cells[torch.arange(len(cells)).repeat_interleave(self.copies)]
                found = self.flow.simulate(
                    cells.x, times, self.generator, condition=cells.condition
                )
            return Motion(found.x.cpu().numpy(), found.log_mass.cpu().numpy())


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


def shares(gains: np.ndarray) -> np.ndarray:
    """Weights that sum to one of cells with these logarithms of masses, shape (n,)."""
    masses = np.exp(gains.astype(np.float64) - gains.max())
    weights: np.ndarray = masses / masses.sum()
    return weights
