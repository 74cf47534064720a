"""The verbs `tl.ancestors` and `tl.descendants`."""

from __future__ import annotations

import numpy as np
from anndata import AnnData

from cellflow._checks import format_number
from cellflow._errors import InputError
from cellflow._keys import ANCESTORS, DESCENDANTS, write_record
from cellflow._random import RNG, resolve_seed
from cellflow.flow import Flow
from cellflow.io import Cells, describe_cells
from cellflow.tl._time_course import TimeCourse
from cellflow.tl._transition_estimators import make_estimator


def ancestors(
    adata: AnnData,
    flow: Flow,
    cells: Cells,
    time: float | str,
    *,
    by: str = "bridge",
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
        Annotated data matrix of the time course, with what the representation of the flow requires:
        the same genes, or the same `obsm` key.
    flow
        The fitted flow.
    cells
        The group: a boolean mask, names of cells, or text such as `cell_type=Mono & day=6`. Cells
        at or before `time` are not used, and their number is reported.
    time
        A time point of the course.
    by
        `bridge` multiplies entropic transport plans; `flow` moves the group back along the flow,
        and the nearest cells there share each moved cell; `coupling` multiplies exact transport
        plans (see `fates`).
    n_neighbors
        Number of cells that share each moved cell, for `by="flow"`.
    n_samples
        Number of stochastic paths of each cell, for `by="flow"` and flows with a score (method
        `sf2m`).
    time_key
        Column of `obs` with the times; None uses the column that the flow was fitted to.
    rng
        Seed, or a numpy generator to draw one from, of stochastic paths and of the blocks of large
        transport plans.
    key_added
        Name of the `obs` column and of the entry in `uns`.
    copy
        Return an annotated copy instead of writing to `adata`.

    Returns
    -------
    None, or the annotated copy. Written are:

    `obs[key_added]`
        Probability that each cell of `time` is the ancestor of a cell of the group, all of whose
        cells count equally. They sum to one; cells of other times are NaN.
    `uns["cellflow"][key_added]`
        `cells`, `time`, `by`, `n_neighbors`, `n_samples`, and the provenance: `flow_id`, `data`,
        `seed`, `device`, `versions`, `time_key`, `unit`.

    Raises
    ------
    InputError
        For unknown cells, times or estimators, or if none of the cells is after `time`.

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
    return _write_relatives(
        adata,
        flow,
        cells,
        time,
        later=False,
        by=by,
        n_neighbors=n_neighbors,
        n_samples=n_samples,
        time_key=time_key,
        rng=rng,
        key_added=key_added,
        copy=copy,
    )


def descendants(
    adata: AnnData,
    flow: Flow,
    cells: Cells,
    time: float | str,
    *,
    by: str = "bridge",
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
        Annotated data matrix of the time course, with what the representation of the flow requires:
        the same genes, or the same `obsm` key.
    flow
        The fitted flow.
    cells
        The group: a boolean mask, names of cells, or text such as `cell_type=HSC & day=2`. Cells at
        or after `time` are not used, and their number is reported.
    time
        A time point of the course.
    by
        `bridge` multiplies entropic transport plans; `flow` moves the group along the flow, and the
        nearest cells there share each moved cell; `coupling` multiplies exact transport plans (see
        `fates`).
    n_neighbors
        Number of cells that share each moved cell, for `by="flow"`.
    n_samples
        Number of stochastic paths of each cell, for `by="flow"` and flows with a score (method
        `sf2m`).
    time_key
        Column of `obs` with the times; None uses the column that the flow was fitted to.
    rng
        Seed, or a numpy generator to draw one from, of stochastic paths and of the blocks of large
        transport plans.
    key_added
        Name of the `obs` column and of the entry in `uns`.
    copy
        Return an annotated copy instead of writing to `adata`.

    Returns
    -------
    None, or the annotated copy. Written are:

    `obs[key_added]`
        Share of each cell of `time` in the descendants of the group. Cells of the group are
        weighted by their growth; cells of several times by their share in the descendants of all
        cells of the same time. Values sum to one; cells of other times are NaN.
    `uns["cellflow"][key_added]`
        See `ancestors`.

    Raises
    ------
    InputError
        For unknown cells, times or estimators, or if none of the cells is before `time`.
    """
    return _write_relatives(
        adata,
        flow,
        cells,
        time,
        later=True,
        by=by,
        n_neighbors=n_neighbors,
        n_samples=n_samples,
        time_key=time_key,
        rng=rng,
        key_added=key_added,
        copy=copy,
    )


def _write_relatives(
    adata: AnnData,
    flow: Flow,
    cells: Cells,
    time: float | str,
    *,
    later: bool,
    by: str,
    n_neighbors: int,
    n_samples: int | None,
    time_key: str | None,
    rng: RNG,
    key_added: str,
    copy: bool,
) -> AnnData | None:
    """Write the weights of the cells of `time` as relatives of selected earlier or later cells."""
    course = TimeCourse.read(adata, flow, time_key)
    goal, seed = course.find_time(time), resolve_seed(rng)
    known = [each for each in course.times if (each < goal if later else each > goal)]
    side = f"{'before' if later else 'after'} time {format_number(goal)}"
    selected = course.select(cells, np.isin(course.elapsed, known), side)
    estimator = make_estimator(course, by, n_neighbors=n_neighbors, n_samples=n_samples, seed=seed)
    targets = course.rows_at(goal)
    # Weights of several origins are relative to the total mass of all cells of each origin.
    # For a single origin the total is a constant factor, so the other cells are not moved.
    times = np.unique(course.elapsed[selected])
    share_of_all = later and len(times) > 1
    origins = [course.rows_at(time, None if share_of_all else selected) for time in times]
    weights = [
        np.column_stack([selected[rows], np.ones(len(rows))]).astype(float) for rows in origins
    ]
    total = np.zeros(len(targets))
    for chosen, everyone in (each.T for each in estimator.spread(origins, targets, weights)):
        total += chosen / ((everyone.sum() or 1.0) if later else 1.0)
    if not total.sum() > 0:
        raise InputError(
            f"the chosen cells have no relatives at time {format_number(goal)} within reach"
        )
    result = adata.copy() if copy else adata
    column = np.full(adata.n_obs, np.nan)
    column[targets] = total / total.sum()
    result.obs[key_added] = column
    entry = {
        "cells": describe_cells(cells),
        "time": goal,
        "by": by,
        "n_neighbors": n_neighbors if by == "flow" else None,
        "n_samples": n_samples,
        **course.provenance(seed),
    }
    write_record(result.uns, key_added, entry)
    return result if copy else None
