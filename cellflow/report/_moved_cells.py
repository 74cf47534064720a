"""Cells of a page that move along the flow: which, when, where, and what they stem from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from cellflow._errors import InputError
from cellflow._log import progress_bar
from cellflow.report._packing import Scale
from cellflow.tl._simulator import Simulator
from cellflow.tl._time_course import TimeCourse
from cellflow.tl._transition_estimators import make_estimator, normalise_rows, one_hot

#: Share of the moved cells that are taken from the first time; the other times have equal shares.
_FIRST = 0.4

#: Steps of an interval of which every other one has genes.
_STRIDE = 2


@dataclass(frozen=True)
class MovedCells:
    """Cells and their paths over all times of the flow, forward and backward from their own.

    Attributes
    ----------
    rows
        Rows of the cells, shape (m,).
    times
        Times of the paths, increasing, shape (k,); all time points in the range of the flow are
        among them.
    starts
        Place of each cell's own time among `times`, shape (m,).
    places
        Positions in the plane of the page, shape (m, 2, k).
    log_mass
        Logarithm of the mass since the own time, zero before it, shape (m, k); None if the flow
        conserves mass.
    genes
        Decoded expression at every other time, shape (m, g, k'), float32; None without genes.
    gene_error
        Largest error of straight lines between these times, relative to the range of a gene on the
        paths, as the mean over genes: 95th percentile of the cells.
    """

    rows: np.ndarray
    times: np.ndarray
    starts: np.ndarray
    places: np.ndarray
    log_mass: np.ndarray | None
    genes: np.ndarray | None
    gene_error: float

    @property
    def gene_times(self) -> slice:
        """Places of the times with genes."""
        return slice(None, None, _STRIDE)


def draw_cells(
    course: TimeCourse, selected: np.ndarray, n_paths: int, generator: np.random.Generator
) -> np.ndarray:
    """Draw the rows of cells to move: 40 % from the first time, else equally from all times.

    What a time cannot give, since it has too few cells, the others do not replace.

    Raises
    ------
    InputError
        If no selected cell is within the times of the flow.
    """
    low, high = course.flow.axis.times[0], course.flow.axis.times[-1]
    times = [time for time in course.time_points.times if low <= time <= high]
    groups = [course.rows_at(time, selected) for time in times]
    groups = [rows for rows in groups if len(rows)]
    if not groups:
        raise InputError("none of the chosen cells is within the times of the flow")
    first = round(_FIRST * n_paths) if len(groups) > 1 else n_paths
    others = (n_paths - first) / max(len(groups) - 1, 1)
    drawn = [
        generator.permutation(rows)[: max(1, round(others if k else first))]
        for k, rows in enumerate(groups)
    ]
    return np.sort(np.concatenate(drawn)[:n_paths])


def time_grid(course: TimeCourse, n_steps: int) -> np.ndarray:
    """Return times of the paths: about `n_steps` intervals, an even number between time points."""
    low, high = course.flow.axis.times[0], course.flow.axis.times[-1]
    inside = [time for time in course.time_points.times if low < time < high]
    stops = [low, *inside, high]
    each = _STRIDE * max(1, round(n_steps / (len(stops) - 1) / _STRIDE))
    parts = [np.linspace(*ends, each + 1)[:-1] for ends in pairwise(stops)]
    return np.append(np.concatenate(parts), high)


def move_cells(
    course: TimeCourse,
    rows: np.ndarray,
    times: np.ndarray,
    place: Callable[[np.ndarray], np.ndarray],
    decode: Callable[[np.ndarray], np.ndarray] | None,
    seed: int,
) -> MovedCells:
    """Move cells from their own times to the first and the last one.

    Parameters
    ----------
    course, rows, times
        The cells, the rows to move, and the times of the paths.
    place
        Map of points, shape (n, d), into the plane, shape (n, 2).
    decode
        Map of points to genes, shape (n, g); None for no genes.
    seed
        Seed of the simulator; paths follow the velocity, without noise.
    """
    simulator, n = Simulator.make(course.flow, None, seed), len(times)
    starts = np.searchsorted(times, course.elapsed[rows])
    points = np.empty((len(rows), n, course.flow.dim), dtype=np.float32)
    log_mass = np.zeros((len(rows), n), dtype=np.float32)
    with progress_bar(len(rows), "paths", "cell") as bar:
        for start in np.unique(starts):
            chosen = np.flatnonzero(starts == start)
            cells = course.read_cells(rows[chosen])
            points[chosen, start] = cells.x.cpu().numpy()
            for way in (np.arange(start, n), np.arange(start, -1, -1)):
                if len(way) > 1:
                    moved = simulator.run(cells, times[way].tolist())
                    points[np.ix_(chosen, way)] = moved.x.cpu().numpy().swapaxes(0, 1)
                    if way[-1] > start:
                        log_mass[np.ix_(chosen, way)] = moved.log_mass.cpu().numpy().T
            bar.update(len(chosen))
    flat = points.reshape(-1, points.shape[2])
    places = place(flat).reshape(len(rows), n, 2).swapaxes(1, 2).astype(np.float32)
    genes, error = None, 0.0
    if decode is not None:
        decoded = decode(flat).astype(np.float32).reshape(len(rows), n, -1).swapaxes(1, 2)
        genes, error = decoded[..., ::_STRIDE], _line_error(decoded)
    changes = log_mass if course.flow.changes_mass else None
    return MovedCells(rows, times, starts, places, changes, genes, error)


def _line_error(decoded: np.ndarray) -> float:
    """Return the error of straight lines between every other time; see `MovedCells.gene_error`."""
    known = decoded[..., ::_STRIDE]
    lines = (known[..., :-1] + known[..., 1:]) / 2
    errors = np.abs(decoded[..., 1::_STRIDE] - lines).max(axis=2)
    span = np.ptp(known, axis=(0, 2))
    return float(np.percentile((errors / np.where(span > 0, span, 1)).mean(axis=1), 95))


def find_ancestors(
    course: TimeCourse, rows: np.ndarray, labels: pd.Series, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Estimate the groups that cells stem from: at the time before theirs, and at the first.

    Parameters
    ----------
    course
        All cells.
    rows
        Rows of the cells, shape (m,).
    labels
        Group of each cell of the course; cells without one are in none.
    seed
        Seed of the blocks of large plans, as in `tl.ancestors`, whose estimator `bridge` this is.

    Returns
    -------
    Probabilities of the groups and of no group, shape (m, groups + 1), for the time before and for
    the first time; NaN for cells of the first time, and of times that the flow was not fitted to.
    """
    codes = labels.cat.codes.to_numpy()
    n_groups = len(labels.cat.categories)
    groups = one_hot(np.where(codes < 0, n_groups, codes), n_groups + 1)
    before, first = np.full((2, len(rows), n_groups + 1), np.nan)
    estimator = make_estimator(course, "bridge", n_neighbors=1, n_samples=None, seed=seed)
    carried = groups[course.rows_at(course.times[0])]
    with progress_bar(len(course.times) - 1, "ancestors", "interval") as bar:
        for early, late in pairwise(course.times):
            origins, targets = course.rows_at(early), course.rows_at(late)
            weights = np.hstack([groups[origins], carried])
            # Columns of a plan sum to one: each cell of the later time gets shares of the groups.
            found = estimator.spread([origins], targets, [weights])[0]
            carried = normalise_rows(found[:, n_groups + 1 :])
            here = np.flatnonzero(course.elapsed[rows] == late)
            places = np.searchsorted(targets, rows[here])
            before[here] = normalise_rows(found[places, : n_groups + 1])
            first[here] = carried[places]
            carried = np.nan_to_num(carried)
            bar.update()
    return before, first


def quantise_places(places: np.ndarray, scales: tuple[Scale, Scale]) -> np.ndarray:
    """Return positions, shape (..., 2, k), as whole numbers on the scales of both axes."""
    return np.stack([scale.quantise(places[..., k, :]) for k, scale in enumerate(scales)], axis=-2)
