"""Columns of `obs` in words, and those that may hold the times of a course."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd
from anndata import AnnData
from pandas.api.types import (
    is_bool_dtype,
    is_complex_dtype,
    is_datetime64_any_dtype,
    is_float_dtype,
    is_numeric_dtype,
    is_timedelta64_dtype,
)

from cellflow._errors import InputError
from cellflow._keys import FATE, START_CELL, START_TIME, TRAJECTORY
from cellflow.io.groups import name_group
from cellflow.io.time_points import TimePoints, parse_times

#: Words in the name of a column of times.
_TIME_WORDS = frozenset((
    "time", "times", "timepoint", "timepoints", "tp", "day", "days", "hour", "hours", "hr", "hrs",
    "minute", "minutes", "min", "week", "weeks", "month", "months", "year", "years", "age",
    "stage", "stages", "dpf", "hpf", "dpi", "hpi", "dpc", "pcw", "gw",
))  # fmt: skip

#: Words in the name of a column that looks like times and holds none; and words in the name of one
#: that may do so beside a word for time.
_NO_TIME_WORDS = frozenset((
    "dose", "doses", "conc", "concentration", "pseudotime", "latent", "dpt", "palantir", "start",
    "end", "duration", "passage",
))  # fmt: skip
_GROUP_WORDS = frozenset((
    "batch", "donor", "sample", "samples", "replicate", "rep", "well", "plate", "lane", "library",
    "cluster", "clusters", "leiden", "louvain", "barcode", "id", "clone",
))  # fmt: skip

#: Columns that cellflow writes, besides those with its name.
_OWN = frozenset({START_CELL, START_TIME, TRAJECTORY})

#: Values that are shown of a column, and characters of each and of all before the last.
_N_SHOWN, _N_CHARACTERS = 4, 36


@dataclass(frozen=True)
class ColumnSummary:
    """An `obs` column in words.

    Attributes
    ----------
    kind
        `whole numbers`, `numbers`, `categories`, `ordered categories`, `text`, ...
    n_values
        Number of different values.
    n_missing
        Number of cells without a value.
    examples
        The first values, or the range of many numbers.
    """

    kind: str
    n_values: int
    n_missing: int
    examples: str

    @classmethod
    def of(cls, column: pd.Series) -> ColumnSummary:
        """Describe a column."""
        values = column.dropna()
        if isinstance(column.dtype, pd.CategoricalDtype):
            found = list(values.cat.remove_unused_categories().cat.categories)
        else:
            found = values.drop_duplicates().tolist()
        n_missing = len(column) - len(values)
        return cls(_kind(column), len(found), n_missing, _show(values, found))


def find_time_columns(adata: AnnData) -> dict[str, TimePoints]:
    """Return the columns of `obs` that may hold the times of a course, with their times.

    These can be read as times and have a unit in their labels, or a word for time in their name.
    Columns that cellflow wrote, doses, pseudotimes, batches and clusters are left out.
    """
    found = {}
    for key in adata.obs:
        name = str(key)
        words = _words_of(name)
        if name.startswith(("cellflow", FATE + "_")) or name in _OWN or words & _NO_TIME_WORDS:
            continue
        named = bool(words & _TIME_WORDS)
        if is_complex_dtype(adata.obs[key]) or (words & _GROUP_WORDS and not named):
            continue
        try:
            points = parse_times(adata.obs[key])
        except InputError:
            continue
        named |= points.has_unit
        if len(points.times) <= adata.n_obs // 2 and named:
            found[name] = points
    return found


def spells_times(column: pd.Series, elapsed: np.ndarray) -> bool:
    """Report whether a column holds given times in other words, one value for each.

    With a word for time in its name, its times have to be in the same order. Labels with a unit
    in another column have to be the same times, as those of patients `P1`, `P2` may not be.

    Parameters
    ----------
    column
        Column of `obs`, of n cells.
    elapsed
        Time of each cell, shape (n,).
    """
    codes, values = pd.factorize(column)
    times, first, place = np.unique(elapsed, return_index=True, return_inverse=True)
    if len(values) != len(times) or (codes != codes[first][place]).any():
        return False
    try:
        points = parse_times(column)
    except InputError:
        return False
    read = points.elapsed[first]
    if _words_of(str(column.name)) & _TIME_WORDS:
        return bool((np.diff(read) > 0).all())
    return points.has_unit and np.allclose(read * times[-1], times * read[-1])


def _words_of(name: str) -> set[str]:
    return set(re.findall(r"[a-z]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", name).lower()))


def _kind(column: pd.Series) -> str:
    kinds = {
        "empty": column.isna().all(),
        "true or false": is_bool_dtype(column),
        "dates": is_datetime64_any_dtype(column),
        "durations": is_timedelta64_dtype(column),
        "complex numbers": is_complex_dtype(column),
        "text": not is_numeric_dtype(column),
        "numbers": is_float_dtype(column) and (column.dropna() % 1 != 0).any(),
    }
    if isinstance(column.dtype, pd.CategoricalDtype):
        return "ordered categories" if column.cat.ordered else "categories"
    return next((kind for kind, fits in kinds.items() if fits), "whole numbers")


def _show(values: pd.Series, found: list[object]) -> str:
    """Return the first values, or the range of more numbers than are shown."""
    numeric = is_numeric_dtype(values) and not (is_bool_dtype(values) or is_complex_dtype(values))
    if numeric and not np.isfinite(values.astype(np.float64)).all():
        numeric = False
    if numeric:
        found = sorted(found)  # type: ignore[type-var]
        if len(found) > 2 * _N_SHOWN:
            return f"{found[0]:.4g} to {found[-1]:.4g}"
    shown: list[str] = []
    for value in found[: 2 * _N_SHOWN if numeric else _N_SHOWN]:
        shown.append(_abbreviate(name_group(value).removesuffix(" 00:00:00")))
        if sum(map(len, shown)) > _N_CHARACTERS:
            break
    return ", ".join(shown) + (", ..." if len(shown) < len(found) else "")


def _abbreviate(text: str) -> str:
    return text if len(text) <= _N_CHARACTERS else f"{text[: _N_CHARACTERS - 3]}..."
