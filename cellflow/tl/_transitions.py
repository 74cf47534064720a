"""The verb `tl.transitions`."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
from anndata import AnnData

from cellflow._checks import format_list, format_number
from cellflow._errors import InputError
from cellflow._log import log_info, progress_bar
from cellflow._random import RNG, resolve_seed
from cellflow.flow import Flow
from cellflow.io import groups_of
from cellflow.tl._time_course import TimeCourse
from cellflow.tl._transition_estimators import (
    TransitionEstimator,
    make_estimator,
    normalise_rows,
    one_hot,
)


def transitions(
    adata: AnnData,
    flow: Flow,
    groups: str,
    *,
    by: str = "bridge",
    n_neighbors: int = 20,
    n_samples: int | None = None,
    time_key: str | None = None,
    rng: RNG = 0,
) -> pd.DataFrame:
    """Tabulate which groups become which between consecutive times.

    Parameters
    ----------
    adata
        Annotated data matrix of the time course, with what the representation of the flow requires:
        the same genes, or the same `obsm` key.
    flow
        The fitted flow.
    groups
        Column of `obs` with the groups. Cells without a value are left out at both times.
    by
        `bridge` takes entropic transport plans, whose probabilities are honest where fates are
        open; `flow` moves the cells of each time to the next, and the nearest cells there vote;
        `coupling` takes exact transport plans (see `fates`).
    n_neighbors
        Number of cells that vote for each moved cell, for `by="flow"`.
    n_samples
        Number of stochastic paths of each cell, for `by="flow"` and flows with a score (method
        `sf2m`).
    time_key
        Column of `obs` with the times; None uses the column that the flow was fitted to.
    rng
        Seed, or a numpy generator to draw one from.

    Returns
    -------
    A DataFrame with a row for each interval, source group and target group that have cells there:

    `groups`
        Name of the column.
    `source_time`, `target_time`
        Consecutive times.
    `source`, `target`
        Groups at these times, text.
    `probability`
        Share of the descendants of the source group that are in the target group. It sums to one
        over the targets of a source, but not over the sources of a target.
    `n_source`
        Number of cells of the source group.
    `mass`
        `probability` times the share of the source group in the cells of its time; it sums to one
        over all rows of an interval. `pl.sankey` draws it.

    Groups without known descendants, since none of their label was taken later or all were out of
    reach, have no rows, and are reported.

    Raises
    ------
    InputError
        For unknown columns or estimators, or if a time has no cell with a group.

    Examples
    --------
    >>> import cellflow as cf
    >>> adata = cf.datasets.semrau2017()
    >>> adata = adata[adata.X.getnnz(axis=1) > 0].copy()
    >>> cf.pp.embed(adata, n_dims=3)
    >>> adata.obs["half"] = (adata.obsm["X_cellflow"][:, 0] > 0).astype(str)
    >>> short = cf.recipe("default", n_steps=10)
    >>> flow = cf.tl.fit(adata, time_key="time", recipe=short, progress=False)
    >>> table = cf.tl.transitions(adata, flow, "half")
    >>> bool((table.groupby(["source_time", "source"])["probability"].sum().round(6) == 1).all())
    True
    """
    course = TimeCourse.read(adata, flow, time_key)
    labels = groups_of(adata, groups)
    rows = {time: course.rows_at(time, labels.notna().to_numpy()) for time in course.times}
    if empty := [time for time in course.times if not len(rows[time])]:
        raise InputError(
            f"no cell of time {format_number(empty[0])} has a value in obs[{groups!r}]"
        )
    seed = resolve_seed(rng)
    estimator = make_estimator(course, by, n_neighbors=n_neighbors, n_samples=n_samples, seed=seed)
    intervals = []
    with progress_bar(len(course.times) - 1, "transitions", "interval") as bar:
        for start, stop in pairwise(course.times):
            table = _tabulate_interval(estimator, labels, rows[start], rows[stop])
            intervals.append(table.assign(source_time=start, target_time=stop))
            bar.update()
    columns = ["groups", "source_time", "target_time", "source", "target", "probability",
               "n_source", "mass"]  # fmt: skip
    return pd.concat(intervals, ignore_index=True).assign(groups=groups)[columns]


def _tabulate_interval(
    estimator: TransitionEstimator, labels: pd.Series, sources: np.ndarray, targets: np.ndarray
) -> pd.DataFrame:
    """Return a row for each pair of groups of two times."""
    before, after = (
        labels.iloc[each].cat.remove_unused_categories() for each in (sources, targets)
    )
    starts, ends = (one_hot(s.cat.codes.to_numpy(), s.cat.categories.size) for s in (before, after))
    (descent,) = estimator.descend([sources], targets, ends)
    probability = normalise_rows(starts.T @ descent)
    index = pd.MultiIndex.from_product(
        [before.cat.categories, after.cat.categories], names=["source", "target"]
    )
    table = pd.DataFrame({"probability": probability.ravel()}, index=index).reset_index()
    counts = starts.sum(axis=0).astype(int)
    table["n_source"] = counts.repeat(ends.shape[1])
    lost = np.isnan(probability).any(axis=1)
    if lost.any():
        log_info(f"no descendants are known of: {format_list(before.cat.categories[lost])}")
    known = table[~lost.repeat(ends.shape[1])]
    return known.assign(mass=known["probability"] * known["n_source"] / counts[~lost].sum())
