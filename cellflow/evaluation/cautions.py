"""Cautions on fates, batches and scores: sentences that verbs log and figures and reports repeat.

A verb computes its cautions once and stores them in its record in `uns["cellflow"]` under
`cautions`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pandas as pd
from sklearn.neighbors import NearestNeighbors

from cellflow._checks import format_list
from cellflow._log import log_info
from cellflow.evaluation.comparison import average_folds, label_folds
from cellflow.flow import Flow
from cellflow.io import TimeNames, format_time, name_time_point
from cellflow.io.batches import names_batches
from cellflow.io.obs_summary import spells_times
from cellflow.representation import Representation, from_context, settings_of
from cellflow.training import TransitionConflict

#: Mean of the largest fate probability from which fates count as certain.
_CERTAIN = 0.9

#: Cells that a time and a fate need for a statement on their structure, and share of its time.
_MIN_CELLS, _MIN_FATE_CELLS, _MIN_FATE_SHARE = 40, 10, 0.05

#: Cells between two fates, relative to those on the sparser side, under which there is a gap.
_GAP = 0.8

#: Drop of a group's share of the cells that is worth a caution, as a share and in standard errors.
_DROP, _DROP_ERRORS = 0.05, 3.0

#: Share of the mass that takes transitions that are not allowed, and factor by which the others
#: cost more, that are worth a caution.
_PAYING, _EXCESS = 0.1, 1.25

#: Most values of a column of batches.
_MAX_BATCHES = 50

#: Neighbours whose batches are compared, and cells of a time that are drawn for it.
_N_NEIGHBORS, _MAX_CELLS = 15, 2000

#: Share of the way from chance to complete separation of batches that is worth a caution.
_SEPARATED = 0.2

#: Settings of a fit that decide its held-out scores: of its representation, and others.
_SPACE = ("use_rep", "layer", "kind", "n_dims", "whiten")
_SCORE_SETTINGS = (
    "method",
    "recipe",
    "condition_keys",
    "label_key",
    "lineage_key",
    "cost_rep",
    "allowed_transitions",
    "group_key",
    "growth_key",
    "time_axis",
)

#: Baselines of held-out scores that need no model, in words.
_RIVALS = {
    "midpoint": "the midpoint of coupled cells",
    "previous": "the cells before",
    "next": "the cells after",
    "others": "the other replicates",
    "others_shifted": "the other replicates, shifted",
    "nearest": "the cells of the nearer value",
    "mixture": "the cells of both neighbouring values, mixed",
}

#: The midpoint of held-out values of a condition, in words.
_MIDPOINT_OF_VALUES = "the midpoint of coupled cells of both neighbouring values"


def check_fates(
    points: np.ndarray,
    probabilities: np.ndarray,
    elapsed: np.ndarray,
    names: Sequence[str],
    time_names: TimeNames | None = None,
) -> list[str]:
    """Return a caution for each time whose cells have certain fates but no gap between them.

    Cells of two fates, told apart with certainty, are at least two groups. Along the direction that
    separates them best, found on one half of the cells and applied to the other, there are then
    fewer cells between the medians of both than around either; one cloud that is cut in two is
    densest there.

    Parameters
    ----------
    points
        Coordinates of all cells, shape (n, d).
    probabilities
        Fate probabilities, shape (n, K); NaN for cells without a fate.
    elapsed
        Time of each cell, shape (n,).
    names
        Names of the K fates.
    time_names
        Names of the times; None writes numbers.
    """
    known = np.isfinite(probabilities).all(axis=1)
    found = []
    for time in np.unique(elapsed[known]):
        rows = np.flatnonzero(known & (elapsed == time))
        certainty = float(probabilities[rows].max(axis=1).mean())
        if len(rows) < _MIN_CELLS or certainty < _CERTAIN:
            continue
        fate = probabilities[rows].argmax(axis=1)
        mixed = [
            f"{names[one]} and {names[other]}"
            for one, other in _frequent_pairs(fate)
            if not _has_gap(points[rows], fate, one, other)
        ]
        if mixed:
            found.append(
                f"Cells of {name_time_point(time, time_names)} are given fates with a mean "
                f"probability of {certainty:.2f}, but nothing in the data separates those of "
                f"{format_list(mixed)}: they form one cloud. Read shares of the time, not fates of "
                "cells"
            )
    return found


def check_group_shares(
    codes: np.ndarray,
    elapsed: np.ndarray,
    names: Sequence[str],
    time_names: TimeNames | None = None,
) -> list[str]:
    """Return a caution for each terminal group whose share of the cells falls between two times.

    Cells do not leave a terminal group, so its share rises. Where it falls, the group grew more
    slowly than others or fewer of it were captured, but plans between equal masses give its
    surplus cells to other groups.

    Parameters
    ----------
    codes
        Number of the terminal group that each cell is annotated with, -1 for others, shape (n,).
    elapsed
        Time of each cell, shape (n,).
    names
        Names of the groups.
    time_names
        Names of the times; None writes numbers.
    """
    times = np.unique(elapsed)
    found = []
    for k, name in enumerate(names):
        shares = np.array([np.mean(codes[elapsed == time] == k) for time in times])
        counts = np.array([np.sum(elapsed == time) for time in times])
        errors = np.sqrt(shares * (1 - shares) / counts)
        drops = shares[:-1] - shares[1:]
        limit = np.maximum(_DROP, _DROP_ERRORS * np.hypot(errors[:-1], errors[1:]))
        large = [
            f"{shares[i]:.0%} at {name_time_point(times[i], time_names)} "
            f"to {shares[i + 1]:.0%} at {name_time_point(times[i + 1], time_names)}"
            for i in np.flatnonzero(drops > limit)
        ]
        if large:
            found.append(
                f"The share of {name} in the cells falls from {format_list(large)}. Masses are "
                f"taken as equal, so cells of {name} are given other fates there. That is wrong if "
                "they grew less or fewer were captured: give growth rates to the fit (growth_key)"
            )
    return found


def _frequent_pairs(fate: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yield pairs of fates that have enough cells."""
    codes, counts = np.unique(fate, return_counts=True)
    enough = counts >= max(_MIN_FATE_CELLS, _MIN_FATE_SHARE * len(fate))
    yield from combinations(codes[enough].tolist(), 2)


