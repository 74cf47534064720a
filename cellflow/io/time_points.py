"""Read elapsed times from numbers, ordered categories, or labels such as `day 3`, `24h`."""

from __future__ import annotations

import re
import warnings
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from cellflow._checks import format_list, format_number
from cellflow._errors import CellflowWarning, InputError
from cellflow._keys import TIME_POINTS, read_record
from cellflow._log import log_info
from cellflow._quoting import quote
from cellflow.io.time_columns import (
    EXPECTED,
    ReadTimes,
    check_not_continuous,
    is_missing,
    known_numbers,
    label_of,
    labels_of,
    read_elapsed,
    read_values,
    text_of,
)
from cellflow.io.time_labels import ORDINAL_UNITS

#: Names of columns to read times from if no other column is given or recorded.
USUAL_TIME_KEYS = (
    "time",
    "day",
    "days",
    "hour",
    "hours",
    "timepoint",
    "time_point",
    "hpf",
    "dpf",
    "hpi",
    "dpi",
    "pcw",
    "age",
    "stage",
    "development_stage",
)


@dataclass(frozen=True)
class TimePoints:
    """The times of all cells, and the distinct times of a time course.

    Attributes
    ----------
    elapsed
        Time of each cell, shape (n,), float64.
    times
        The distinct times, increasing.
    labels
        Value of the column for each of `times`, as text.
    unit
        `hour`, `day`, ...; empty if the column has no unit; `rank` for ordered categories without
        numbers, whose elapsed times are unknown; `Theiler stage` and others for stages.
    origin
        Event that times count from, such as `conception`; empty if unknown.
    notes
        Sentences on what was assumed to read them.
    """

    elapsed: np.ndarray
    times: tuple[float, ...]
    labels: tuple[str, ...]
    unit: str
    origin: str = ""
    notes: tuple[str, ...] = ()

    @property
    def has_unit(self) -> bool:
        """Whether the times have a known unit; ranks of categories and stages have none."""
        return self.unit not in ("", "rank")

    @property
    def counts(self) -> tuple[int, ...]:
        """Number of cells at each of `times`."""
        return tuple(int((self.elapsed == time).sum()) for time in self.times)

    @property
    def labels_in_words(self) -> dict[float, str]:
        """Label of each of `times` that is more than a number, such as `E8.5` or `day 3`."""
        labels = zip(self.times, self.labels, strict=True)
        return {time: label for time, label in labels if not re.fullmatch(r"[-+.\de]+", label)}

    @property
    def names(self) -> dict[float, str]:
        """Name of each of `times` in a sentence: its label, or `time 3` for a number alone."""
        labels = self.labels_in_words
        return {time: labels.get(time) or f"time {format_number(time)}" for time in self.times}

    def among(self, others: Iterable[float]) -> tuple[float, ...]:
        """Return the times that are also among others, such as those of a flow."""
        known = set(others)
        return tuple(time for time in self.times if time in known)

    def find(self, wanted: float | str) -> float:
        """Return the time point for a number or a label of the column.

        Raises
        ------
        InputError
            If no cells were measured at that time.
        """
        time = self.to_elapsed(wanted)
        if time not in self.times:
            raise InputError(
                f"no cells were measured at time {wanted!s}; times in the data: {self.describe()}"
            )
        return time

    def find_all(self, wanted: float | str | Iterable[float | str]) -> list[float]:
        """Return the time points for one or several numbers or labels, in their order.

        Raises
        ------
        InputError
            If no cells were measured at one of them, or `wanted` is empty.
        """
        # Type checkers do not know that int and NumPy numbers are instances of Real.
        given: Any = [wanted] if isinstance(wanted, str | Real) else wanted
        if not (found := [self.find(each) for each in given]):
            raise InputError(f"no times were given; times in the data: {self.describe()}")
        return found

    def to_elapsed(self, wanted: float | str) -> float:
        """Return the elapsed time for a number or a label; cells at that time are not required.

        Raises
        ------
        InputError
            If it cannot be read as a time, or its unit does not convert to that of the column.
        """
        text = wanted.strip() if isinstance(wanted, str) else wanted
        if text in self.labels:
            return self.times[self.labels.index(str(text))]
        stem = label_of(text, self.labels) if isinstance(text, str) else text
        if stem in self.labels:
            return self.times[self.labels.index(str(stem))]
        number = read_elapsed(text, self.unit, self.origin)
        if number is None:
            raise InputError(
                f"{text!r} is not a time of this time course; times in the data: {self.describe()}"
            )
        # Of unix times, a billion seconds, the next is nearer than a part in a billion.
        near = [time for time in self.times if np.isclose(number, time, rtol=1e-12, atol=1e-12)]
        return near[0] if near else number

    def leave_out(
        self, wanted: float | str | Iterable[float | str] | None
    ) -> tuple[TimePoints, np.ndarray]:
        """Return the times of the cells at all other times, and a mask of these cells, shape (n,).

        Raises
        ------
        InputError
            If no cells were measured at one of them, or fewer than two times remain.
        """
        if wanted is None:
            return self, np.ones(len(self.elapsed), dtype=bool)
        lost = self.find_all(wanted)
        kept = [k for k, time in enumerate(self.times) if time not in lost]
        if len(kept) < 2:
            raise InputError(
                f"leave_out (--leave-out) leaves {len(kept)} of the times {self.describe()}; a "
                "time course requires two or more"
            )
        used = ~np.isin(self.elapsed, lost)
        rest = replace(
            self,
            elapsed=self.elapsed[used],
            times=tuple(self.times[k] for k in kept),
            labels=tuple(self.labels[k] for k in kept),
        )
        return rest, used

    def around(self, time: float, among: Iterable[float]) -> tuple[float, float]:
        """Return the last time at or before `time` and the first at or after it.

        Only times that are also in `among`, such as those of a flow, are considered.

        Raises
        ------
        InputError
            If there is no time before, or none after.
        """
        usable = self.among(among)
        before = [each for each in usable if each <= time]
        after = [each for each in usable if each >= time]
        if not before or not after:
            raise InputError(
                f"time {format_number(time)} is outside the times that have cells and that the "
                f"flow was fitted to: {format_list(map(format_number, usable)) or 'none'}"
            )
        return before[-1], after[0]

    def describe(self) -> str:
        """Return the times as text, with their unit."""
        numbers = format_list(map(format_number, self.times))
        return f"{numbers} ({unit})" if (unit := plural_unit(self.unit)) else numbers


