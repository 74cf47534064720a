"""The verb `tl.trajectories`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.special import softmax

from cellflow._checks import check_positive, format_number
from cellflow._errors import InputError
from cellflow._keys import START_TIME, TIME, TRAJECTORIES, TRAJECTORY, WEIGHT, write_record
from cellflow._random import RNG, resolve_seed
from cellflow.flow import Flow, Trajectory
from cellflow.io import Cells, describe_cells
from cellflow.tl._prediction import check_extras, predicted_cells
from cellflow.tl._simulator import Simulator, simulate_each
from cellflow.tl._time_course import TimeCourse


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
    obs_keys: str | Sequence[str] = (),
    basis: str | None = None,
    rng: RNG = 0,
) -> AnnData:
    """Follow selected cells along a flow, and return their positions at many times.

    Parameters
    ----------
    adata
        Annotated data matrix of the time course, with what the representation of the flow requires:
        the same genes, or the same `obsm` key.
    flow
        The fitted flow.
    cells
        Cells to follow: a boolean mask, names of cells, or text such as `cell_type=HSC & day=2`.
        None uses the cells of the first time, or of the last with `backward`. Each starts at its
        own time.
    n_cells
        Maximum number of cells, drawn at random; None follows all.
    times
        Elapsed times or labels, or how many times, spread evenly from the first start to the last
        time of the flow. Each cell is returned at its start and at the times after it.
    backward
        Follow cells back in time.
    time_key
        Column of `obs` with the times; None uses the column that the flow was fitted to.
    n_samples
        Number of stochastic paths of each cell, for flows with a score (method `sf2m`); None moves
        each cell along the velocity, deterministically.
    extrapolate
        Allow `times` beyond those of the flow, with velocity and growth as they are at the nearest.
    decode
        Decode expression, if the representation has a map back to genes. The result has a row for
        each cell and time, so it is large.
    obs_keys, basis
        As in `tl.interpolate`.
    rng
        Seed, or a numpy generator to draw one from, of the cells drawn and of stochastic paths.

    Returns
    -------
    A new AnnData in long form, with a row for each trajectory and time, sorted by trajectory and
    then in the direction of the cell. It has the slots of `tl.interpolate`, and:

    `obs["trajectory"]`
        Number of the trajectory, from 0.
    `obs["cellflow_weight"]`
        Weights as of `push`, which sum to one at each time.
    `uns["cellflow"]["trajectories"]`
        `cells`, `backward`, `n_samples`, `extrapolated`, and the provenance: `flow_id`, `data`,
        `seed`, `device`, `versions`, `time_key`, `unit`.

    Raises
    ------
    InputError
        For unknown cells, columns or embeddings, times outside the flow without `extrapolate`, or
        `n_samples` for a flow without a score.

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
    course = TimeCourse.read(adata, flow, time_key)
    keys = check_extras(adata, obs_keys, basis)
    seed = resolve_seed(rng)
    generator = np.random.default_rng(seed)
    rows = np.flatnonzero(_select(course, cells, backward))
    if n_cells is not None:
        check_positive(n_cells, "n_cells")
        rows = np.sort(generator.permutation(rows)[:n_cells])
    starts = course.elapsed[rows]
    grid = _make_grid(course, times, float(starts.max() if backward else starts.min()), backward)
    flow, extrapolated = course.extend_flow([*starts, *grid], extrapolate=extrapolate)
    simulator = Simulator.make(flow, n_samples, resolve_seed(generator))
    moves = []
    for start in np.unique(starts):
        chosen = rows[starts == start]
        stops = [float(start), *_times_ahead(grid, float(start), len(chosen), backward)]
        moves.append((chosen, stops))
    bundles = [
        _Bundle(chosen, np.array(stops), moved)
        for (chosen, stops), moved in zip(
            moves, simulate_each(course, simulator, moves), strict=True
        )
    ]
    if extrapolated:
        course.log_distances(np.concatenate([each.moved.end.cpu().numpy() for each in bundles]))
    extras = {"obs_keys": keys, "basis": basis, "decode": decode}
    result = _to_anndata(course, bundles, simulator.n_copies, extras)
    entry = {
        "cells": describe_cells(cells),
        "backward": backward,
        "n_samples": n_samples,
        "extrapolated": extrapolated,
        **course.provenance(seed),
    }
    write_record(result.uns, TRAJECTORIES, entry)
    return result


@dataclass(frozen=True)
class _Bundle:
    """Trajectories of cells that start together: their rows, times and positions."""

    rows: np.ndarray
    times: np.ndarray
    moved: Trajectory


def _select(course: TimeCourse, cells: Cells, backward: bool) -> np.ndarray:
    """Return a mask of the cells to follow."""
    if cells is None:
        return course.elapsed == course.times[-1 if backward else 0]
    end = course.flow.axis.times[0 if backward else -1]
    usable = course.elapsed > end if backward else course.elapsed < end
    return course.select(
        cells, usable, f"{'after' if backward else 'before'} time {format_number(end)}"
    )


def _make_grid(
    course: TimeCourse, times: int | Sequence[float | str], start: float, backward: bool
) -> list[float]:
    """Return elapsed times in the direction of the trajectories."""
    wanted: Any = times
    if isinstance(times, Integral) and int(times) > 1:
        wanted = np.linspace(start, course.flow.axis.times[0 if backward else -1], int(times))
    if isinstance(wanted, str | Real):
        raise InputError(f"times must be two or more, or a list of them, got {times!r}")
    return sorted({course.time_points.to_elapsed(time) for time in wanted}, reverse=backward)


def _times_ahead(grid: list[float], start: float, n_cells: int, backward: bool) -> list[float]:
    """Return the times of the grid that cells come to from their start."""
    ahead = [time for time in grid if (time < start if backward else time > start)]
    if not ahead:
        raise InputError(
            f"no time of the grid is {'before' if backward else 'after'} time "
            f"{format_number(start)}, where {n_cells} cells start"
        )
    return ahead


def _to_anndata(
    course: TimeCourse, bundles: list[_Bundle], copies: int, extras: dict[str, Any]
) -> AnnData:
    """Stack all trajectories in one AnnData, one after another."""
    points, tables, origins, first = [], [], [], 0
    for each in bundles:
        n, length = len(each.rows) * copies, len(each.times)
        points.append(each.moved.x.cpu().numpy().swapaxes(0, 1).reshape(n * length, -1))
        tables.append(
            pd.DataFrame(
                {
                    TRAJECTORY: np.arange(first, first + n).repeat(length),
                    TIME: np.tile(each.times, n),
                    WEIGHT: each.moved.log_mass.cpu().numpy().T.ravel(),
                    START_TIME: each.times[0],
                }
            )
        )
        origins.append(each.rows.repeat(copies * length))
        first += n
    table = pd.concat(tables, ignore_index=True)
    table[WEIGHT] = table.groupby(TIME)[WEIGHT].transform(
        lambda log_mass: softmax(log_mass.to_numpy(dtype=np.float64))
    )
    rows = np.concatenate(origins)
    names = None
    if copies > 1:
        cells = course.adata.obs_names[rows]
        names = [f"{c}.{t % copies}" for c, t in zip(cells, table[TRAJECTORY], strict=True)]
    return predicted_cells(
        course,
        np.concatenate(points),
        rows,
        {str(name): table[name].to_numpy() for name in table},
        names=names,
        **extras,
    )
