"""Pairs of conditions to compare: their cells at the times that both were measured at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from anndata import AnnData

from cellflow._checks import check_choice, format_list
from cellflow._errors import InputError
from cellflow._log import log_info
from cellflow.evaluation.replicates import MIN_REPLICATE_CELLS
from cellflow.io import TimePoints, groups_of, name_group, name_time, name_times, time_points_of

#: Rows of the cells of each replicate of a condition at a time, by name; without them all rows.
Samples = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class ConditionPair:
    """A condition and its reference at the times of both.

    Attributes
    ----------
    reference, condition
        Names of both.
    samples
        Samples of the reference and of the condition at each time, increasing.
    """

    reference: str
    condition: str
    samples: Mapping[float, tuple[Samples, Samples]]


@dataclass(frozen=True)
class ConditionPairs:
    """All conditions, each paired with the reference.

    Attributes
    ----------
    key
        Column of `obs` with the conditions.
    pairs
        The pairs, in the order of the column.
    time_points
        Time of each cell.
    replicate_key
        Column of `obs` with replicates; None if cells are the units of tests.
    """

    key: str
    pairs: tuple[ConditionPair, ...]
    time_points: TimePoints
    replicate_key: str | None

    @classmethod
    def read(
        cls,
        adata: AnnData,
        condition_key: str,
        *,
        reference: str | float | None,
        replicate_key: str | None,
        time_key: str | None,
    ) -> ConditionPairs:
        """Read the columns; a replicate of two conditions counts as one of each.

        Raises
        ------
        InputError
            If a column is missing or has missing values, there is a single condition or no such
            reference, or a condition has no time in common with the reference.
        """
        conditions = _read_labels(adata, condition_key)
        names = list(map(str, conditions.cat.categories))
        if len(names) < 2:
            raise InputError(
                f"obs[{condition_key!r}] has a single condition, {names[0]!r}; two or more are "
                "compared"
            )
        chosen = names[0] if reference is None else name_group(reference)
        check_choice(chosen, names, f"reference in obs[{condition_key!r}]")
        points = time_points_of(adata, time_key)
        replicates = None if replicate_key is None else _read_labels(adata, replicate_key)
        found = {
            name: _find_samples(name, conditions == name, points, replicates, replicate_key)
            for name in names
        }
        pairs = tuple(
            _pair(condition_key, chosen, name, found, points.unit)
            for name in names
            if name != chosen
        )
        return cls(condition_key, pairs, points, replicate_key)

    def add_unit(self, table: pd.DataFrame) -> pd.DataFrame:
        """Append the unit of the times to a table, if it is known."""
        points = self.time_points
        return table.assign(unit=points.unit) if points.has_unit else table


def _read_labels(adata: AnnData, key: str) -> pd.Series:
    """Return a column as categories, without missing values."""
    labels = groups_of(adata, key)
    if lost := int(labels.isna().sum()):
        raise InputError(
            f"obs[{key!r}] has no value for {lost} of {adata.n_obs} cells; leave them out: "
            f"adata[adata.obs[{key!r}].notna()].copy()"
        )
    return labels


def _find_samples(
    name: str,
    here: pd.Series,
    points: TimePoints,
    replicates: pd.Series | None,
    replicate_key: str | None,
) -> dict[float, Samples]:
    """Return the samples with enough cells of a condition at each time, and report the others."""
    found: dict[float, Samples] = {}
    few: list[str] = []
    for time in points.times:
        rows = np.flatnonzero(here.to_numpy() & (points.elapsed == time))
        if replicates is None:
            samples = {name: rows}
        else:
            of_rows = replicates.iloc[rows]
            samples = {
                str(each): rows[(of_rows == each).to_numpy()] for each in of_rows.cat.categories
            }
        enough = {each: own for each, own in samples.items() if len(own) >= MIN_REPLICATE_CELLS}
        few += [
            f"{each} at {name_time(time, points.unit)} ({len(own)})"
            for each, own in samples.items()
            if 0 < len(own) < MIN_REPLICATE_CELLS
        ]
        if enough:
            found[time] = enough
    if few:
        of = "" if replicate_key is None else f" of {name}"
        log_info(f"left out{of}, with fewer than {MIN_REPLICATE_CELLS} cells: {format_list(few)}")
    return found


def _pair(
    key: str, reference: str, name: str, found: Mapping[str, dict[float, Samples]], unit: str
) -> ConditionPair:
    """Pair a condition with the reference at the times of both."""
    first, second = found[reference], found[name]
    shared = [time for time in first if time in second]
    for one, other, times in (
        (reference, name, [time for time in first if time not in second]),
        (name, reference, [time for time in second if time not in first]),
    ):
        if times:
            where = name_times(times, unit)
            log_info(f"{one} at {where} is not compared: {other} has no cells there, or too few")
    if not shared:
        raise InputError(
            f"obs[{key!r}]: {name!r} and the reference {reference!r} have no time at which both "
            f"have {MIN_REPLICATE_CELLS} cells or more; times of {reference!r}: "
            f"{name_times(first, unit) if first else 'none'}; of {name!r}: "
            f"{name_times(second, unit) if second else 'none'}"
        )
    return ConditionPair(reference, name, {time: (first[time], second[time]) for time in shared})
