"""Colours of groups of cells: those stored in `uns`, or those of few groups by default."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from cellflow.io.groups import check_groups, name_group

#: Okabe and Ito 2008, without black, then the muted colours of Paul Tol.
SAFE = (
    "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#f0e442", "#332288",
    "#882255", "#117733", "#aa4499", "#999933", "#88ccee", "#661100", "#44aa99", "#6e6e6e",
)  # fmt: skip


def names_of_groups(adata: AnnData, column: str) -> tuple[list[str], set[str]]:
    """Return the names of all groups in the order of their colours, and those that have cells."""
    check_groups(adata.obs[column])
    values = adata.obs[column].astype("category").cat
    names = [name_group(value) for value in values.categories]
    return names, {names[code] for code in np.unique(values.codes) if code >= 0}


def colours_as_stored(
    adata: AnnData, column: str, names: Sequence[str], used: Container[str]
) -> dict[str, Any] | str | None:
    """Return the values of `uns["<column>_colors"]` by group, unread.

    None if there are fewer than groups; the name of a group that has cells and no colour in a
    mapping. Groups without cells and without a colour are left out.
    """
    stored = adata.uns.get(f"{column}_colors")
    if stored is None:
        return None
    if isinstance(stored, Mapping):
        by_name = {str(name): colour for name, colour in stored.items()}
        missing = [name for name in names if name in used and by_name.get(name) is None]
        found = {name: by_name[name] for name in names if by_name.get(name) is not None}
        return missing[0] if missing else found
    several = list(stored) if isinstance(stored, list | tuple) else list(np.atleast_1d(stored))
    return None if len(several) < len(names) else dict(zip(names, several, strict=False))


def colours_for_table(adata: AnnData, column: str) -> pd.Series:
    """Return a colour for each group, as stored or by default; empty if a table cannot have all."""
    names, used = names_of_groups(adata, column)
    stored = colours_as_stored(adata, column, names, used)
    few = dict(zip(names, SAFE, strict=False)) if len(names) <= len(SAFE) else {}
    found = stored if isinstance(stored, dict) else few
    texts = {
        name: each.decode(errors="replace") if isinstance(each, bytes) else each
        for name, each in found.items()
        if name in used
    }
    if not all(isinstance(each, str) for each in texts.values()):
        return pd.Series(dtype=object)
    return pd.Series({name: str(each) for name, each in texts.items()}, dtype=object)
