"""Validation of user input; each check raises `InputError` with the bad and the valid values."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Container, Iterable, Sequence
from difflib import get_close_matches
from typing import ParamSpec, TypeVar

import numpy as np

from cellflow._errors import InputError

Given = ParamSpec("Given")
Result = TypeVar("Result")

#: Values that a list in a message shows before it is cut short.
_MAX_LISTED = 12

#: Names that other packages have for the random generator, which is `rng` here.
_SEEDS = ("seed", "seeds", "random_state", "random_seed")


#: Bytes of a value of text in memory, as an object of Python.
TEXT_BYTES = 64


def format_list(values: Iterable[object]) -> str:
    """Format values as a comma-separated list, cut short after 12."""
    items = [str(value) for value in values]
    n_more = len(items) - _MAX_LISTED
    return ", ".join(items[:_MAX_LISTED]) + (f", ... ({n_more} more)" if n_more > 0 else "")


def format_number(value: float) -> str:
    """Format a number with 6 digits, and large ones, such as unix times, with up to 12."""
    return f"{value:g}" if abs(value) < 1e4 else f"{value:.12g}"


def check_choice(value: object, choices: Iterable[str], what: str, hint: str = "") -> None:
    """Raise `InputError` unless `value` is one of `choices`; the message names the nearest.

    `hint` ends the message.
    """
    names = list(choices)
    if value in names:
        return
    near = get_close_matches(str(value), names, n=1)
    nearest = f" (did you mean {near[0]!r}?)" if near else ""
    valid = format_list(names) or "none"
    raise InputError(f"unknown {what} {value!r}{nearest}; valid: {valid}{hint}")


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


def check_memory(n_bytes: int, what: str, advice: str) -> None:
    """Raise `InputError` if values that a file says to have take over half of the memory.

    A file of some kilobytes can hold terabytes of zeros.

    Parameters
    ----------
    n_bytes
        Size of the values in memory.
    what
        What they are, with the name of the file.
    advice
        The way out.
    """
    limit = _total_memory() // 2
    if n_bytes > limit:
        raise InputError(
            f"{what} would take {n_bytes / 2**30:,.1f} GiB of memory; at most "
            f"{limit / 2**30:,.1f} GiB, half of this machine's, are read; {advice}"
        )


def _total_memory() -> int:
    """Return the bytes of memory of this machine; a large number where the system does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return 2**63


def check_keywords(function: Callable[Given, Result]) -> Callable[Given, Result]:
    """Raise `InputError` for a keyword that a function does not have, and name the one it has."""
    names = list(inspect.signature(function).parameters)

    @functools.wraps(function)
    def checked(*args: Given.args, **kwargs: Given.kwargs) -> Result:
        for name, value in kwargs.items():
            if name in _SEEDS and name not in names and "rng" in names:
                raise InputError(
                    f"{function.__name__} has no parameter {name!r}: give the seed as rng={value!r}"
                )
            check_choice(name, names, f"parameter of {function.__name__}")
        return function(*args, **kwargs)

    return checked
