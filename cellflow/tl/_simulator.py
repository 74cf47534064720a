"""Cells that move along a flow: along its velocity, or as an ensemble of stochastic paths."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from cellflow._batch import Batch
from cellflow._checks import check_positive
from cellflow._log import progress_bar
from cellflow._random import torch_generator
from cellflow.flow import Flow, Trajectory, check_score
from cellflow.tl._time_course import TimeCourse
from cellflow.training.devices import cpu_threads


@dataclass(frozen=True)
class Simulator:
    """Simulator of cells along a flow: one deterministic path each, or several stochastic ones.

    Attributes
    ----------
    flow
        The fitted flow.
    n_samples
        Stochastic paths of each cell; None integrates the velocity, one path per cell.
    generator
        Source of the noise, on the device of the flow.
    """

    flow: Flow
    n_samples: int | None
    generator: torch.Generator

    @classmethod
    def make(cls, flow: Flow, n_samples: int | None, seed: int) -> Simulator:
        """Validate `n_samples`, which needs a flow with a score, and seed the noise."""
        if n_samples is not None:
            check_positive(n_samples, "n_samples")
            check_score(flow)
        return cls(flow, n_samples, torch_generator(seed, flow.device))

    def reseed(self, seed: int) -> Simulator:
        """Return a simulator with other noise."""
        return replace(self, generator=torch_generator(seed, self.flow.device))

    @property
    def n_copies(self) -> int:
        """Number of paths of each cell."""
        return self.n_samples or 1

    def run(self, cells: Batch, times: Sequence[float]) -> Trajectory:
        """Simulate cells at elapsed times, the first of which is their own.

        The paths of one cell are consecutive rows. The number of CPU threads is that of the fit.
        """
        with cpu_threads(self.flow.recipe.threads):
            if self.n_samples is None:
                return self.flow.trajectory(cells.x, times, condition=cells.condition)
            copies = cells[torch.arange(len(cells)).repeat_interleave(self.n_copies)]
            return self.flow.simulate(copies.x, times, self.generator, condition=copies.condition)


def simulate_each(
    course: TimeCourse,
    simulator: Simulator,
    moves: Sequence[tuple[np.ndarray, Sequence[float]]],
) -> Iterator[Trajectory]:
    """Yield the trajectories of cells of several times, with masses that compare.

    Parameters
    ----------
    course, simulator
        All cells, and the simulator of their paths.
    moves
        Rows of the cells of one time, and the times of their trajectories, for each time.
    """
    with progress_bar(len(moves), "move", "start time") as bar:
        for rows, times in moves:
            yield simulate_rows(course, simulator, rows, times, alone=len(moves) == 1)
            bar.update()


def simulate_rows(
    course: TimeCourse,
    simulator: Simulator,
    rows: np.ndarray,
    times: Sequence[float],
    *,
    alone: bool,
) -> Trajectory:
    """Simulate cells of one time, with masses relative to the total mass of all cells of that time.

    All cells of any time grow to the same population at a later time. Relative to its total, the
    masses of cells from several times are comparable, although they grew for different durations.

    Parameters
    ----------
    course, simulator
        All cells, and the simulator of their paths.
    rows
        Rows of the cells, all of one time.
    times
        See `Simulator.run`.
    alone
        Whether masses are only compared among these cells, so that the total is not computed.
    """
    if alone:
        return simulator.run(course.read_cells(rows), times)
    others = course.rows_at(times[0])
    if simulator.n_samples is None and simulator.flow.changes_mass:
        everyone = simulator.run(course.read_cells(others), times)
        total = everyone.log_mass.logsumexp(dim=1, keepdim=True)
        chosen = torch.as_tensor(np.searchsorted(others, rows)).to(total.device)
        log_mass = everyone.log_mass[:, chosen] - total
        return Trajectory(everyone.x[:, chosen], everyone.nfe, log_mass)
    moved = simulator.run(course.read_cells(rows), times)
    return replace(moved, log_mass=moved.log_mass - float(np.log(len(others))))
