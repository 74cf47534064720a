"""Colours of groups of cells, those that scanpy keeps or colour-blind safe ones."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib as mpl
from anndata import AnnData

from cellflow._checks import check_choice

#: Okabe and Ito 2008, without black, then the muted colours of Paul Tol.
SAFE = (
    "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#f0e442", "#332288",
    "#882255", "#117733", "#aa4499", "#999933", "#88ccee", "#661100", "#44aa99", "#6e6e6e",
)  # fmt: skip


def group_colours(adata: AnnData, column: str) -> Mapping[str, str]:
    """Colour of each value of an `obs` column, as text: those of `uns`, where scanpy wrote some."""
    check_choice(column, [str(name) for name in adata.obs], "obs column")
    names = [str(name) for name in adata.obs[column].astype("category").cat.categories]
    kept = adata.uns.get(f"{column}_colors")
    if kept is not None and len(kept) >= len(names):
        return dict(zip(names, [str(colour) for colour in kept], strict=False))
    if len(names) <= len(SAFE):
        return dict(zip(names, SAFE, strict=False))
    shades = mpl.colormaps["turbo"].resampled(len(names))
    return {name: mpl.colors.to_hex(shades(k)) for k, name in enumerate(names)}
