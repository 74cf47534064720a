"""Groups of cells from an `obs` column: categories, text, or numbers of clusters."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData
from pandas.api.types import is_bool_dtype, is_float_dtype, is_numeric_dtype

from cellflow._checks import check_choice
from cellflow._errors import InputError

#: Different numbers up to which a column may hold groups: whole ones, as of clusters, and others,
#: as of doses.
_MOST_WHOLE, _MOST_OTHER = 200, 20

#: Mean number of cells below which numbers are measurements and not groups.
_LEAST_CELLS = 2


def groups_of(adata: AnnData, column: str) -> pd.Series:
    """Return an `obs` column as categories of text, in the order of the column.

    Cells without a value remain missing. Whole numbers are named without decimals.

    Raises
    ------
    InputError
        If the column does not exist, holds a continuous measurement, or has no value for any cell.
    """
    check_choice(column, [str(name) for name in adata.obs], "obs column")
    check_groups(adata.obs[column])
    values = adata.obs[column]
    if values.dtype == np.float16:  # pandas has no index of these
        values = values.astype(np.float32)
    values = values.astype("category").cat.remove_unused_categories()
    order = list(values.cat.categories)
    if not order:
        raise InputError(f"obs[{column!r}] has no value for any cell")
    return values.cat.rename_categories([name_group(value) for value in order])


def name_group(value: object) -> str:
    """Return the name of a group: clusters read as floats, since some cells have none, are whole.

    Examples
    --------
    >>> name_group(3.0), name_group("T cell")
    ('3', 'T cell')
    """
    if isinstance(value, float | np.floating) and value.is_integer():
        return str(int(value))
    return str(value)


def is_continuous(column: pd.Series) -> bool:
    """Report whether a column holds numbers of a measurement, and not of groups."""
    if is_bool_dtype(column) or not is_numeric_dtype(column):
        return False
    values = column.dropna()
    n_values, whole = values.nunique(), not is_float_dtype(values) or (values % 1 == 0).all()
    most = _MOST_WHOLE if whole else _MOST_OTHER
    return n_values > most or (not whole and n_values * _LEAST_CELLS > len(values))


def check_groups(column: pd.Series) -> None:
    """Raise `InputError` for a column with a continuous measurement, where groups are needed."""
    if is_continuous(column):
        name, values = column.name, column.dropna()
        raise InputError(
            f"obs[{name!r}] has {values.nunique():,} different numbers, from {values.min():g} to "
            f"{values.max():g}, and no groups; name a column of categories, or make one with "
            f"adata.obs['{name}_group'] = pandas.cut(adata.obs[{name!r}], 5).astype(str)"
        )
