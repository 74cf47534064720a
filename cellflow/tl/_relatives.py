"""The verbs `tl.ancestors` and `tl.descendants`."""

from __future__ import annotations

import numpy as np
from anndata import AnnData

from cellflow._errors import InputError
from cellflow._keys import ANCESTORS, DESCENDANTS, write_record
from cellflow._random import RNG, resolve_seed
from cellflow.flow import Flow
from cellflow.io import Cells, described
from cellflow.tl._course import Course
from cellflow.tl._descent import descent_of, spread
from cellflow.tl._provenance import made_by


def ancestors(
    adata: AnnData,
    flow: Flow,
    cells: Cells,
    time: float | str,
    *,
    by: str = "flow",
    n_neighbors: int = 20,
    n_samples: int | None = None,
    time_key: str | None = None,
    rng: RNG = 0,
    key_added: str = ANCESTORS,
    copy: bool = False,
) -> AnnData | None:
    """Find the cells of an earlier time that a group stems from.

    Parameters
    ----------
    adata
        The time course, with what the flow's representation needs.
    flow
        The fitted flow.
    cells
        The group: a boolean mask, names of cells, or text such as `cell_type=Mono & day=6`. Those
        at or before `time` are left aside, and their number is told.
    time
        A time of the course.
    by
        `flow` carries the group back along the flow, and each cell is shared by the nearest cells
        there; `coupling` multiplies optimal transport plans (see `fates`).
    n_neighbors
        Of `flow`: how many cells share each that is carried.
    n_samples
        Of `flow`: stochastic paths of each cell, for flows with a score (method `sf2m`).
    time_key
        Column of `obs` with the times; None takes the one that the flow was fitted to.
    rng
        Seed, or a numpy generator that one is drawn from.
    key_added
        Name of the column and of the record.
    copy
        Return a copy of `adata` with the slots, and leave `adata` as it is.

    Returns
    -------
    None, or the copy. Written is:

    `obs[key_added]`
        How probable each cell of `time` is the ancestor of a cell of the group, each of which
        counts as one. They sum to one; cells of other times are NaN.
    `uns["cellflow"][key_added]`
        `cells`, `time`, `unit`, `by`, `n_neighbors`, `n_samples`, `flow_id`.

    Raises
    ------
    InputError
        For unknown cells, times or ways, or where none of the cells is after `time`.

    Examples
    --------
    >>> import cellflow as cf
    >>> adata = cf.datasets.semrau2017()
    >>> adata = adata[adata.X.getnnz(axis=1) > 0].copy()
    >>> cf.pp.embed(adata, n_dims=3)
    >>> short = cf.recipe("default", n_steps=10)
    >>> flow = cf.tl.fit(adata, time_key="time", recipe=short, progress=False)
    >>> cf.tl.ancestors(adata, flow, "time=96", 72)
    >>> round(float(adata.obs["cellflow_ancestors"].sum()), 6)
    1.0
    """
    course = Course.of(adata, flow, time_key)
    goal = course.find(time)
    usable = np.isin(course.points.elapsed, [each for each in course.times if each > goal])
    kept = course.chosen(cells, usable, f"after time {goal:g}")
    seed = resolve_seed(rng)
    way = descent_of(course, by, n_neighbors=n_neighbors, n_samples=n_samples, seed=seed)
    entry = {
        **_settings(course, cells, goal, by, n_neighbors, n_samples),
        **made_by(flow, seed),
    }
    total = np.zeros(len(course.rows(goal)))
    for origin in np.unique(course.points.elapsed[kept]):
        rows = course.rows(origin, kept)
        total += spread(way.steps(rows, course.rows(goal)), np.ones(len(rows)))
    return _written(course, total, goal, key_added, entry, copy=copy)


def descendants(
    adata: AnnData,
    flow: Flow,
    cells: Cells,
    time: float | str,
    *,
    by: str = "flow",
    n_neighbors: int = 20,
    n_samples: int | None = None,
    time_key: str | None = None,
    rng: RNG = 0,
    key_added: str = DESCENDANTS,
    copy: bool = False,
) -> AnnData | None:
    """Find the cells of a later time that a group becomes.

    Parameters
    ----------
    adata
        The time course, with what the flow's representation needs.
    flow
        The fitted flow.
    cells
        The group: a boolean mask, names of cells, or text such as `cell_type=HSC & day=2`. Those
        at or after `time` are left aside, and their number is told.
    time
        A time of the course.
    by
        `flow` carries the group along the flow, and each cell is shared by the nearest cells
        there; `coupling` multiplies optimal transport plans (see `fates`).
    n_neighbors
        Of `flow`: how many cells share each that is carried.
    n_samples
        Of `flow`: stochastic paths of each cell, for flows with a score (method `sf2m`).
    time_key
        Column of `obs` with the times; None takes the one that the flow was fitted to.
    rng
        Seed, or a numpy generator that one is drawn from.
    key_added
        Name of the column and of the record.
    copy
        Return a copy of `adata` with the slots, and leave `adata` as it is.

    Returns
    -------
    None, or the copy. Written is:

    `obs[key_added]`
        Share of the group's descendants that each cell of `time` is; cells of the group count by
        how much they grow, those of several times by the share of the descendants of all cells of
        their own time that theirs are. They sum to one; cells of other times are NaN.
    `uns["cellflow"][key_added]`
        As of `ancestors`.

    Raises
    ------
    InputError
        For unknown cells, times or ways, or where none of the cells is before `time`.
    """
    course = Course.of(adata, flow, time_key)
    goal = course.find(time)
    usable = np.isin(course.points.elapsed, [each for each in course.times if each < goal])
    kept = course.chosen(cells, usable, f"before time {goal:g}")
    seed = resolve_seed(rng)
    way = descent_of(course, by, n_neighbors=n_neighbors, n_samples=n_samples, seed=seed)
    entry = {
        **_settings(course, cells, goal, by, n_neighbors, n_samples),
        **made_by(flow, seed),
    }
    total = np.zeros(len(course.rows(goal)))
    origins = np.unique(course.points.elapsed[kept])
    for origin in origins:
        # All cells of a time become the population of `goal`, however long they grow till then. Of
        # one time that is a factor, for which the others need not be moved.
        rows = course.rows(origin, kept if len(origins) == 1 else None)
        steps = way.steps(rows, course.rows(goal))
        whole = spread(steps, np.ones(len(rows))).sum()
        total += spread(steps, kept[rows].astype(float)) / (whole or 1.0)
    return _written(course, total, goal, key_added, entry, copy=copy)


def _settings(
    course: Course, cells: Cells, goal: float, by: str, n_neighbors: int, n_samples: int | None
) -> dict[str, object]:
    return {
        "cells": described(cells),
        "time": goal,
        "unit": course.points.unit,
        "by": by,
        "n_neighbors": n_neighbors if by == "flow" else None,
        "n_samples": n_samples,
    }


def _written(
    course: Course,
    total: np.ndarray,
    goal: float,
    key: str,
    entry: dict[str, object],
    *,
    copy: bool,
) -> AnnData | None:
    """Write what the cells of `goal` weigh, in proportion to `total`; NaN for all others."""
    if not total.sum() > 0:
        raise InputError(f"the chosen cells have no relatives at time {goal:g} within reach")
    weights = np.full(course.adata.n_obs, np.nan)
    weights[course.rows(goal)] = total / total.sum()
    result = course.adata.copy() if copy else course.adata
    result.obs[key] = weights
    write_record(result.uns, key, entry)
    return result if copy else None
