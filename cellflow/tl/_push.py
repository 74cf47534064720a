"""The verbs `tl.push` and `tl.pull`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from anndata import AnnData
from scipy.special import softmax

from cellflow._checks import format_number
from cellflow._keys import PULL, PUSH, START_TIME, TIME, WEIGHT, write_record
from cellflow._random import RNG, resolve_seed
from cellflow.flow import Flow
from cellflow.io import Cells, describe_cells
from cellflow.tl._prediction import check_extras, predicted_cells
from cellflow.tl._simulator import Simulator, simulate_each
from cellflow.tl._time_course import TimeCourse


def push(
    adata: AnnData,
    flow: Flow,
    cells: Cells,
    time: float | str,
    *,
    time_key: str | None = None,
    n_samples: int | None = None,
    extrapolate: bool = False,
    decode: bool = True,
    obs_keys: str | Sequence[str] = (),
    basis: str | None = None,
    rng: RNG = 0,
) -> AnnData:
    """Move selected cells forward to a time, through as many intervals as lie between.

    Each cell starts at its own time. Selected cells that were taken after `time` are not moved, and
    their number is reported. All cells arrive by the clock of the flow: their asynchrony
    (`Method.asynchrony`) concerns whole populations, see `tl.interpolate`.

    Parameters
    ----------
    adata
        Annotated data matrix of the time course, with what the representation of the flow requires:
        the same genes, or the same `obsm` key.
    flow
        The fitted flow.
    cells
        A boolean mask, names of cells, or text such as `cell_type=HSC` or
        `cell_type=HSC,MPP & day=2`.
    time
        Elapsed time in the unit of the course, or a label such as `day 3`.
    time_key
        Column of `obs` with the times; None uses the column that the flow was fitted to.
    n_samples
        Number of stochastic paths of each cell, for flows with a score (method `sf2m`); None moves
        each cell along the velocity, deterministically.
    extrapolate
        Allow a `time` beyond the last time of the flow, with velocity and growth as they are there.
    decode
        Decode expression, if the representation has a map back to genes.
    obs_keys, basis
        As in `tl.interpolate`.
    rng
        Seed, or a numpy generator to draw one from, of the stochastic paths.

    Returns
    -------
    A new AnnData with one cell for each moved cell, or `n_samples` for each, with the slots of
    `tl.interpolate`. In particular:

    `obs["cellflow_weight"]`
        Weights that sum to one, proportional to the mass of each cell at `time`; for cells of
        several times, to this mass divided by the total mass of all cells of the same start time.
    `uns["cellflow"]["push"]`
        `time`, `cells`, `n_samples`, `extrapolated` (whether `time` is beyond the times of the
        flow), and the provenance: `flow_id`, `data`, `seed`, `device`, `versions`, `time_key`,
        `unit`.

    Raises
    ------
    InputError
        For unknown cells, columns or embeddings, a time outside the flow without `extrapolate`, or
        `n_samples` for a flow without a score.

    Examples
    --------
    >>> import cellflow as cf
    >>> adata = cf.datasets.semrau2017()
    >>> adata = adata[adata.X.getnnz(axis=1) > 0].copy()
    >>> cf.pp.embed(adata, n_dims=3)
    >>> short = cf.recipe("default", n_steps=10)
    >>> flow = cf.tl.fit(adata, time_key="time", recipe=short, progress=False)
    >>> cf.tl.push(adata, flow, "time=0", 48).n_obs
    283
    """
    return _move_selected(
        adata,
        flow,
        cells,
        time,
        backward=False,
        time_key=time_key,
        n_samples=n_samples,
        extrapolate=extrapolate,
        decode=decode,
        obs_keys=obs_keys,
        basis=basis,
        rng=rng,
    )


def pull(
    adata: AnnData,
    flow: Flow,
    cells: Cells,
    time: float | str,
    *,
    time_key: str | None = None,
    n_samples: int | None = None,
    extrapolate: bool = False,
    decode: bool = True,
    obs_keys: str | Sequence[str] = (),
    basis: str | None = None,
    rng: RNG = 0,
) -> AnnData:
    """Move selected cells backward to a time, to where they come from.

    Each cell starts at its own time. Selected cells that were taken before `time` are not moved,
    and their number is reported.

    Parameters
    ----------
    adata
        Annotated data matrix of the time course, with what the representation of the flow requires:
        the same genes, or the same `obsm` key.
    flow
        The fitted flow.
    cells
        A boolean mask, names of cells, or text such as `cell_type=HSC` or
        `cell_type=HSC,MPP & day=2`.
    time
        Elapsed time in the unit of the course, or a label such as `day 3`.
    time_key
        Column of `obs` with the times; None uses the column that the flow was fitted to.
    n_samples
        Number of stochastic paths of each cell, for flows with a score (method `sf2m`); None moves
        each cell against the velocity, deterministically.
    extrapolate
        Allow a `time` before the first time of the flow, with velocity and growth as they are
        there.
    decode
        Decode expression, if the representation has a map back to genes.
    obs_keys, basis
        As in `tl.interpolate`.
    rng
        Seed, or a numpy generator to draw one from, of the stochastic paths.

    Returns
    -------
    A new AnnData as of `push`. In particular:

    `obs["cellflow_weight"]`
        Weights as of `push`; growth is reversed.
    `uns["cellflow"]["pull"]`
        See `push`.

    Raises
    ------
    InputError
        As in `push`.
    """
    return _move_selected(
        adata,
        flow,
        cells,
        time,
        backward=True,
        time_key=time_key,
        n_samples=n_samples,
        extrapolate=extrapolate,
        decode=decode,
        obs_keys=obs_keys,
        basis=basis,
        rng=rng,
    )


def _move_selected(
    adata: AnnData,
    flow: Flow,
    cells: Cells,
    time: float | str,
    *,
    backward: bool,
    time_key: str | None,
    n_samples: int | None,
    extrapolate: bool,
    decode: bool,
    obs_keys: str | Sequence[str],
    basis: str | None,
    rng: RNG,
) -> AnnData:
    """Move selected cells to `time`, each from its own time."""
    course = TimeCourse.read(adata, flow, time_key)
    keys = check_extras(adata, obs_keys, basis)
    goal, elapsed = course.time_points.to_elapsed(time), course.elapsed
    usable = elapsed >= goal if backward else elapsed <= goal
    side = f"at or {'after' if backward else 'before'} time {format_number(goal)}"
    selected = course.select(cells, usable, side)
    starts = np.unique(elapsed[selected])
    flow, extrapolated = course.extend_flow([goal, *starts], extrapolate=extrapolate)
    seed = resolve_seed(rng)
    simulator = Simulator.make(flow, n_samples, seed)
    rows = [course.rows_at(start, selected) for start in starts]
    moves = [(each, [float(start), goal]) for start, each in zip(starts, rows, strict=True)]
    # Of each trajectory only the end is kept.
    ends, masses = zip(
        *(
            (moved.end.cpu().numpy().copy(), moved.log_mass[-1].cpu().numpy().copy())
            for moved in simulate_each(course, simulator, moves)
        ),
        strict=True,
    )
    order = np.concatenate(rows).repeat(simulator.n_copies)
    names = None
    if n_samples is not None:
        names = [f"{name}.{k % n_samples}" for k, name in enumerate(adata.obs_names[order])]
    log_mass = np.concatenate(masses)
    columns = {
        TIME: goal,
        WEIGHT: softmax(log_mass.astype(np.float64)),
        START_TIME: elapsed[order],
    }
    points = np.concatenate(ends)
    del ends
    if extrapolated:
        course.log_distances(points)
    result = predicted_cells(
        course,
        points,
        order,
        columns,
        obs_keys=keys,
        basis=basis,
        names=names,
        decode=decode,
    )
    entry = {
        "time": goal,
        "cells": describe_cells(cells),
        "n_samples": n_samples,
        "extrapolated": extrapolated,
        **course.provenance(seed),
    }
    write_record(result.uns, PULL if backward else PUSH, entry)
    return result
