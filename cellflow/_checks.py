"""Checks of what users hand in; each raises `InputError` with the bad value and the valid ones."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from difflib import get_close_matches

import numpy as np

from cellflow._errors import InputError

_SHOWN = 12


def format_list(values: Iterable[object]) -> str:
    """Comma-separated values, cut short where there are many."""
    items = [str(value) for value in values]
    rest = len(items) - _SHOWN
    return ", ".join(items[:_SHOWN]) + (f", ... ({rest} more)" if rest > 0 else "")


def check_choice(value: object, choices: Iterable[str], what: str) -> None:
    """Refuse a `value` that is none of `choices`, naming the nearest."""
    names = list(choices)
    if value in names:
        return
    near = get_close_matches(str(value), names, n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    raise InputError(f"unknown {what} {value!r}{hint}; valid: {format_list(names) or 'none'}")


def check_columns(table: Container[str], needed: Iterable[str], what: str) -> None:
    """Refuse a table that has not all of the columns of a table of `what`."""
    if missing := [column for column in needed if column not in table]:
        raise InputError(f"this is no table of {what}; missing: {format_list(missing)}")


def check_positive(value: float, what: str) -> None:
    """Refuse zero, negative numbers and NaN."""
    if not value > 0:
        raise InputError(f"{what} must be positive, got {value}")


def check_finite(array: np.ndarray, what: str, names: Sequence[str]) -> None:
    """Refuse NaN and infinities, naming how many rows have them and the first."""
    bad = ~np.isfinite(array).reshape(len(array), -1).all(axis=1)
    if bad.any():
        first = names[int(np.flatnonzero(bad)[0])]
        raise InputError(
            f"{what} has NaN or infinite values in {int(bad.sum())} of {len(array)} cells "
            f"(first: {first}); remove or impute them first"
        )