def _has_gap(points: np.ndarray, fate: np.ndarray, one: int, other: int) -> bool:
    """Report whether fewer cells lie between two fates than around the median of either."""
    rows = np.flatnonzero((fate == one) | (fate == other))
    x, is_other = points[rows].astype(np.float64), fate[rows] == other
    halves = np.zeros(len(rows), dtype=bool)
    for side in (is_other, ~is_other):
        halves[np.flatnonzero(side)[::2]] = True
    counts = np.zeros(3)
    for half in (halves, ~halves):
        along = x[~half] @ _direction(x[half], is_other[half])
        low, high = (np.median(along[is_other[~half] == side]) for side in (False, True))
        thirds = np.linspace(low, high, 4) if low < high else np.array([low] * 4)
        counts += np.histogram(along, bins=thirds)[0] if low < high else np.ones(3)
    return bool(counts[1] < _GAP * min(counts[0], counts[2]))


def _direction(x: np.ndarray, is_other: np.ndarray) -> np.ndarray:
    """Return the direction of Fisher's discriminant between two groups, shape (d,)."""
    one, other = x[~is_other], x[is_other]
    inner = np.concatenate([one - one.mean(axis=0), other - other.mean(axis=0)])
    scatter = inner.T @ inner / len(x)
    ridge = 0.1 * np.trace(scatter) / len(scatter) or 1.0
    gap = other.mean(axis=0) - one.mean(axis=0)
    direction: np.ndarray = np.linalg.solve(scatter + ridge * np.eye(len(scatter)), gap)
    return direction


def describe_known(times: Iterable[float], shares: Iterable[float], unit: str = "") -> str:
    """Describe how much of the fates is known at each start time, as `4% at day 2, 93% at day 4`.

    `unit` is that of the times; empty if it is not known.
    """
    return format_list(
        f"{share:.0%} at {format_time(time, unit)}"
        for time, share in zip(times, shares, strict=True)
    )


def check_transitions(
    conflicts: Sequence[TransitionConflict],
    times: Sequence[float],
    time_names: TimeNames | None = None,
) -> list[str]:
    """Return a caution for each interval in which known transitions and transport disagree.

    Parameters
    ----------
    conflicts
        Disagreement of each interval.
    times
        Times of the course, one more.
    time_names
        Names of the times; None writes numbers.
    """
    found = []
    for (start, stop), conflict in zip(pairwise(times), conflicts, strict=True):
        where = f"{name_time_point(start, time_names)} and {name_time_point(stop, time_names)}"
        if conflict.paying > _PAYING:
            found.append(
                f"Between {where}, {conflict.paying:.0%} of the mass takes transitions that are "
                "not among the allowed ones, since groups of the later time are more than those "
                "that may become them: a transition may be missing from the table, or some groups "
                "grew faster than others"
            )
        if conflict.excess > _EXCESS:
            found.append(
                f"Between {where}, the table of transitions decides and not the distances of the "
                f"cells: without it {conflict.unaware:.0%} of the mass would take others, at "
                f"{1 / conflict.excess:.0%} of the cost. A wrong table looks the same; hold a time "
                "out with and without it (tl.holdout)"
            )
    return found


