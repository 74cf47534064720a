"""Read the times of all distinct values of a column, in one unit."""

from __future__ import annotations

import re
from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from cellflow._checks import format_list
from cellflow._errors import InputError
from cellflow.io.time_labels import (
    BIRTH,
    CONCEPTION,
    DAYS,
    MENSTRUATION,
    MINUTE_OR_MONTH,
    TimeLabel,
    parse_label,
    split_replicate,
)

#: Text that stands for a missing time.
MISSING = frozenset({"", "unknown", "nan", "na", "n/a", "none", "not available"})

#: Days from conception to birth, by the units that times before birth are counted in: of the mouse,
#: whose embryos are counted in days, and of humans, in weeks.
BIRTH_OF_MOUSE, BIRTH_OF_HUMAN = 19.0, 266.0

#: Names of `ReadTimes.origin` where times before and after birth are in one column.
_MOUSE, _HUMAN = "mouse conception", "human conception"
_BEFORE_CONCEPTION = 14.0

#: A column with more values, of fewer cells each, is continuous.
_MAX_TIMES, _MANY_TIMES, _MIN_CELLS = 200, 30, 10
#: A column of text with more values is one of names, such as barcodes.
_MAX_LABELS = 1000

EXPECTED = (
    "numbers, ordered categories, or labels such as 'day 3', 'd3', 'E12.5', '24h', '8 pcw' "
    "(docs: Times and cells)"
)
_DATE = re.compile(r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d(\.\d+)?)?)?(Z|[+-]\d\d:?\d\d)?")
_DURATION = re.compile(r"(-?\d+ days?,? )?[+-]?\d{1,4}:\d\d:\d\d(\.\d+)?")


class ReadTimes(NamedTuple):
    """Times of the distinct values of a column.

    Attributes
    ----------
    numbers
        Time of each value.
    unit
        Their unit; `rank` for the order of categories.
    origin
        Event that they count from; empty if unknown.
    notes
        Sentences on assumptions, for the log.
    """

    numbers: np.ndarray
    unit: str
    origin: str = ""
    notes: tuple[str, ...] = ()


def is_missing(value: Hashable) -> bool:
    """Report whether a value stands for no time: missing, or text such as `unknown`."""
    return bool(pd.isna(value)) or str(value).strip().lower() in MISSING  # type: ignore[call-overload]


def check_not_continuous(column: pd.Series, n_values: int) -> None:
    """Raise `InputError` for numbers with hardly any cells of one value, and for names of cells."""
    if n_values > _MAX_LABELS and not is_numeric_dtype(column):
        raise InputError(
            f"obs[{column.name!r}] has {n_values:,} different values, too many to be time points; "
            "name another column with time_key (--time-key)"
        )
    sparse = n_values > _MANY_TIMES and len(column) < _MIN_CELLS * n_values
    if is_numeric_dtype(column) and (sparse or n_values > _MAX_TIMES):
        raise InputError(
            f"obs[{column.name!r}] is continuous, as pseudotime is: {n_values:,} values in "
            f"{len(column):,} cells. Time points need many cells each, so bin it first: "
            f"adata.obs['bin'] = pandas.cut(adata.obs[{column.name!r}], 8, labels=False), and "
            "read the times from 'bin'"
        )


def text_of(value: Hashable) -> Hashable:
    """Return dates and durations as text; other values as they are."""
    if isinstance(value, np.timedelta64 | pd.Timedelta):
        return str(pd.Timedelta(value))
    if isinstance(value, np.datetime64 | pd.Timestamp):
        return str(pd.Timestamp(value)).removesuffix(" 00:00:00")
    return value


def label_of(value: Hashable, known: Collection[str] = ()) -> str:
    """Return the label of a value, without the suffix of a replicate if the rest is a time."""
    stem, suffix = split_replicate(str(value))
    return stem if suffix and (stem in known or parse_label(stem) is not None) else str(value)


def unknown_labels(column: pd.Series, known: Collection[str]) -> list[str]:
    """Return the labels of a column that are not among those known."""
    values = [text_of(value) for value in column.dropna().unique()]
    return [label for label in labels_of(values, known) if label not in known]


def labels_of(values: Sequence[Hashable], known: Collection[str]) -> list[str]:
    """Return labels without suffixes of replicates, except those that are known with them."""
    return [str(value) if str(value) in known else label_of(value, known) for value in values]