def plural_unit(unit: str) -> str:
    """Return the plural of a unit; empty if there is no unit."""
    return "" if unit in ("", "rank") else f"{unit}s"


def time_key_of(adata: AnnData, time_key: str | None = None) -> str:
    """Return the `obs` column with the times: the given, the recorded, or one of a usual name.

    Raises
    ------
    InputError
        If the column does not exist, or none can be found.
    """
    if time_key is None:
        time_key = (read_record(adata.uns, TIME_POINTS) or {}).get("time_key")
    if time_key is None:
        time_key = usual_time_key(adata.obs)
    if time_key is None:
        raise InputError(
            "no obs column has a usual name of times; name one with time_key (--time-key); "
            f"{describe_time_columns(adata)}"
        )
    if time_key not in adata.obs:
        raise InputError(
            f"no obs column {time_key!r}; there are: {format_list(adata.obs.columns) or 'none'}"
        )
    return str(time_key)


def describe_time_columns(adata: AnnData) -> str:
    """Name the columns that can be read as times, or else all."""
    # It reads columns by this module.
    from cellflow.io.obs_summary import find_time_columns

    if found := find_time_columns(adata):
        return f"these can be read as times: {format_list(found)}"
    return f"there are: {format_list(adata.obs.columns) or 'none'}"


def usual_time_key(names: Iterable[Hashable]) -> str | None:
    """Return the first of the names that is a usual one of times, in upper or lower case."""
    known = [str(name) for name in names]
    # Of `Day` and `day`, the latter.
    found = {name.lower(): name for name in known} | {name: name for name in known}
    return next((found[name] for name in USUAL_TIME_KEYS if name in found), None)


def time_points_of(
    adata: AnnData,
    time_key: str | None = None,
    *,
    known: Mapping[str, float] | None = None,
    unit: str = "rank",
) -> TimePoints:
    """Read the times of all cells from the column that `time_key_of` finds.

    Numbers without a unit have the one that `pp.time_points` recorded of the column. A
    warning of stages is given unless it recorded them, and so gave it, or `known` has them.

    Parameters
    ----------
    adata
        The cells.
    time_key
        Column of `obs`.
    known, unit
        Times of labels and their unit, as of `parse_times`; None uses the order of the labels that
        `pp.time_points` recorded, if any.

    Raises
    ------
    InputError
        If there is no such column, or its times cannot be read.
    """
    key = time_key_of(adata, time_key)
    recorded = read_record(adata.uns, TIME_POINTS) or {}
    recorded = recorded if recorded.get("time_key") == key else {}
    if known is None:
        known, unit = rank_labels(recorded.get("order", ())), "rank"
    points = parse_times(adata.obs[key], known=known, unit=unit)
    if not points.unit:
        points = replace(points, unit=str(recorded.get("unit", "")))
    if points.unit in ORDINAL_UNITS and not recorded and not known:
        warnings.warn(
            f"the numbers of {plural_unit(points.unit)} in obs[{key!r}] are used as times, but "
            "stages are not equally far apart in time; for elapsed times give a column of hours or "
            f"days, such as adata.obs[{key!r}].map({{{points.labels[0]!r}: 8.0, ...}})",
            CellflowWarning,
            stacklevel=2,
        )
    return points


