"""Read elapsed times from numbers, ordered categories, or labels such as `day 3`, `24h`."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from cellflow._checks import format_list
from cellflow._errors import InputError
from cellflow._keys import TIME_POINTS, read_record
from cellflow._log import log_info

#: Names of columns to read times from if no other column is given or recorded.
USUAL_TIME_KEYS = (
    "time",
    "day",
    "days",
    "hour",
    "hours",
    "timepoint",
    "time_point",
    "age",
    "stage",
)

#: Words before or after the number, by unit.
UNITS = {
    "minute": ("min", "mins", "minute", "minutes"),
    "hour": ("h", "hr", "hrs", "hour", "hours", "hpf"),
    "day": ("d", "day", "days", "e", "embryonic day", "dpf"),
    "week": ("w", "wk", "wks", "week", "weeks"),
    "month": ("mo", "month", "months"),
    "year": ("y", "yr", "yrs", "year", "years"),
    "": ("", "t", "time", "timepoint", "time point", "tp"),
}

#: Days per unit; months and years have no fixed length and do not convert.
DAYS = {"minute": 1 / 1440, "hour": 1 / 24, "day": 1.0, "week": 7.0}

UNIT_OF_WORD = {word: unit for unit, words in UNITS.items() for word in words}

#: `day-3` is day 3 and `day -3` is three days before day 0.
_LABEL = re.compile(
    r"^(?P<before>[a-z ]*?)(?:(?<=[a-z])[-.]|[ _:]*)"
    r"(?P<number>-?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)[ _-]*(?P<after>[a-z ]*)$"
)
_EXAMPLES = "numbers, ordered categories, or labels such as 'day 3', 'd3', 'E12.5', '24h', '72hr'"


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
        numbers, whose elapsed times are unknown.
    """

    elapsed: np.ndarray
    times: tuple[float, ...]
    labels: tuple[str, ...]
    unit: str

    @property
    def counts(self) -> tuple[int, ...]:
        """Number of cells at each of `times`."""
        return tuple(int((self.elapsed == time).sum()) for time in self.times)

    @property
    def names(self) -> dict[float, str]:
        """Name of each of `times` in a sentence: its label, or `time 3` for a number alone."""
        return {
            time: f"time {time:g}" if re.fullmatch(r"[-+.\de]+", label) else label
            for time, label in zip(self.times, self.labels, strict=True)
        }

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
        number, unit = _parse(text) or (float("nan"), "")
        if unit and unit != self.unit and {unit, self.unit} <= set(DAYS):
            number, unit = number * DAYS[unit] / DAYS[self.unit], self.unit
        if not np.isfinite(number) or unit not in ("", self.unit):
            raise InputError(
                f"{text!r} is not a time of this time course; times in the data: {self.describe()}"
            )
        near = [time for time in self.times if np.isclose(number, time, rtol=1e-9, atol=1e-12)]
        return near[0] if near else number

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
                f"time {time:g} is outside the times that have cells and that the flow was fitted "
                f"to: "
                f"{format_list(f'{each:g}' for each in usable) or 'none'}"
            )
        return before[-1], after[0]

    def describe(self) -> str:
        """Return the times as text, with their unit."""
        numbers = format_list(f"{time:g}" for time in self.times)
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
    columns = format_list(adata.obs.columns) or "none"
    if time_key is None:
        time_key = (read_record(adata.uns, TIME_POINTS) or {}).get("time_key")
    if time_key is None:
        time_key = next((name for name in USUAL_TIME_KEYS if name in adata.obs), None)
    if time_key is None:
        raise InputError(
            f"no obs column with times was found; name one with time_key (--time-key); there are: "
            f"{columns}"
        )
    if time_key not in adata.obs:
        raise InputError(f"no obs column {time_key!r}; there are: {columns}")
    return str(time_key)


def time_points_of(adata: AnnData, time_key: str | None = None) -> TimePoints:
    """Read the times of all cells from the column that `time_key_of` finds.

    Numbers without a unit have the one that `pp.time_points` recorded of the column, if any.
    """
    key = time_key_of(adata, time_key)
    points = parse_times(adata.obs[key])
    recorded = read_record(adata.uns, TIME_POINTS) or {}
    if not points.unit and recorded.get("time_key") == key:
        points = replace(points, unit=str(recorded.get("unit", "")))
    if points.unit == "rank":
        log_info("the time categories have no numbers: their ranks are used as elapsed times")
    return points


