"""The verbs `tl.push` and `tl.pull`."""

from __future__ import annotations

from typing import Any

import numpy as np
from anndata import AnnData

from cellflow._keys import PULL, PUSH, START_TIME, TIME, WEIGHT, write_record
from cellflow._random import RNG, resolve_seed
from cellflow.flow import Flow
from cellflow.io import Cells, described
from cellflow.tl._course import Course
from cellflow.tl._motion import Mover, moved, shares
from cellflow.tl._predicted import predicted_cells
from cellflow.tl._provenance import made_by


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
    rng: RNG = 0,
) -> AnnData:
    """Move chosen cells forward to a time, through as many intervals as lie between.

    Each cell starts at its own time. Chosen cells that were taken after `time` are left aside, and
    their number is told. All arrive by the clock of the flow: how far cells are from sharing one
    (`Method.asynchrony`) is a matter of whole populations, `tl.interpolate`.

    Parameters
    ----------
    adata
        The time course, with what the flow's representation needs.
    flow
        The fitted flow.
    cells
        Which: a boolean mask, names of cells, or text such as `cell_type=HSC`,
        `cell_type=HSC,MPP & day=2`.
    time
        Elapsed time in the unit of the course, or a label such as `day 3`.
    time_key
        Column of `obs` with the times; None takes the one that the flow was fitted to.
    n_samples
        Stochastic paths of each cell, for flows with a score (method `sf2m`); None moves each cell
        along the velocity, for certain.
    extrapolate
        Go beyond the last time of the flow, as if velocity and growth stayed as they are there.
    decode
        Decode expression, where the representation has a way back to genes.
    rng
        Seed, or a numpy generator that one is drawn from, of the stochastic paths.

    Returns
    -------
    A new AnnData, one cell for each that was moved, or `n_samples` for each, with `X` and slots as
    from `tl.interpolate`. Different are:

    `obs["cellflow_weight"]`
        Weight in proportion to the mass that a cell has grown to, relative to all cells of its own
        time; weights sum to one.
    `uns["cellflow"]["push"]`
        `time`, `unit`, `cells`, `n_samples`; `extrapolated`: whether `time` is outside the times of
        the flow; and provenance: `flow_id`, `data`, `seed`, `device`, `versions`.

    Raises
    ------
    InputError
        For unknown cells, a time outside the flow while `extrapolate` is off, or `n_samples` for a
        flow without a score.

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
    course = Course.of(adata, flow, time_key)
    moment = course.points.moment(time)
    early = course.points.elapsed <= moment
    kept = course.chosen(cells, early, f"at or before time {moment:g}")
    flow, beyond = course.reaching([moment, *course.points.elapsed[kept]], extrapolate=extrapolate)
    seed = resolve_seed(rng)
    mover = Mover.of(flow, n_samples, seed)
    result = _moved(course, mover, kept, moment, decode=decode)
    entry = _settings(course, cells, moment, n_samples, beyond)
    write_record(result.uns, PUSH, {**entry, **made_by(flow, seed)})
    return result


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
    rng: RNG = 0,
) -> AnnData:
    """Move chosen cells backward to a time: where they come from.

    Each cell starts at its own time. Chosen cells that were taken before `time` are left aside, and
    their number is told.

    Parameters
    ----------
    adata
        The time course, with what the flow's representation needs.
    flow
        The fitted flow.
    cells
        Which: a boolean mask, names of cells, or text such as `cell_type=Mono`,
        `cell_type=Mono,Neu & day=6`.
    time
        Elapsed time in the unit of the course, or a label such as `day 3`.
    time_key
        Column of `obs` with the times; None takes the one that the flow was fitted to.
    n_samples
        Stochastic paths of each cell, for flows with a score (method `sf2m`); None moves each cell
        against the velocity, for certain.
    extrapolate
        Go beyond the first time of the flow, as if velocity and growth had been as they are there.
    decode
        Decode expression, where the representation has a way back to genes.
    rng
        Seed, or a numpy generator that one is drawn from, of the stochastic paths.

    Returns
    -------
    As of `push`; `obs["cellflow_weight"]` undoes growth, and `uns["cellflow"]["pull"]` has the
    settings.

    Raises
    ------
    InputError
        As `push`.
    """
    course = Course.of(adata, flow, time_key)
    moment = course.points.moment(time)
    late = course.points.elapsed >= moment
    kept = course.chosen(cells, late, f"at or after time {moment:g}")
    flow, beyond = course.reaching([moment, *course.points.elapsed[kept]], extrapolate=extrapolate)
    seed = resolve_seed(rng)
    mover = Mover.of(flow, n_samples, seed)
    result = _moved(course, mover, kept, moment, decode=decode)
    entry = _settings(course, cells, moment, n_samples, beyond)
    write_record(result.uns, PULL, {**entry, **made_by(flow, seed)})
    return result


def _moved(
    course: Course, mover: Mover, kept: np.ndarray, moment: float, *, decode: bool
) -> AnnData:
    """The kept cells at a time, each from its own."""
    starts = np.unique(course.points.elapsed[kept])
    rows = [course.rows(start, kept) for start in starts]
    motions = [
        moved(course, mover, each, [float(start), moment], alone=len(starts) == 1)
        for start, each in zip(starts, rows, strict=True)
    ]
    order = np.concatenate(rows).repeat(mover.copies)
    origins = course.adata.obs_names[order].to_numpy()
    names = None
    if mover.n_samples is not None:
        names = [f"{name}.{k % mover.copies}" for k, name in enumerate(origins)]
    return predicted_cells(
        course.representation,
        np.concatenate([motion.points[-1] for motion in motions]),
        origins,
        {
            TIME: moment,
            WEIGHT: shares(np.concatenate([motion.gains[-1] for motion in motions])),
            START_TIME: course.points.elapsed[order],
        },
        names=names,
        decode=decode,
    )


def _settings(
    course: Course, cells: Cells, moment: float, n_samples: int | None, beyond: bool
) -> dict[str, Any]:
    return {
        "time": moment,
        "unit": course.points.unit,
        "cells": described(cells),
        "n_samples": n_samples,
        "extrapolated": beyond,
    }
