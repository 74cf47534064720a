"""Weights of cells in groups: annotated groups, or fates by their probabilities."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData

from cellflow._checks import check_choice, format_list
from cellflow._errors import InputError
from cellflow._keys import read_record
from cellflow.io import groups_of
from cellflow.io.matrices import read_numbers

#: Name of the group of all cells.
EVERYTHING = "all"


def membership_of(adata: AnnData, by: str | None) -> pd.DataFrame:
    """Return the weight of each cell in each group, one column for each group.

    Parameters
    ----------
    adata
        The cells.
    by
        Column of `obs` with annotated groups: a cell is in one of them, or in none if the value is
        missing. Or an `obsm` key with the weight of each cell in each group, such as
        `fate_probabilities`; cells without weights stay NaN. None puts all cells in one group.

    Raises
    ------
    InputError
        If there is no such key, the column holds a continuous measurement, or groups of a matrix
        have no names.
    """
    if by is None:
        return pd.DataFrame({EVERYTHING: 1.0}, index=adata.obs_names)
    if by in adata.obsm:
        return _read_weights(adata, by)
    check_choice(by, [*adata.obs, *adata.obsm], "obs column or obsm key")
    return pd.get_dummies(groups_of(adata, by)).astype(np.float64)


def _read_weights(adata: AnnData, key: str) -> pd.DataFrame:
    names = _column_names(adata, key)
    matrix = read_numbers(adata, key).astype(np.float64)
    if len(names) != matrix.shape[1]:
        raise InputError(
            f"obsm[{key!r}] has {matrix.shape[1]} columns and {len(names)} names "
            f"({format_list(names) or 'none'})"
        )
    return pd.DataFrame(matrix, index=adata.obs_names, columns=names)


def _column_names(adata: AnnData, key: str) -> list[str]:
    """Return the names of the columns: its own, or those that `tl.fates` recorded."""
    values = adata.obsm[key]
    if isinstance(values, pd.DataFrame):
        return [str(name) for name in values.columns]
    return [str(name) for name in (read_record(adata.uns, key) or {}).get("names", ())]