def parse_times(column: pd.Series) -> TimePoints:
    """Read the times of all cells from an `obs` column.

    Parameters
    ----------
    column
        Numbers, an ordered categorical, or text with one number and a unit before or after it.
        Units within a column may differ (`24h`, `day 2`); all are converted to the smallest.

    Raises
    ------
    InputError
        For missing or infinite values, labels without a number, two labels for one time, fewer than
        two times, or a time with fewer than two cells.
    """
    name = column.name
    if column.empty:
        raise InputError(f"obs[{name!r}] is empty: the data have no cells")
    if missing := int(column.isna().sum()):
        first = column.index[column.isna()][0]
        raise InputError(
            f"obs[{name!r}] has no time for {missing} of {len(column)} cells (first: {first})"
        )
    if pd.api.types.is_bool_dtype(column) or pd.api.types.is_datetime64_any_dtype(column):
        raise InputError(f"obs[{name!r}] is of type {column.dtype}; expected {_EXAMPLES}")
    codes, uniques = pd.factorize(column, use_na_sentinel=False)
    values = list(uniques.to_numpy())
    numbers, unit = _numbers(column, values)
    _check_distinct(name, values, numbers)
    counts = np.bincount(codes, minlength=len(values))
    if len(values) < 2:
        raise InputError(
            f"obs[{name!r}] has a single time ({format_list(values)}); a time course requires "
            "two or more"
        )
    if few := [f"{values[k]} ({counts[k]} cell)" for k in np.flatnonzero(counts < 2)]:
        raise InputError(f"obs[{name!r}] has times with fewer than 2 cells: {format_list(few)}")
    order = np.argsort(numbers)
    return TimePoints(
        elapsed=numbers[codes],
        times=tuple(float(number) for number in numbers[order]),
        labels=tuple(str(values[k]) for k in order),
        unit=unit,
    )


def _numbers(column: pd.Series, values: list[Hashable]) -> tuple[np.ndarray, str]:
    """Return the number of each distinct value, and the common unit."""
    parsed = [_parse(value) for value in values]
    if bad := [value for value, result in zip(values, parsed, strict=True) if result is None]:
        if isinstance(column.dtype, pd.CategoricalDtype) and column.cat.ordered:
            rank = {category: float(k) for k, category in enumerate(column.cat.categories)}
            return np.array([rank[value] for value in values]), "rank"
        raise InputError(
            f"obs[{column.name!r}] has values that are not times: "
            f"{format_list(repr(v) for v in bad)}; expected {_EXAMPLES}"
        )
    _check_hyphens(column.name, values)
    found = [result for result in parsed if result is not None]
    units = {unit for _, unit in found}
    if len(units) == 1:
        return np.array([number for number, _ in found]), units.pop()
    if not units <= set(DAYS):
        named = format_list(sorted(unit or "no unit" for unit in units))
        raise InputError(f"obs[{column.name!r}] mixes units that do not convert: {named}")
    smallest = min(units, key=DAYS.__getitem__)
    scaled = [round(number * DAYS[unit] / DAYS[smallest], 9) for number, unit in found]
    return np.array(scaled), smallest


def _check_hyphens(name: Hashable, values: list[Hashable]) -> None:
    """Raise an error for columns with `day-1` and `day0`: the hyphen may be a minus sign."""
    hyphened = [value for value in values if re.match(r"\s*[a-zA-Z ]*[a-zA-Z]-[\d.]", str(value))]
    if hyphened and len(hyphened) < len(values):
        raise InputError(
            f"obs[{name!r}] has labels with a hyphen and without: {format_list(hyphened)} may be "
            "after or before time 0; write 'day 1' or 'day -1'"
        )


def _parse(value: Hashable) -> tuple[float, str] | None:
    """Return number and unit of one value, or None if it is not a time."""
    if isinstance(value, int | float | np.number):
        # Via text, so that 0.1 in single precision is read as 0.1.
        return (float(str(value)), "") if np.isfinite(value) else None
    match = _LABEL.match(str(value).strip().lower())
    if match is None:
        return None
    words = [word for word in (match["before"].strip(), match["after"].strip()) if word]
    units = {UNIT_OF_WORD.get(word) for word in words} - {""}
    if None in units or len(units) > 1:
        return None
    return float(match["number"]), units.pop() if units else ""  # type: ignore[return-value]


def _check_distinct(name: Hashable, values: list[Hashable], numbers: np.ndarray) -> None:
    distinct, counts = np.unique(numbers, return_counts=True)
    if (counts > 1).any():
        time = distinct[counts > 1][0]
        same = [
            repr(value) for value, number in zip(values, numbers, strict=True) if number == time
        ]
        raise InputError(
            f"obs[{name!r}] has several labels for the time {time:g}: {format_list(same)}"
        )