def check_batches(
    obs: pd.DataFrame,
    points: np.ndarray,
    elapsed: np.ndarray,
    *,
    time_key: str | None = None,
    label_key: str | None = None,
    time_names: TimeNames | None = None,
) -> list[str]:
    """Return cautions on columns of batches between the times of a course.

    A column of batches is one with a usual name (`batch`, `donor`, `sample`, ...) and 2 to 50
    values. Consecutive times without a common batch cannot tell change from batches, unless the
    column is that of the times, or holds the same times in other words. Within a time,
    the share of the 15 nearest cells that have the batch of a cell is compared with that by chance.

    Parameters
    ----------
    obs
        Columns of the cells.
    points
        Coordinates of the cells, shape (n, d).
    elapsed
        Time of each cell, shape (n,).
    time_key
        Column that the times were read from.
    label_key
        Column within which cells are coupled, whose separation does no harm.
    time_names
        Names of the times; None writes numbers.
    """
    found = []
    for key in _batch_columns(obs):
        batch, names = pd.factorize(obs[key].astype(str))
        timed = key == time_key or spells_times(obs[key], elapsed)
        apart = [] if timed else _times_apart(batch, elapsed, time_names)
        n_intervals = len(np.unique(elapsed)) - 1
        if apart and len(apart) == n_intervals:
            found.append(
                f"No two consecutive times share a value of obs[{key!r}], so shifts between its "
                f"{len(names)} values cannot be told from change in time"
            )
        elif apart:
            found.append(
                f"No value of obs[{key!r}] was taken at both ends of {format_list(apart)}: shifts "
                "between its values cannot be told from change in time there"
            )
        if key == label_key:
            continue
        observed, chance = _batch_purity(points, batch, elapsed)
        if observed - chance > _SEPARATED * (1 - chance):
            found.append(
                f"{observed:.0%} of the nearest cells of one time in the representation have the "
                f"same obs[{key!r}], by chance {chance:.0%}: correct the representation, or couple "
                f"within it (label_key={key!r})"
            )
    return found


def _batch_columns(obs: pd.DataFrame) -> list[str]:
    """Return the columns of batches, by their names."""
    return [
        key
        for key in map(str, obs)
        if names_batches(key)
        and not pd.api.types.is_float_dtype(obs[key])
        and 2 <= obs[key].nunique() <= _MAX_BATCHES
    ]


def _times_apart(batch: np.ndarray, elapsed: np.ndarray, time_names: TimeNames | None) -> list[str]:
    """Return the intervals whose ends have no batch in common, in words."""
    return [
        f"{name_time_point(early, time_names)} to {name_time_point(late, time_names)}"
        for early, late in pairwise(np.unique(elapsed))
        if not np.intersect1d(batch[elapsed == early], batch[elapsed == late]).size
    ]