def log_times(points: TimePoints, time_key: str) -> None:
    """Report the times read from a column, and what was assumed to read them."""
    log_info(f"times from obs[{time_key!r}]: {points.describe()}")
    for note in points.notes:
        log_info(f"obs[{time_key!r}]: {note}")
    if points.unit == "rank":
        ranks = (
            f"{time:g} for {label}" for time, label in zip(points.times, points.labels, strict=True)
        )
        log_info(f"ranks of the time categories are used as elapsed times: {format_list(ranks)}")


def rank_labels(order: Sequence[str]) -> dict[str, float]:
    """Return the rank of each label of an order, counted from 0."""
    return {str(label): float(rank) for rank, label in enumerate(order)}


def parse_times(
    column: pd.Series, *, known: Mapping[str, float] | None = None, unit: str = "rank"
) -> TimePoints:
    """Read the times of all cells from an `obs` column.

    Parameters
    ----------
    column
        Numbers, an ordered categorical, dates, durations, or text with one number and a unit before
        or after it. Units within a column may differ (`24h`, `day 2`); all are converted to the
        smallest. Suffixes of replicates, as in `Day0_rep1`, are left out.
    known
        Times of labels; they are used if every label of the column is one of them.
    unit
        Unit of `known`.

    Raises
    ------
    InputError
        For missing or infinite values, labels without a number, two labels for one time, fewer than
        two times, a time with fewer than two cells, or a continuous column.
    """
    name = column.name
    if column.empty:
        raise InputError(f"obs[{name!r}] is empty: the data have no cells")
    if pd.api.types.is_bool_dtype(column) or pd.api.types.is_complex_dtype(column):
        raise InputError(f"obs[{name!r}] is of type {column.dtype}; expected {EXPECTED}")
    codes, uniques = pd.factorize(column, use_na_sentinel=False)
    values = [text_of(value) for value in uniques.to_numpy()]
    labels = labels_of(values, known or {})
    numbers = known_numbers(labels, known or {})
    if numbers is None:
        _check_missing(column, codes, uniques)
        check_not_continuous(column, len(values))
        read = read_values(column, values)
    else:
        read = ReadTimes(numbers, unit)
    return _gather(name, codes, values, labels, read)


def _gather(
    name: Hashable,
    codes: np.ndarray,
    values: Sequence[Hashable],
    labels: list[str],
    read: ReadTimes,
) -> TimePoints:
    """Join the labels of one time, and check that there are times and cells enough."""
    times, first, place = np.unique(read.numbers, return_index=True, return_inverse=True)
    notes = list(read.notes)
    for k in np.flatnonzero(np.bincount(place) > 1):
        if len({label.lower() for label, at in zip(labels, place, strict=True) if at == k}) > 1:
            same = [repr(value) for value, at in zip(values, place, strict=True) if at == k]
            raise InputError(
                f"obs[{name!r}] has several labels for the time {format_number(times[k])}: "
                f"{format_list(same)}; if they are one time, give them one label: "
                f"adata.obs[{name!r}].astype(str).replace({{{same[1]}: {same[0]}}})"
            )
    if suffixed := [
        str(value) for value, label in zip(values, labels, strict=True) if str(value) != label
    ]:
        notes.append(
            f"labels are read as replicates of {len(times)} times: {format_list(suffixed)}"
        )
    names = [labels[k] for k in first]
    counts = np.bincount(place[codes], minlength=len(times))
    if len(times) < 2:
        raise InputError(
            f"obs[{name!r}] has a single time ({format_list(names)}); a time course requires "
            "two or more"
        )
    if few := [f"{names[k]} ({counts[k]} cell)" for k in np.flatnonzero(counts < 2)]:
        raise InputError(f"obs[{name!r}] has times with fewer than 2 cells: {format_list(few)}")
    return TimePoints(
        elapsed=read.numbers[codes],
        times=tuple(float(time) for time in times),
        labels=tuple(names),
        unit=read.unit,
        origin=read.origin,
        notes=tuple(notes),
    )


def _check_missing(column: pd.Series, codes: np.ndarray, uniques: pd.Index) -> None:
    """Raise `InputError` for cells without a time, with the Python that leaves them out."""
    lost = np.array([is_missing(value) for value in uniques])
    if not lost.any():
        return
    name, missing = column.name, lost[codes]
    values = [str(value) for value in uniques[lost].dropna()]
    words = format_list(map(repr, values))
    first = f"first: {column.index[missing][0]}" + (f", {words}" if words else "")
    others = f"~adata.obs[{name!r}].isin([{words}])" if words else f"adata.obs[{name!r}].notna()"
    absent = ",".join(map(quote, values)) or "nan"
    raise InputError(
        f"obs[{name!r}] has no time for {int(missing.sum())} of {len(column)} cells ({first}); "
        f"take the others only: adata[{others}].copy(), or "
        f"cellflow embed --cells '{quote(str(name))}!={absent}'"
    )
