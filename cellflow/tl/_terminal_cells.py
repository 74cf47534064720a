"""Terminal cells, whose groups are the fates of other cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score

from cellflow._checks import check_choice, format_list, format_number
from cellflow._errors import InputError
from cellflow._log import log_info
from cellflow.tl._time_course import TimeCourse

#: Time points of terminal cells, as `tl.fates` takes them.
EndTimes = float | str | Sequence[float | str] | Mapping[str, float | str] | None

#: Largest number of proposed groups, and cells from which their separation is measured.
_MAX_GROUPS, _SAMPLE_SIZE = 8, 2000


@dataclass(frozen=True)
class TerminalCells:
    """Cells whose course ends, and their groups.

    Attributes
    ----------
    names
        The K groups that have terminal cells.
    codes
        Number of the group of each terminal cell, -1 for others, shape (n,).
    times
        Time points that have terminal cells, increasing.
    """

    names: tuple[str, ...]
    codes: np.ndarray
    times: tuple[float, ...]

    @classmethod
    def find(
        cls, course: TimeCourse, labels: pd.Series, time: EndTimes, column: str
    ) -> TerminalCells:
        """Find the terminal cells of the groups `labels` at one or more times.

        Raises
        ------
        InputError
            For unknown times or groups, or if a time or group has no terminal cell.
        """
        known = labels.notna().to_numpy()
        terminal = np.zeros(len(known), dtype=bool)
        for group, each in _pair_groups_with_times(time, list(labels.cat.categories)):
            goal = course.find_time(each)
            here = (course.elapsed == goal) & known
            if group is not None:
                here &= (labels == group).to_numpy()
            if not here.any():
                what = "a value" if group is None else f"{group!r}"
                raise InputError(
                    f"no cell of time {format_number(goal)} has {what} in obs[{column!r}]"
                )
            terminal |= here
        found = labels[terminal].cat.remove_unused_categories()
        codes = np.full(len(known), -1)
        codes[terminal] = found.cat.codes
        times = np.unique(course.elapsed[terminal])
        return cls(tuple(map(str, found.cat.categories)), codes, tuple(map(float, times)))


def _pair_groups_with_times(
    time: EndTimes, groups: Sequence[str]
) -> list[tuple[str | None, float | str | None]]:
    """Return pairs of a group, or None for all, and one of its end times."""
    if isinstance(time, Mapping):
        if not time:
            raise InputError("time is an empty mapping; map groups to time points, or leave it out")
        for name in time:
            check_choice(name, groups, "group")
        return [(name, each) for name, times in time.items() for each in _list_times(times)]
    return [(None, each) for each in _list_times(time)]


def _list_times(time: float | str | Sequence[float | str] | None) -> list[float | str | None]:
    if time is None or isinstance(time, str | int | float | np.number):
        return [time]
    times = list(time)
    if not times:
        raise InputError("time is an empty list; name time points, or leave it out for the last")
    return times  # type: ignore[return-value]


def propose_terminal_groups(course: TimeCourse, time: EndTimes) -> pd.Series:
    """Cluster the cells of a time in the representation, into as many groups as separate best.

    k-means with 2 to 8 clusters, of which those with the largest mean silhouette are returned
    (Rousseeuw 1987, J. Comput. Appl. Math. 20:53).

    Returns
    -------
    Categories `terminal 1` to `terminal K`, the largest first; missing for cells of other times.

    Raises
    ------
    InputError
        For several times, or fewer than three cells.
    """
    if isinstance(time, Mapping) or len(_list_times(time)) > 1:
        raise InputError("groups are proposed at one time only; name the groups (--groups)")
    goal = course.find_time(_list_times(time)[0])
    rows = course.rows_at(goal)
    points = course.read_cells(rows).x.double().cpu().numpy()
    limit = min(_MAX_GROUPS, len(np.unique(points, axis=0)) - 1)
    if limit < 2:
        raise InputError(
            f"time {format_number(goal)} has too few different cells to propose terminal groups of"
        )
    best, separation = np.zeros(len(rows), dtype=int), -np.inf
    for k in range(2, limit + 1):
        clusters = KMeans(k, n_init=4, random_state=0).fit_predict(points)
        size = min(_SAMPLE_SIZE, len(rows))
        score = silhouette_score(points, clusters, sample_size=size, random_state=0)
        if score > separation:
            best, separation = clusters, float(score)
    order = np.argsort(-np.bincount(best), kind="stable")
    names = [f"terminal {k + 1}" for k in range(len(order))]
    codes = np.full(course.adata.n_obs, -1)
    codes[rows] = np.argsort(order)[best]
    sizes = format_list(
        f"{name} ({count:,} cells)"
        for name, count in zip(names, np.bincount(best)[order], strict=True)
    )
    log_info(
        f"proposed terminal groups at time {format_number(goal)}: {sizes}; "
        f"silhouette {separation:.2f} (1: far apart, 0: not separated). "
        "Name a column of obs if you know the groups"
    )
    values = pd.Categorical.from_codes(codes, categories=pd.Index(names))
    return pd.Series(values, index=course.adata.obs_names)
