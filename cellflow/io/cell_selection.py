"""Select cells by a mask, by names, or by values of `obs` columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from anndata import AnnData
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from cellflow._checks import check_choice, format_list
from cellflow._errors import InputError

#: Type of the argument `cells` of the public verbs.
Cells = str | Sequence[str] | np.ndarray | pd.Series | None

_FORMS = "a boolean mask, names of cells, or text such as 'column=value' or 'column=a,b & day=2'"


def select_cells(adata: AnnData, cells: Cells) -> np.ndarray:
    """Return a mask of the selected cells, shape (n,).

    Parameters
    ----------
    adata
        The cells to select from.
    cells
        A boolean mask, one entry per cell; names of cells; or text: the name of a cell, or
        `column=value`. Several values are separated by commas; several conditions, all of which
        must hold, by `&`. None selects all cells.

    Raises
    ------
    InputError
        For unknown names, columns or values, a mask of another length, or an empty selection.
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
    return cells if isinstance(cells, str) else f"{len(cells)} given"


def _by_text(adata: AnnData, text: str) -> np.ndarray:
    if text in adata.obs_names:
        return np.asarray(adata.obs_names == text)
    if "=" not in text:
        raise InputError(f"{text!r} is not the name of a cell; select cells by {_FORMS}")
    parts = text.split("&") if text.count("=") > 1 else [text]
    return np.logical_and.reduce([_by_value(adata, part) for part in parts])


def _by_value(adata: AnnData, text: str) -> np.ndarray:
    column, equals, wanted = (part.strip() for part in text.partition("="))
    if not equals:
        raise InputError(f"{text.strip()!r} is not a condition; select cells by {_FORMS}")
    check_choice(column, [str(name) for name in adata.obs], "obs column")
    values = adata.obs[column]
    present = values.dropna().astype("category").cat.categories
    known = {_key(value): value for value in present}
    # A value may itself contain commas.
    whole = _key(wanted, like=values)
    requested = [wanted] if whole in known else [part.strip() for part in wanted.split(",")]
    keys = [_key(each, like=values) for each in requested]
    if bad := [each for each, key in zip(requested, keys, strict=True) if key not in known]:
        raise InputError(
            f"obs[{column!r}] has no value {format_list(map(repr, bad))}; "
            f"there are: {format_list(present)}"
        )
    return values.isin([known[key] for key in keys]).to_numpy()


def _key(value: object, like: pd.Series | None = None) -> object:
    """Return a value for comparison: numbers as float, everything else as text."""
    if like is None:
        numeric = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    else:
        dtype = like.cat.categories.dtype if hasattr(like, "cat") else like.dtype
        numeric = is_numeric_dtype(dtype) and not is_bool_dtype(dtype)
    try:
        return float(value) if numeric else str(value)  # type: ignore[arg-type]
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
