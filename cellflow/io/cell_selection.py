"""Select cells by a mask, by names, or by values of `obs` columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches

import numpy as np
import pandas as pd
from anndata import AnnData
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from cellflow._checks import check_choice, format_list, format_number
from cellflow._errors import InputError
from cellflow._keys import TIME, TIME_POINTS, read_record
from cellflow._quoting import is_quoted, quote, split_text, unquote
from cellflow.io.time_columns import label_of

#: Type of the argument `cells` of the public verbs.
Cells = str | Sequence[str] | np.ndarray | pd.Series | None

_FORMS = "a boolean mask, names of cells, or text such as 'column=value' or 'column=a,b & day=2'"

_QUOTING = "values with & , or = are quoted, as in 'column=\"a & b=c\" & day=2'"


def select_cells(adata: AnnData, cells: Cells) -> np.ndarray:
    """Return a mask of the selected cells, shape (n,).

    Parameters
    ----------
    adata
        The cells to select from.
    cells
        A boolean mask, one entry per cell; names of cells; or text: the name of a cell, or
        `column=value`, or `column!=value` for all others; the value `nan` stands for a missing one.
        Several values are separated by commas; several conditions, all of which must hold, by `&`.
        Names and values with `&`, `,` or `=` are quoted, as in
        `cell_type="T & NK cell" & day=2`, with `'` or `"`; a quote inside is written twice. Commas
        need no quotes where the text can be read in one way only. None selects all cells.

    Raises
    ------
    InputError
        For unknown names, columns or values, a list that can be read in several ways, a mask of
        another length, or an empty selection.
    """
    if cells is None:
        return np.ones(adata.n_obs, dtype=bool)
    chosen = _by_text(adata, cells) if isinstance(cells, str) else _by_list(adata, cells)
    if not chosen.any():
        raise InputError(f"no cells are selected by {_abbreviate(cells)}")
    return chosen


def describe_cells(cells: Cells) -> str:
    """Return a short description of a selection, for `uns`."""
    if cells is None:
        return "all"
    if isinstance(cells, str):
        return cells
    values = np.asarray(cells)
    return f"{int(values.sum()) if values.dtype == bool else len(values)} given"


def _by_text(adata: AnnData, text: str) -> np.ndarray:
    if text in adata.obs_names:
        return np.asarray(adata.obs_names == text)
    if unquote(text) in adata.obs_names:
        return np.asarray(adata.obs_names == unquote(text))
    conditions: list[tuple[str, str]] = []
    excluded: list[int] = []
    for part in split_text(text, "&"):
        column, *values = split_text(part, "=", 1)
        if values:
            if column.rstrip().endswith("!"):
                excluded.append(len(conditions))
                column = column.rstrip()[:-1]
            _check_sign(column, part)
            conditions.append((unquote(column), values[0].removeprefix("=")))
        elif conditions:
            # The `&` may be part of a value, as in `T & NK cell`.
            conditions[-1] = (conditions[-1][0], f"{conditions[-1][1]}&{part}")
        else:
            raise InputError(f"{text!r} is not the name of a cell; select cells by {_FORMS}")
    known = [str(name) for name in adata.obs]
    for column, _ in conditions:
        hint = f" ({_QUOTING})" if len(conditions) > 1 else ""
        check_choice(column, known, "obs column", hint=hint)
    masks = [_by_value(adata, adata.obs[name], each) for name, each in conditions]
    return np.logical_and.reduce([~mask if k in excluded else mask for k, mask in enumerate(masks)])


def _check_sign(column: str, condition: str) -> None:
    """Raise `InputError` for `<=` and `>=`; `==` is read as `=`."""
    if column.endswith(("<", ">")):
        raise InputError(
            f"{condition.strip()!r} is not a condition; give the values to select, as in "
            "'column=a,b', or in Python a mask such as adata.obs['day'] <= 2"
        )


def _by_value(adata: AnnData, column: pd.Series, text: str) -> np.ndarray:
    values = column.dropna().astype("category").cat.remove_unused_categories()
    present = values.cat.categories.to_numpy()
    known = {_key(value): value for value in present}
    if text.strip().lower() == "nan" and column.isna().any():
        return column.isna().to_numpy()
    wanted = _split_wanted(text, column, known)
    keys = [_key(each, like=column) for each in wanted]
    if bad := [each for each, key in zip(wanted, keys, strict=True) if key not in known]:
        hint = _suggest_replicates(adata, column, bad[0], list(map(str, present)))
        near = get_close_matches(bad[0], [str(value) for value in present], n=1)
        hint = hint or (f" (did you mean {quote(near[0])}?)" if near else "")
        raise InputError(
            f"obs[{column.name!r}] has no value {format_list(map(repr, bad))}{hint}; "
            f"there are: {format_list(map(quote, present))}"
        )
    return column.isin([known[key] for key in keys]).to_numpy()


def _suggest_replicates(
    adata: AnnData, column: pd.Series, label: str, present: Sequence[str]
) -> str:
    """Return a hint on replicates of one time, such as `D0_rep1` of `D0`; empty without any."""
    merged = [value for value in present if label_of(value) == label]
    if not merged:
        return ""
    ways = [f"{quote(str(column.name))}={','.join(map(quote, merged))}"]
    recorded = read_record(adata.uns, TIME_POINTS) or {}
    if recorded.get("time_key") == column.name and TIME in adata.obs:
        times = adata.obs[TIME][column.astype(str).isin(merged).to_numpy()].unique()
        ways = [f"{TIME}={format_number(time)}" for time in times] + ways
    return f" (did you mean {' or '.join(ways)}?)"


def _split_wanted(text: str, values: pd.Series, known: Mapping[object, object]) -> list[str]:
    """Return the values in a list; commas outside quotes may be part of one where that is plain.

    Raises
    ------
    InputError
        If the list can be read in several ways.
    """
    if _key(unquote(text), like=values) in known:
        return [unquote(text)]
    parts = split_text(text, ",")
    # Per number of parts: up to two ways to read them as known values.
    ways: list[list[list[str]]] = [[[]], *([] for _ in parts)]
    for end in range(1, len(parts) + 1):
        for start in range(end):
            value = ",".join(parts[start:end])
            single = end - start == 1
            if (single or not any(map(is_quoted, parts[start:end]))) and _key(
                unquote(value), like=values
            ) in known:
                ways[end] += [[*way, unquote(value)] for way in ways[start]]
        ways[end] = ways[end][:2]
    if len(ways[-1]) > 1:
        readings = " or ".join(",".join(map(quote, way)) for way in ways[-1])
        raise InputError(f"{text!r} can be read as {readings}; quote the values")
    return ways[-1][0] if ways[-1] else [unquote(part) for part in parts]


def _key(value: object, like: pd.Series | None = None) -> object:
    """Return a value for comparison: numbers as float, everything else as text."""
    if like is None:
        numeric = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    else:
        dtype = like.cat.categories.dtype if hasattr(like, "cat") else like.dtype
        numeric = is_numeric_dtype(dtype) and not is_bool_dtype(dtype)
    try:
        # Via text, so that 0.1 in single precision is 0.1.
        return float(str(value)) if numeric else str(value)
    except ValueError:
        return str(value)


def _by_list(adata: AnnData, cells: Iterable[object]) -> np.ndarray:
    if isinstance(cells, pd.Series):
        if is_bool_dtype(cells.dtype) and not cells.index.equals(adata.obs_names):
            raise InputError(
                "the index of a mask must equal the names of the cells, in the same order"
            )
        cells = cells.to_numpy()
    values = np.asarray(cells)
    if values.dtype == bool:
        if values.shape != (adata.n_obs,):
            raise InputError(
                f"a mask must have one entry for each of the {adata.n_obs} cells, "
                f"got shape {values.shape}"
            )
        return values
    if values.ndim != 1 or not all(isinstance(value, str) for value in values):
        raise InputError(f"select cells by {_FORMS}; got {_abbreviate(cells)}")
    if foreign := [value for value in values if value not in adata.obs_names]:
        raise InputError(f"no cells have these names: {format_list(foreign)}")
    return np.asarray(adata.obs_names.isin(values))


def _abbreviate(cells: object) -> str:
    return repr(cells) if isinstance(cells, str) else type(cells).__name__