def read_values(column: pd.Series, values: Sequence[Hashable]) -> ReadTimes:
    """Read the times of the distinct values of a column.

    Raises
    ------
    InputError
        For values that are not times, and for units or events that do not convert.
    """
    ordered = isinstance(column.dtype, pd.CategoricalDtype) and column.cat.ordered
    try:
        return _read_dates(column.name, values) or _read_labels(column.name, values)
    except InputError:
        if not ordered:
            raise
    rank: dict[Hashable, float] = {
        text_of(category): float(k) for k, category in enumerate(column.cat.categories)
    }
    return ReadTimes(np.array([rank[value] for value in values]), "rank")


def _read_dates(name: Hashable, values: Sequence[Hashable]) -> ReadTimes | None:
    """Return time since the first of several dates, or durations; None for other values."""
    texts = [str(value).strip() for value in values]
    read: Any
    if all(_DATE.fullmatch(text) for text in texts):
        read = pd.Series(pd.to_datetime(texts, utc=True, format="ISO8601", errors="coerce"))
        origin = str(read.min().tz_localize(None)).removesuffix(" 00:00:00")
        elapsed = read - read.min()
    elif all(_DURATION.fullmatch(text) for text in texts):
        elapsed, origin = pd.Series(pd.to_timedelta(texts, errors="coerce")), ""
    else:
        return None
    if elapsed.isna().any():
        bad = [text for text, lost in zip(texts, elapsed.isna(), strict=True) if lost]
        raise InputError(f"obs[{name!r}] has values that are not dates: {format_list(bad)}")
    days = elapsed.dt.total_seconds().to_numpy() / 86400
    gap = np.diff(np.unique(days)).min(initial=np.inf)
    unit = next((unit for unit in ("day", "hour", "minute") if gap >= DAYS[unit]), "second")
    notes = (f"times are counted from {origin}",) if origin else ()
    return ReadTimes(np.round(days / DAYS[unit], 9), unit, origin, notes)


def _read_labels(name: Hashable, values: Sequence[Hashable]) -> ReadTimes:
    """Return the number of each distinct value, in a common unit, since a common event."""
    stems = [label_of(value) if isinstance(value, str) else value for value in values]
    parsed = [parse_label(stem) for stem in stems]
    if bad := [value for value, label in zip(values, parsed, strict=True) if label is None]:
        raise InputError(
            f"obs[{name!r}] has values that are not times: {format_list(map(repr, bad))}; "
            f"{_suggest(name, values, bad)}"
        )
    _check_hyphens(name, stems)
    labels = [label for label in parsed if label is not None]
    units = {label.unit for label in labels}
    minutes = bool(units & {"hour", "minute", "second"})
    labels = [resolve_minutes(label, minutes=minutes) for label in labels]
    origin, notes = _common_origin(name, labels)
    if any(label.is_window for label in labels):
        notes.append("windows of time count as their middle")
    units = {label.unit for label in labels}
    if len(units) > 1 and not units <= set(DAYS):
        named = format_list(sorted(unit or "no unit" for unit in units))
        raise InputError(
            f"obs[{name!r}] mixes units that do not convert: {named}; give elapsed times as "
            "numbers, or the order of the labels: "
            f"pp.time_points(adata, {name!r}, order=[...]) (--time-order)"
        )
    if {"month", "year"} & units and len(units - {"month", "year"}) > 0:
        notes.append("months count as 30.44 days, years as 365.25")
    unit = min(units, key=lambda unit: DAYS.get(unit, 0.0))
    numbers = [convert(label, unit, origin) for label in labels]
    return ReadTimes(np.array(numbers, dtype=np.float64), unit, origin, tuple(notes))


def _suggest(name: Hashable, values: Sequence[Hashable], bad: Sequence[Hashable]) -> str:
    """Return what to do about labels that are not times."""
    column = f"adata.obs[{name!r}].astype(str)"
    order = f"pp.time_points(adata, {name!r}, order=[...]) (--time-order early,mid,late)"
    for sign in "_-| ":
        parts = [str(value).split(sign) for value in values]
        for k in range(min(map(len, parts))) if len(parts[0]) > 1 else ():
            labels = [parse_label(part[k]) for part in parts]
            if all(label is not None and label.unit for label in labels):
                return (
                    f"part {k + 1} of each is one, so make a column of it: "
                    f"adata.obs['time'] = {column}.str.split({sign!r}).str[{k}]"
                )
    if len(bad) < len(values):
        good = next(value for value in values if value not in bad)
        return (
            f"others are, such as {str(good)!r}: give all such labels, with "
            f"{column}.replace({{{str(bad[0])!r}: '...'}}), or order them: {order}"
        )
    return f"expected {EXPECTED}; for names of stages, give their order: {order}"