def _batch_purity(
    points: np.ndarray, batch: np.ndarray, elapsed: np.ndarray
) -> tuple[float, float]:
    """Return how many nearest cells of a time share a batch, and how many would by chance."""
    same, chance = [], []
    draw = np.random.default_rng(0)
    for time in np.unique(elapsed):
        rows = np.flatnonzero(elapsed == time)
        rows = draw.permutation(rows)[:_MAX_CELLS]
        counts = np.bincount(batch[rows])
        k = min(_N_NEIGHBORS, len(rows) // 4)
        if (counts >= _MIN_FATE_CELLS).sum() < 2 or k < 1:
            continue
        search = NearestNeighbors(n_neighbors=k).fit(points[rows])
        near = search.kneighbors(return_distance=False)
        same.append((batch[rows][near] == batch[rows][:, None]).mean(axis=1))
        chance.append((counts[batch[rows]] - 1) / (len(rows) - 1))
    if not same:
        return 0.0, 0.0
    return float(np.concatenate(same).mean()), float(np.concatenate(chance).mean())


def check_scores(scores: pd.DataFrame) -> list[str]:
    """Return a caution if for some held-out time or value a prediction without a model is nearer.

    `scores` is a table of `tl.holdout`; seeds are averaged.
    """
    columns = {f"w1_{name}": text for name, text in _RIVALS.items() if f"w1_{name}" in scores}
    if "condition" in scores:
        columns["w1_midpoint"] = _MIDPOINT_OF_VALUES
    means = average_folds(scores)[["w1", *columns]]
    worse = []
    for label, (_, row) in zip(label_folds(scores, means.index), means.iterrows(), strict=True):
        best = str(row[list(columns)].astype(float).idxmin())
        if row["w1"] > row[best]:
            worse.append((label, f"W1 {row[best]:.3f} by {columns[best]}, {row['w1']:.3f}"))
    if not worse:
        return []
    detail = "; ".join(f"at {label} {text} by the flow" for label, text in worse)
    return [
        f"At {format_list(label for label, _ in worse)} a prediction without any model is nearer "
        f"to the real cells than the flow is ({detail})"
    ]


def check_score_settings(settings: Mapping[str, Any], fitted: Mapping[str, Any]) -> list[str]:
    """Return cautions if scores were measured with other settings than those of a flow.

    The first is on the representation, if it differs; the second is on all other settings.

    Parameters
    ----------
    settings
        Settings of the scores, as `tl.holdout` records them.
    fitted
        Settings of the flow under the same names, as `flow_settings` and `recorded_settings` return
        them.
    """
    found = []
    if space := _describe_differences(settings, fitted, _SPACE):
        found.append(
            f"Held-out scores are of another representation than the flow's: {space}. They do not "
            "say how far predictions of this flow are off, and their distances have another unit; "
            "score the flow with tl.holdout(adata, flow=flow) or cellflow holdout --flow FLOW"
        )
    if others := _describe_differences(settings, fitted, _SCORE_SETTINGS):
        found.append(f"Held-out scores are those of other settings than the flow's: {others}")
    return found


def _describe_differences(
    settings: Mapping[str, Any], fitted: Mapping[str, Any], names: Sequence[str]
) -> str:
    """Describe the settings of these names that differ; empty if none does."""
    theirs, mine = (
        {name: one.get(name) for name in names if name in fitted} for one in (settings, fitted)
    )
    return format_list(
        f"{name} {_show(one)} (flow: {_show(other)})"
        for name, one, other in _differences(theirs, mine, "")
    )


def flow_settings(flow: Flow) -> dict[str, Any]:
    """Return the settings of a flow that decide its scores, named as `tl.holdout` records them."""
    values = flow.as_dict()
    entry = {**values["inputs"], "method": values["method"], "recipe": values["recipe"]}
    space = representation_settings(from_context(flow.context))
    return recorded_settings({**entry, "representation": space, "time_axis": flow.axis.kind})


def representation_settings(fitted: Representation) -> dict[str, Any]:
    """Return the settings of a representation as they are recorded with scores and flows."""
    recorded = settings_of(fitted)
    return {name: getattr(recorded, name) for name in _SPACE}


def recorded_settings(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return those settings of the record of a fit."""
    space = entry.get("representation", {})
    settings = {name: entry.get(name) for name in _SCORE_SETTINGS}
    return {**settings, **({name: space.get(name) for name in _SPACE} if space else {})}


def _differences(
    theirs: Mapping[str, Any], mine: Mapping[str, Any], prefix: str
) -> Iterator[tuple[str, Any, Any]]:
    """Yield name and both values of each setting in which two mappings differ."""
    for name in [*mine, *(name for name in theirs if name not in mine)]:
        one, other = _plain(theirs.get(name)), _plain(mine.get(name))
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            yield from _differences(one, other, f"{prefix}{name}.")
        elif one != other:
            yield f"{prefix}{name}", one, other


def _plain(value: Any) -> Any:
    """Return arrays and tuples as lists, and an empty one as None, as records leave them out."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, tuple):
        value = list(value)
    if isinstance(value, list) and value and isinstance(value[0], list | tuple):
        # Rows of transitions are text and a number, which .h5ad files have as text.
        value = [[*map(str, row)] for row in value]
    return None if value == [] else value


def _show(value: Any) -> str:
    return "none" if value is None else str(value)


def record_cautions(cautions: Sequence[str]) -> np.ndarray | None:
    """Log cautions, a line each, and return them as records store them; None without any."""
    for caution in cautions:
        log_info(f"caution: {caution}")
    return np.array(cautions, dtype=object) if len(cautions) else None
