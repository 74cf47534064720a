"""Validation of user input; each check raises `InputError` with the bad and the valid values."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from difflib import get_close_matches

import numpy as np

from cellflow._errors import InputError

#: Values that a list in a message shows before it is cut short.
_MAX_LISTED = 12


def format_list(values: Iterable[object]) -> str:
    """Format values as a comma-separated list, cut short after 12."""
    items = [str(value) for value in values]
    n_more = len(items) - _MAX_LISTED
    return ", ".join(items[:_MAX_LISTED]) + (f", ... ({n_more} more)" if n_more > 0 else "")


def check_choice(value: object, choices: Iterable[str], what: str) -> None:
    """Raise `InputError` unless `value` is one of `choices`; the message names the nearest."""
    names = list(choices)
    if value in names:
        return
    near = get_close_matches(str(value), names, n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    raise InputError(f"unknown {what} {value!r}{hint}; valid: {format_list(names) or 'none'}")


def check_columns(table: Container[str], needed: Iterable[str], what: str) -> None:
    """Raise `InputError` unless a table has all columns needed of a table of `what`."""
    if missing := [column for column in needed if column not in table]:
        raise InputError(f"not a table of {what}; missing columns: {format_list(missing)}")


def check_positive(value: float, what: str) -> None:
    """Raise `InputError` for zero, negative numbers and NaN."""
    if not value > 0:
        raise InputError(f"{what} must be positive, got {value}")


def check_finite(array: np.ndarray, what: str, names: Sequence[str]) -> None:
    """Raise `InputError` if rows have NaN or infinite values, with their number and the first."""
    bad = ~np.isfinite(array).reshape(len(array), -1).all(axis=1)
    if bad.any():
        first = names[int(np.flatnonzero(bad)[0])]
        raise InputError(
            f"{what} has NaN or infinite values in {int(bad.sum())} of {len(array)} cells "
            f"(first: {first}); remove or impute them first"
        )