def _common_origin(name: Hashable, labels: Sequence[TimeLabel]) -> tuple[str, list[str]]:
    """Return the event that all labels count from, and what is assumed of others."""
    origins = {label.origin for label in labels} - {""}
    if len(origins) < 2:
        return "".join(origins), []
    known = origins <= {CONCEPTION, MENSTRUATION, BIRTH}
    if not known or any(not label.origin or label.unit not in DAYS for label in labels):
        raise InputError(
            f"obs[{name!r}] counts from different events ({format_list(sorted(origins))}), which "
            "cannot be put on one clock; give elapsed times as numbers"
        )
    before = {label.unit for label in labels if label.origin != BIRTH}
    is_mouse = MENSTRUATION not in origins and before <= {"hour", "day"}
    origin, notes = _MOUSE if is_mouse else _HUMAN, []
    if BIRTH in origins:
        notes.append(
            "birth is taken as embryonic day 19, P0 = E19 (mouse)"
            if is_mouse
            else "birth is taken as 38 weeks after conception (human)"
        )
    if MENSTRUATION in origins:
        notes.append("gestational weeks are taken as post-conception weeks plus 2")
    return origin, [f"{note}; give elapsed times as numbers for another" for note in notes]


def resolve_minutes(label: TimeLabel, *, minutes: bool) -> TimeLabel:
    """Read the unit of labels such as `3m` as minutes, or else as months."""
    if label.unit != MINUTE_OR_MONTH:
        return label
    return label._replace(unit="minute" if minutes else "month")


def read_elapsed(value: Hashable, unit: str, origin: str = "") -> float | None:
    """Return the time of one value in a unit and since an event; None if it cannot be read."""
    text = str(value).strip()
    if (_DATE.fullmatch(text) and _DATE.fullmatch(origin)) or _DURATION.fullmatch(text):
        day = _day_of_date(text) if _DATE.fullmatch(text) else _days(pd.Timedelta(text))
        since = _day_of_date(origin) if _DATE.fullmatch(text) else 0.0
        return None if unit not in DAYS else round((day - since) / DAYS[unit], 9)
    label = parse_label(label_of(value) if isinstance(value, str) else value)
    if label is None:
        return None
    minutes = unit in ("second", "minute", "hour")
    return convert(resolve_minutes(label, minutes=minutes), unit, origin)


def convert(label: TimeLabel, unit: str, origin: str = "") -> float | None:
    """Return the number of a label in another unit, since another event; None if it cannot be.

    A label that names no unit or no event is taken to have those of the others.
    """
    number = label.number
    if label.unit not in ("", unit):
        if not {label.unit, unit} <= set(DAYS):
            return None
        number = round(number * DAYS[label.unit] / DAYS[unit], 9)
    if not label.origin or not origin or label.origin == origin:
        return number
    shift = _day_of_event(label.origin, origin, label.unit)
    reference = _day_of_event(origin, label.origin, label.unit)
    if shift is None or reference is None or unit not in DAYS:
        return None
    return round(number + (shift - reference) / DAYS[unit], 9)


def _day_of_event(event: str, origin: str, unit: str) -> float | None:
    """Return the day of an event, a date or one after conception; None if it is not known.

    The day of birth is that of the species that `origin` or the unit tells.
    """
    if _DATE.fullmatch(event) and _DATE.fullmatch(origin):
        return _day_of_date(event)
    if event in (CONCEPTION, _MOUSE, _HUMAN):
        return 0.0
    if event == MENSTRUATION:
        return -_BEFORE_CONCEPTION
    if event != BIRTH:
        return None
    is_mouse = origin == _MOUSE or (origin != _HUMAN and unit in ("hour", "day"))
    return BIRTH_OF_MOUSE if is_mouse else BIRTH_OF_HUMAN


def _day_of_date(text: str) -> float:
    return _days(pd.to_datetime(text, utc=True) - pd.Timestamp(0, tz="UTC"))


def _days(duration: pd.Timedelta) -> float:
    return float(duration.total_seconds()) * DAYS["second"]


def _check_hyphens(name: Hashable, values: Sequence[Hashable]) -> None:
    """Raise an error for columns with `day-1` and `day0`: the hyphen may be a minus sign."""
    hyphened = [value for value in values if re.match(r"\s*[a-zA-Z ]*[a-zA-Z]-[\d.]", str(value))]
    if hyphened and len(hyphened) < len(values):
        raise InputError(
            f"obs[{name!r}] has labels with a hyphen and without: {format_list(hyphened)} may be "
            "after or before time 0; write 'day 1' or 'day -1'"
        )


def known_numbers(labels: Sequence[str], known: Mapping[str, float]) -> np.ndarray | None:
    """Return the times of labels that are all known, else None."""
    if not known or not known.keys() >= set(labels):
        return None
    return np.array([known[label] for label in labels], dtype=np.float64)
