"""The verb `tl.fates`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.special import entr

from cellflow._checks import format_list, format_number
from cellflow._errors import InputError
from cellflow._keys import ENTROPY, FATE, PROBABILITIES, TERMINAL, read_record, write_record
from cellflow._log import log_info
from cellflow._random import RNG, resolve_seed
from cellflow.evaluation.cautions import (
    check_fates,
    check_group_shares,
    describe_known,
    record_cautions,
)
from cellflow.flow import Flow
from cellflow.io import Cells, describe_cells, groups_of, select_cells
from cellflow.representation import points_of
from cellflow.tl._terminal_cells import EndTimes, TerminalCells, propose_terminal_groups
from cellflow.tl._time_course import TimeCourse
from cellflow.tl._transition_estimators import (
    TransitionEstimator,
    make_estimator,
    normalise_rows,
)

#: Terminal cells of a fate under which its probabilities depend on single cells.
_FEW_CELLS = 5


def fates(
    adata: AnnData,
    flow: Flow,
    groups: str | None = None,
    *,
    cells: Cells = None,
    time: EndTimes = None,
    by: str = "bridge",
    n_neighbors: int = 20,
    n_samples: int | None = None,
    time_key: str | None = None,
    rng: RNG = 0,
    key_added: str = FATE,
    copy: bool = False,
) -> AnnData | None:
    """Estimate the probability of each cell to end in each terminal group.

    Parameters
    ----------
    adata
        Annotated data matrix of the time course, with what the representation of the flow requires:
        the same genes, or the same `obsm` key.
    flow
        The fitted flow.
    groups
        Column of `obs` with the terminal groups. Cells without a value do not vote. None proposes
        groups: clusters of the cells of `time`, as many as separate best.
    cells
        Cells to estimate fates of: a boolean mask, names of cells, or text such as
        `cell_type=HSC & day=2`. None uses all cells that were taken until the last of `time`.
    time
        Time point of the fates; None uses the last of the course. Several times, as a list, end the
        course of each cell that has a group at one of them, for fates that are reached early. A
        mapping of groups to times, such as `{"Meg": 4, "Mono": 6}`, ends each group at its own.
    by
        `bridge` multiplies entropic transport plans between consecutive times. Rows of the plans
        spread over many cells and are averaged over near ones, so that probabilities are between
        0 and 1 where fates are open. `flow` moves each cell along the flow, and the nearest cells
        there vote; `coupling` multiplies exact plans, those of the flow if its coupling changes
        mass. Both give nearly certain fates by construction, whether or not anything can be
        known (except `flow` with `n_samples`). The fate of a cell is that of all of its
        descendants, of which dividing cells have more.
    n_neighbors
        Number of cells that vote for each moved cell, for `by="flow"`; all of a label if there
        are fewer. Many neighbours blur the borders of groups, few are noisy. If the flow was fitted
        within labels (`label_key`, categorical `condition_keys`), only cells of the same label
        vote.
    n_samples
        Number of stochastic paths of each cell, for `by="flow"` and flows with a score (method
        `sf2m`). None moves each cell along the velocity, deterministically, so that the uncertainty
        is that of the vote.
    time_key
        Column of `obs` with the times; None uses the column that the flow was fitted to.
    rng
        Seed, or a numpy generator to draw one from, of stochastic paths, and of the samples and
        blocks of large transport plans.
    key_added
        Prefix of the slots.
    copy
        Return an annotated copy instead of writing to `adata`.

    Returns
    -------
    None, or the annotated copy. Written are:

    `obsm[f"{key_added}_probabilities"]`
        Shape (n, K), float64. Rows of cells with a fate sum to one; others are NaN. Terminal cells
        have their own group.
    `obs[f"{key_added}_{group}"]`
        The columns of it, one for each group, for `sc.pl.umap(color=...)`. A slash in the name of a
        group becomes an underscore.
    `obs[f"{key_added}_entropy"]`
        Entropy of each row in nats, from 0 (certain) to log K.
    `obs["cellflow_terminal"]`
        The proposed groups, if `groups` is None.
    `uns["cellflow"][f"{key_added}_probabilities"]`
        `names` of the K groups that have terminal cells, in the order of the column; `columns`,
        their columns in `obs`; `groups`, `time` (the last, if there are several), `end_times`,
        `cells`, `by`, `certain_by_construction`, `n_neighbors`, `n_samples`; `cautions`, sentences
        on fates that the data do not support; for `by="bridge"` also `start_times` and `known`, the
        share of the variance of fates at each start time that the probabilities explain: 0 if all
        cells have the same probabilities, 1 if all fates are certain; and the provenance:
        `flow_id`, `data`, `seed`, `device`, `versions`, `time_key`, `unit`.

    Raises
    ------
    InputError
        For unknown columns, cells, times, groups or estimators, if a time has no terminal cell, or
        if a slot that this function did not write would be replaced.

    Notes
    -----
    The strength of the entropy is chosen for each interval: a row spreads over 30 % of the cells
    of the later time in the mean, but the strength is at most 0.6 times the cost to the nearest
    20 % of the cells of the same time. Rows are averaged over the nearest 7.5 % of the cells of
    their time, since transport alone assigns cells to far branches by differences that may be
    noise. Masses are equal at every time, so where a fate grows faster than another, and the
    flow was not fitted with growth rates, cells are assigned to it that do not become it. On
    simulated courses with known fates the probabilities are calibrated within 5 %, see "How far to
    trust each answer" in the documentation.

    References
    ----------
    Descendants by chained entropic plans: Schiebinger et al. 2019, Cell 176:928; as a Schrödinger
    bridge: Lavenant et al. 2024, Ann. Appl. Probab. 34:428. Perplexity as the scale of a kernel:
    van der Maaten and Hinton 2008, JMLR 9:2579.

    Examples
    --------
    >>> import cellflow as cf
    >>> adata = cf.datasets.semrau2017()
    >>> adata = adata[adata.X.getnnz(axis=1) > 0].copy()
    >>> cf.pp.embed(adata, n_dims=3)
    >>> adata.obs["half"] = (adata.obsm["X_cellflow"][:, 1] > 0).astype(str)
    >>> short = cf.recipe("default", n_steps=10)
    >>> flow = cf.tl.fit(adata, time_key="time", recipe=short, progress=False)
    >>> cf.tl.fates(adata, flow, "half", cells="time=72")
    >>> adata.obsm["fate_probabilities"].shape
    (2434, 2)
    >>> bool(adata.obs["fate_True"].notna().sum() == (adata.obs["time"] == 72).sum())
    True
    """
    course = TimeCourse.read(adata, flow, time_key)
    _check_slots(adata, key_added, proposes=groups is None)
    seed = resolve_seed(rng)
    estimator = make_estimator(course, by, n_neighbors=n_neighbors, n_samples=n_samples, seed=seed)
    if cells is not None:
        select_cells(adata, cells)
    if groups is None:
        labels = propose_terminal_groups(course, time)
    else:
        labels = groups_of(adata, groups)
    ends = TerminalCells.find(course, labels, time, groups or TERMINAL)
    usable = np.isin(course.elapsed, [each for each in course.times if each <= ends.times[-1]])
    selected = course.select(cells, usable, f"at or before time {format_number(ends.times[-1])}")
    columns = _name_columns(adata, ends.names, key_added)
    probabilities = _propagate(course, estimator, ends, selected)
    certain = by == "coupling" or (by == "flow" and n_samples is None)
    # Shares of variance are what is known only where probabilities are calibrated.
    starts, known = _measure_known(course, probabilities, ends) if by == "bridge" else (None, None)
    _report_limits(labels, ends, probabilities[selected], by=by, certain=certain)
    if starts is not None and known is not None and len(known):
        shares = describe_known(starts, known, course.time_points.unit)
        log_info(f"known of the fates (0%: all cells have the same): {shares}")
    points = points_of(adata, course.representation)
    predicted = np.where((ends.codes < 0)[:, None], probabilities, np.nan)
    cautions = [
        *check_fates(points, predicted, course.elapsed, ends.names, course.time_points.names),
        *_check_shares(course, labels, ends),
        *_check_sizes(ends),
    ]
    result = adata.copy() if copy else adata
    _remove_columns(result, key_added)
    if groups is None:
        result.obs[TERMINAL] = labels
    result.obsm[key_added + PROBABILITIES] = probabilities
    result.obs = result.obs.assign(
        **dict(zip(columns, probabilities.T, strict=True)),
        **{key_added + ENTROPY: entr(probabilities).sum(axis=1)},
    )
    entry = {
        "names": np.array(ends.names, dtype=object),
        "columns": np.array(columns, dtype=object),
        "groups": groups or TERMINAL,
        "time": ends.times[-1],
        "end_times": np.array(ends.times),
        "cells": describe_cells(cells),
        "by": by,
        "certain_by_construction": certain,
        "n_neighbors": n_neighbors if by == "flow" else None,
        "n_samples": n_samples,
        "start_times": starts,
        "known": known,
        "cautions": record_cautions(cautions),
        **course.provenance(seed),
    }
    write_record(result.uns, key_added + PROBABILITIES, entry)
    return result if copy else None


def _propagate(
    course: TimeCourse, estimator: TransitionEstimator, ends: TerminalCells, selected: np.ndarray
) -> np.ndarray:
    """Return fate probabilities of the selected cells, from the last terminal cells backward."""
    terminal = ends.codes >= 0
    values = np.full((len(terminal), len(ends.names)), np.nan)
    values[terminal] = np.eye(len(ends.names))[ends.codes[terminal]]
    # Cells that pass an end time without being terminal vote there, by their own fates.
    needed = (selected | np.isin(course.elapsed, ends.times)) & ~terminal
    for k, goal in reversed(list(enumerate(ends.times))):
        voters = course.rows_at(goal, ~np.isnan(values[:, 0]))
        earliest = ends.times[k - 1] if k else -np.inf
        before = [time for time in reversed(course.times) if earliest <= time < goal]
        origins = [rows for time in before if len(rows := course.rows_at(time, needed))]
        descents = estimator.descend(origins, voters, values[voters])
        for rows, descent in zip(origins, descents, strict=True):
            values[rows] = normalise_rows(descent)
    values[~selected] = np.nan
    return values


def _measure_known(
    course: TimeCourse, probabilities: np.ndarray, ends: TerminalCells
) -> tuple[np.ndarray, np.ndarray]:
    """Return the start times with more than one fate, and how much of the fates is known there."""
    shares = {}
    for time in course.times:
        rows = course.rows_at(time, ~np.isnan(probabilities[:, 0]) & (ends.codes < 0))
        found = probabilities[rows]
        if len(rows) and (total := float(np.sum(found.mean(axis=0) * (1 - found.mean(axis=0))))):
            open_part = float((found * (1 - found)).sum(axis=1).mean())
            shares[time] = max(0.0, 1 - open_part / total)
    return np.array(list(shares)), np.array(list(shares.values()))


def _check_sizes(ends: TerminalCells) -> list[str]:
    """Return a caution on fates that a few cells stand for."""
    counts = np.bincount(ends.codes[ends.codes >= 0], minlength=len(ends.names))
    few = [
        f"{name} ({n} cell{'' if n == 1 else 's'})"
        for name, n in zip(ends.names, counts, strict=True)
        if n < _FEW_CELLS
    ]
    if not few:
        return []
    return [
        f"Few terminal cells stand for the fates {format_list(few)}, so their probabilities depend "
        "on single cells: combine groups, or set these cells to NaN"
    ]


def _check_shares(course: TimeCourse, labels: pd.Series, ends: TerminalCells) -> list[str]:
    """Return cautions on terminal groups whose share falls; none where growth is given."""
    if course.flow.method.needs_growth_rates:
        return []
    codes = labels.cat.set_categories(list(ends.names)).cat.codes.to_numpy(dtype=int)
    here = np.isin(course.elapsed, [time for time in course.times if time <= ends.times[-1]])
    return check_group_shares(
        codes[here], course.elapsed[here], ends.names, course.time_points.names
    )


def _report_limits(
    labels: pd.Series, ends: TerminalCells, probabilities: np.ndarray, *, by: str, certain: bool
) -> None:
    """Log which groups and cells have no fates, and what probabilities by `by` are."""
    if absent := format_list(set(labels.cat.categories) - set(ends.names)):
        log_info(f"not among the fates, since no terminal cell has the group: {absent}")
    if lost := int(np.isnan(probabilities[:, 0]).sum()):
        log_info(
            f"{lost} of {len(probabilities)} cells have no fate: no terminal cell of their label "
            "descends from them, or they are at the last time without a group"
        )
    if certain:
        log_info(
            f"by={by!r} gives nearly certain fates by construction, also where nothing can be "
            "known; by='bridge' gives probabilities"
        )
    elif by == "flow":
        log_info(
            "probabilities by n_samples are those of the simulated noise and were not found "
            "calibrated; by='bridge' gives probabilities"
        )


def _check_slots(adata: AnnData, key_added: str, *, proposes: bool) -> None:
    """Check the key, and that slots which exist were written by an earlier call."""
    if not key_added or "/" in key_added:
        raise InputError(f"key_added must be a name without a slash, got {key_added!r}")
    entry = read_record(adata.uns, key_added + PROBABILITIES)
    slots = {
        f"obsm[{key_added + PROBABILITIES!r}]": key_added + PROBABILITIES in adata.obsm,
        f"obs[{key_added + ENTROPY!r}]": key_added + ENTROPY in adata.obs,
    }
    if entry is None and (taken := [name for name, exists in slots.items() if exists]):
        raise InputError(f"{format_list(taken)} was not written by fates; give another key_added")
    proposed = entry is not None and entry["groups"] == TERMINAL
    if proposes and TERMINAL in adata.obs and not proposed:
        raise InputError(
            f"obs[{TERMINAL!r}] exists, and proposed groups would replace it; name it as groups "
            "(--groups), or remove it"
        )


def _name_columns(adata: AnnData, names: Sequence[str], key_added: str) -> list[str]:
    """Return the `obs` columns of the groups; raise where they would replace others."""
    columns = [f"{key_added}_{name.replace('/', '_')}" for name in names]
    taken = {str(name) for name in adata.obs} - set(_written_columns(adata, key_added))
    clashes = [name for name in columns if name in taken or columns.count(name) > 1]
    if key_added + ENTROPY in columns:
        clashes.append(key_added + ENTROPY)
    if clashes:
        raise InputError(
            f"obs already has, or would get twice: {format_list(dict.fromkeys(clashes))}; give "
            "another key_added, or rename the groups or the columns"
        )
    return columns


def _written_columns(adata: AnnData, key_added: str) -> list[str]:
    """Return the `obs` columns that an earlier call wrote."""
    entry = read_record(adata.uns, key_added + PROBABILITIES) or {}
    return [*map(str, entry.get("columns", ())), key_added + ENTROPY]


def _remove_columns(adata: AnnData, key_added: str) -> None:
    """Remove the columns of an earlier call, whose groups may have been others."""
    old = [name for name in _written_columns(adata, key_added) if name in adata.obs]
    adata.obs = adata.obs.drop(columns=old)
