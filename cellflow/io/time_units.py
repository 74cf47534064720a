"""Find the unit of a time column, and write times with it."""

from __future__ import annotations

from collections.abc import Iterable

from anndata import AnnData

from cellflow._checks import format_list, format_number
from cellflow.io.time_labels import unit_of_name
from cellflow.io.time_points import time_key_of, time_points_of

#: Symbols of units that follow a number; longer units come before it in full, as in `day 3`.
_SYMBOLS = {"minute": "min", "hour": "h"}


def detect_unit(adata: AnnData, time_key: str | None = None) -> str:
    """Return the unit of the times: recorded, of the labels or of the column's name; else empty."""
    key = time_key_of(adata, time_key)
    return time_points_of(adata, key).unit or unit_of_name(key)


def format_time(time: float, unit: str = "") -> str:
    """Write a time with its unit: `36 h`, `day 3`; the number alone if the unit is not known."""
    if unit in ("", "rank"):
        return f"{format_number(time)}"
    return (
        f"{format_number(time)} {_SYMBOLS[unit]}"
        if unit in _SYMBOLS
        else f"{unit} {format_number(time)}"
    )


def name_time(time: float, unit: str = "") -> str:
    """Name a time in a sentence: `36 h`, `day 3`, or `time 36` if the unit is not known."""
    text = format_time(time, unit)
    return f"time {text}" if text == format_time(time) else text


def name_times(times: Iterable[float], unit: str = "") -> str:
    """Name times in a sentence: `36 h, 48 h`, or `time 36, 48` if the unit is not known."""
    text = format_times(times, unit)
    return f"time {text}" if unit in ("", "rank") else text


def format_times(times: Iterable[float], unit: str = "") -> str:
    """Write several times with their unit, with commas between."""
    return format_list(format_time(time, unit) for time in times)
