"""The verb `tl.transitions`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, pairwise

import numpy as np
import pandas as pd
from anndata import AnnData

from cellflow._checks import check_choice, format_list, format_number
from cellflow._errors import InputError
from cellflow._log import log_info
from cellflow._random import RNG, resolve_seed
from cellflow.flow import Flow
from cellflow.io import groups_of
from cellflow.methods.names import TIME_PAIRS, TRANSITION_DIRECTIONS
from cellflow.tl._time_course import TimeCourse
from cellflow.tl._transition_estimators import make_estimator, normalise_rows, one_hot


def transitions(
    adata: AnnData,
    flow: Flow,
    groups: str,
    *,
    pairs: str | Sequence[tuple[float | str, float | str]] = "consecutive",
    direction: str = "forward",
    by: str = "bridge",
    n_neighbors: int = 20,
    n_samples: int | None = None,
    time_key: str | None = None,
    rng: RNG = 0,
) -> pd.DataFrame:
    """Tabulate which groups become which, or stem from which, between times.

    Parameters
    ----------
    adata
        Annotated data matrix of the time course, with what the representation of the flow requires:
        the same genes, or the same `obsm` key.
    flow
        The fitted flow.
    groups
        Column of `obs` with the groups. Cells without a value are left out at both times.
    pairs
        Pairs of times: `consecutive`; `all`, of an earlier and a later time; or a list of them,
        by number or label: `[(2, 6)]`.
    direction
        `forward` tabulates the descendants of each earlier group: the rows of a source sum to one
        over its targets. `backward` tabulates the ancestors of each later group: the rows of a
        target sum to one over its sources.
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
    A DataFrame with a row for each pair of times, source group and target group that have cells
    there:

    `groups`
        Name of the column.
    `source_time`, `target_time`
        Earlier and later time.
    `source`, `target`
        Groups at these times, text.
    `probability`
        Forward: share of the descendants of the source group that are in the target group. It sums
        to one over the targets of a source (a row-stochastic matrix of sources by targets), not
        over the sources of a target.
    `n_source`
        Forward: number of cells of the source group.
    `source_probability`
        Backward: share of the ancestors of the target group that are in the source group. It sums
        to one over the sources of a target (column-stochastic), not over the targets of a source.
    `n_target`
        Backward: number of cells of the target group.
    `mass`
        Probability times the share of the source group (backward: the target group) in the cells of
        its time; it sums to one over all rows of a pair of times. `pl.sankey` draws it.

    Groups without known descendants (backward: ancestors), since no cell of their label was taken
    at the other time or all were out of reach, have no rows, and are reported.

    `pl.transitions` draws one pair of times as a matrix, and
    `table.pivot(index="source", columns="target", values="probability")` returns it.

    Raises
    ------
    InputError
        For unknown columns, times, directions or estimators, if the first time of a pair is not the
        earlier one, or if a time has no cell with a group.

    Notes
    -----
    Transport plans are multiplied from one time to the next cell by cell, so the probabilities
    between distant times are not the product of the tables of the intervals between, which would
    let the cells of a group forget where they come from. With plans both directions are of one
    matrix, so Bayes' rule holds between them; with `by="flow"` backward moves the later cells back,
    which differs from moving the earlier ones forward where a flow errs.

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
    check_choice(direction, TRANSITION_DIRECTIONS, "direction")
    course = TimeCourse.read(adata, flow, time_key)
    labels = groups_of(adata, groups)
    chosen = _find_pairs(course, pairs)
    rows = {
        time: course.rows_at(time, labels.notna().to_numpy())
        for time in course.times
        if any(time in pair for pair in chosen)
    }
    if empty := [time for time in rows if not len(rows[time])]:
        raise InputError(
            f"no cell of time {format_number(empty[0])} has a value in obs[{groups!r}]"
        )
    seed = resolve_seed(rng)
    estimator = make_estimator(course, by, n_neighbors=n_neighbors, n_samples=n_samples, seed=seed)
    present = {
        time: labels.iloc[each].cat.remove_unused_categories() for time, each in rows.items()
    }
    members = {
        time: one_hot(each.cat.codes.to_numpy(), each.cat.categories.size)
        for time, each in present.items()
    }
    backward = direction == "backward"
    tables = {}
    for (start, stop), shared in estimator.relate(rows, members, chosen, backward=backward):
        table = _tabulate(members[start].T @ shared, present[start], present[stop], backward)
        tables[start, stop] = table.assign(source_time=start, target_time=stop)
    columns = ["groups", "source_time", "target_time", "source", "target", *_columns(backward),
               "mass"]  # fmt: skip
    return pd.concat([tables[pair] for pair in chosen], ignore_index=True).assign(groups=groups)[
        columns
    ]


def _find_pairs(
    course: TimeCourse, pairs: str | Sequence[tuple[float | str, float | str]]
) -> list[tuple[float, float]]:
    """Return the pairs of an earlier and a later time, without repeats.

    Raises
    ------
    InputError
        If there are none, or one is not two times, the earlier first.
    """
    if isinstance(pairs, str):
        check_choice(pairs, TIME_PAIRS, "pairs", " or pairs of times, as [(2, 6)]")
        times = course.times
        return [*pairwise(times)] if pairs == "consecutive" else [*combinations(times, 2)]
    chosen = []
    for pair in pairs:
        if isinstance(pair, str) or len(pair) != 2:
            raise InputError(
                f"a pair is an earlier and a later time, as (2, 6) (--pairs 2,6), got {pair!r}"
            )
        start, stop = map(course.find_time, pair)
        if not start < stop:
            raise InputError(
                f"the first time of a pair is the earlier one, got {format_number(start)} and "
                f"{format_number(stop)}; direction='backward' (--direction backward) gives the "
                "ancestors of later groups"
            )
        chosen.append((start, stop))
    if not chosen:
        raise InputError("pairs is empty; give pairs of times, 'consecutive' or 'all'")
    return list(dict.fromkeys(chosen))


def _columns(backward: bool) -> tuple[str, str]:
    """Return the names of the columns with the probabilities and the numbers of cells."""
    return ("source_probability", "n_target") if backward else ("probability", "n_source")


def _tabulate(
    shared: np.ndarray, before: pd.Series, after: pd.Series, backward: bool
) -> pd.DataFrame:
    """Return a row for each pair of groups of two times.

    `shared` is how much of each group of the later time stems from each of the earlier one.
    """
    column, count = _columns(backward)
    sources, targets = before.cat.categories, after.cat.categories
    cells = (after if backward else before).cat.codes.value_counts().sort_index().to_numpy()
    if backward:
        probability, given = normalise_rows(shared.T).T, np.tile(cells, (len(sources), 1))
    else:
        probability, given = normalise_rows(shared), cells[:, None].repeat(len(targets), axis=1)
    index = pd.MultiIndex.from_product([sources, targets], names=["source", "target"])
    values = {column: probability.ravel(), count: given.ravel()}
    table = pd.DataFrame(values, index=index).reset_index()
    lost = np.isnan(probability).all(axis=0 if backward else 1)
    if lost.any():
        relatives = "ancestors" if backward else "descendants"
        log_info(
            f"no {relatives} are known of: {format_list((targets if backward else sources)[lost])}"
        )
    known = table[table[column].notna()]
    return known.assign(mass=known[column] * known[count] / cells[~lost].sum())
