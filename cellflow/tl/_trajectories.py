"""The verb `tl.trajectories`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from cellflow._checks import check_positive
from cellflow._errors import InputError
from cellflow._keys import START_TIME, TIME, TRAJECTORIES, TRAJECTORY, WEIGHT, write_record
from cellflow._random import RNG, resolve_seed
from cellflow.flow import Flow
from cellflow.io import Cells, described
from cellflow.tl._course import Course
from cellflow.tl._motion import Motion, Mover, moved, shares
from cellflow.tl._predicted import predicted_cells
from cellflow.tl._provenance import made_by


def trajectories(
    adata: AnnData,
    flow: Flow,
    *,
    cells: Cells = None,
    n_cells: int | None = 200,
    times: int | Sequence[float | str] = 40,
    backward: bool = False,
    time_key: str | None = None,
    n_samples: int | None = None,
    extrapolate: bool = False,
    decode: bool = True,
    rng: RNG = 0,
) -> AnnData:
    """Follow chosen cells along a flow and keep where they are at many times.

    Parameters
    ----------
    adata
        The time course, with what the flow's representation needs.
    flow
        The fitted flow.
    cells
        Which: a boolean mask, names of cells, or text such as `cell_type=HSC & day=2`. None takes
        the cells of the first time, of the last where `backward` is on. Each starts at its own
        time.
    n_cells
        How many of them to follow at most, drawn at random; None follows all.
    times
        Times at which cells are kept, elapsed times or labels; or how many, spread evenly from the
        first start to the last time of the flow. Those before a cell's own start are left out for
        it, and its start is added.
    backward
        Follow cells back in time.
    time_key
        Column of `obs` with the times; None takes the one that the flow was fitted to.
    n_samples
        Stochastic paths of each cell, for flows with a score (method `sf2m`); None moves each cell
        along the velocity, for certain.
    extrapolate
        Allow `times` beyond those of the flow, where velocity and growth stay as they are at the
        nearest.
    decode
        Decode expression, where the representation has a way back to genes. The result has a row a
        cell and time, so it is large.
    rng
        Seed, or a numpy generator that one is drawn from, of the draw and of stochastic paths.

    Returns
    -------
    A new AnnData in long form, one row per trajectory and time, sorted by trajectory and then in
    the direction in which the cell moves, with `X` and slots as from `tl.interpolate`, and:

    `obs["trajectory"]`
        Number of the trajectory that a row belongs to, from 0.
    `obs["cellflow_weight"]`
        Weight of each cell; weights sum to one at each time.
    `uns["cellflow"]["trajectories"]`
        `unit`, `cells`, `backward`, `n_samples`; `extrapolated`: whether any time is outside those
        of the flow; and provenance as from `tl.push`.

    Raises
    ------
    InputError
        For unknown cells, times outside the flow while `extrapolate` is off, or `n_samples` for a
        flow without a score.

    Examples
    --------
    >>> import cellflow as cf
    >>> adata = cf.datasets.semrau2017()
    >>> adata = adata[adata.X.getnnz(axis=1) > 0].copy()
    >>> cf.pp.embed(adata, n_dims=3)
    >>> short = cf.recipe("default", n_steps=10)
    >>> flow = cf.tl.fit(adata, time_key="time", recipe=short, progress=False)
    >>> paths = cf.tl.trajectories(adata, flow, n_cells=5, times=[0, 12, 30])
    >>> paths.obs["cellflow_time"].tolist()[:3]
    [0.0, 12.0, 30.0]
    """
    course = Course.of(adata, flow, time_key)
    seed = resolve_seed(rng)
    generator = np.random.default_rng(seed)
    kept = _kept(course, cells, backward)
    rows = np.flatnonzero(kept)
    if n_cells is not None:
        check_positive(n_cells, "n_cells")
        rows = np.sort(generator.permutation(rows)[:n_cells])
    starts = course.points.elapsed[rows]
    grid = _grid(course, times, float(starts.max() if backward else starts.min()), backward)
    flow, beyond = course.reaching([*starts, *grid], extrapolate=extrapolate)
    mover = Mover.of(flow, n_samples, resolve_seed(generator))
    stretches = [
        _stretch(course, mover, rows[starts == start], grid, backward, alone=np.ptp(starts) == 0)
        for start in np.unique(starts)
    ]
    result = _long(course, stretches, mover.copies, decode)
    entry = {
        "unit": course.points.unit,
        "cells": described(cells),
        "backward": backward,
        "n_samples": n_samples,
        "extrapolated": beyond,
        **made_by(flow, seed),
    }
    write_record(result.uns, TRAJECTORIES, entry)
    return result


@dataclass(frozen=True)
class _Stretch:
    """Cells that start together: their rows, the times they are kept at, and where they are."""

    rows: np.ndarray
    times: np.ndarray
    motion: Motion


def _kept(course: Course, cells: Cells, backward: bool) -> np.ndarray:
    elapsed = course.points.elapsed
    if cells is None:
        return elapsed == course.times[-1 if backward else 0]
    end = course.flow.axis.times[0 if backward else -1]
    usable = elapsed > end if backward else elapsed < end
    return course.chosen(cells, usable, f"{'after' if backward else 'before'} time {end:g}")


def _grid(
    course: Course, times: int | Sequence[float | str], start: float, backward: bool
) -> list[float]:
    """Times in the order of the way."""
    moments: Any = times
    if isinstance(times, Integral) and int(times) > 1:
        moments = np.linspace(start, course.flow.axis.times[0 if backward else -1], int(times))
    if isinstance(moments, str | Real):
        raise InputError(f"times must be two or more, or a list of them, got {times!r}")
    return sorted({course.points.moment(time) for time in moments}, reverse=backward)


def _stretch(
    course: Course,
    mover: Mover,
    rows: np.ndarray,
    grid: list[float],
    backward: bool,
    *,
    alone: bool,
) -> _Stretch:
    start = float(course.points.elapsed[rows[0]])
    rest = [time for time in grid if (time < start if backward else time > start)]
    if not rest:
        raise InputError(
            f"no time of the grid is {'before' if backward else 'after'} time {start:g}, where "
            f"{len(rows)} cells start"
        )
    way = [start, *rest]
    return _Stretch(rows, np.array(way), moved(course, mover, rows, way, alone=alone))


def _long(course: Course, stretches: list[_Stretch], copies: int, decode: bool) -> AnnData:
    """All stretches in one AnnData, trajectory after trajectory."""
    points, columns, origins, first = [], [], [], 0
    for each in stretches:
        n, length = len(each.rows) * copies, len(each.times)
        points.append(each.motion.points.swapaxes(0, 1).reshape(n * length, -1))
        columns.append(
            pd.DataFrame(
                {
                    TRAJECTORY: np.arange(first, first + n).repeat(length),
                    TIME: np.tile(each.times, n),
                    WEIGHT: each.motion.gains.T.ravel(),
                    START_TIME: each.times[0],
                }
            )
        )
        origins.append(each.rows.repeat(copies * length))
        first += n
    table = pd.concat(columns, ignore_index=True)
    table[WEIGHT] = table.groupby(TIME)[WEIGHT].transform(lambda gains: shares(gains.to_numpy()))
    cells = course.adata.obs_names[np.concatenate(origins)].to_numpy()
    names = cells
    if copies > 1:
        names = [f"{c}.{t % copies}" for c, t in zip(cells, table[TRAJECTORY], strict=True)]
    return predicted_cells(
        course.representation,
        np.concatenate(points),
        cells,
        {str(name): table[name].to_numpy() for name in table},
        names=names,
        decode=decode,
    )
