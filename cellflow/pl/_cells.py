"""Colours of cells by an `obs` column."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, to_hex

from cellflow._checks import check_choice
from cellflow.pl._canvas import PALE, dot_size, scatter

#: Okabe and Ito 2008, told apart by all kinds of colour vision; grey comes last.
SAFE = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#8A8D96",
)  # fmt: skip


def group_colours(adata: AnnData | None, column: str | None, names: list[str]) -> dict[str, str]:
    """A colour for each group: scanpy's of `uns[<column>_colors]`, else colour-blind safe ones.

    Ordered categories take the colours of a scale; so do more groups than safe colours.
    """
    if adata is not None and column in adata.obs:
        stored = list(adata.uns.get(f"{column}_colors", ()))
        order = [str(name) for name in adata.obs[column].astype("category").cat.categories]
        if len(stored) == len(order):
            known = dict(zip(order, stored, strict=True))
            return {name: to_hex(known[name]) if name in known else PALE for name in names}
        if adata.obs[column].dtype == "category" and adata.obs[column].cat.ordered:
            return _spread("viridis", names)
    if len(names) <= len(SAFE):
        return dict(zip(names, SAFE, strict=False))
    return _spread("turbo", names)


def _spread(scale: str, names: list[str]) -> dict[str, str]:
    """Colours from one end of a scale to the other."""
    spread = colormaps[scale](np.linspace(0.05, 0.95, len(names)))
    return {name: to_hex(colour) for name, colour in zip(names, spread, strict=True)}


def draw_cells(ax: Axes, adata: AnnData, points: np.ndarray, color: str | None) -> None:
    """Draw cells at `points`, shape (n, 2), coloured by an `obs` column with its legend."""
    size = dot_size(len(points))
    if color is None:
        scatter(ax, points, s=size, c=PALE, alpha=0.7)
        return
    check_choice(color, [str(name) for name in adata.obs], "obs column")
    column = adata.obs[color]
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        _draw_numbers(ax, points, column, size)
        return
    groups = column.astype("category").cat.remove_unused_categories()
    names = [str(name) for name in groups.cat.categories]
    colours = group_colours(adata, color, names)
    for code, name in enumerate(names):
        chosen = points[(groups.cat.codes == code).to_numpy()]
        scatter(ax, chosen, s=size, color=colours[name], alpha=0.7, label=name)
    ax.legend(
        title=color,
        frameon=False,
        fontsize="small",
        markerscale=2.5,
        loc="upper left",
        bbox_to_anchor=(1, 1),
        ncols=1 + (len(names) - 1) // 16,
    )


def _draw_numbers(ax: Axes, points: np.ndarray, column: pd.Series, size: float) -> None:
    values = column.to_numpy(dtype=np.float64)
    scale = ScalarMappable(Normalize(np.nanmin(values), np.nanmax(values)), cmap="viridis")
    scatter(ax, points, s=size, c=scale.to_rgba(values), alpha=0.7)
    bar = ax.figure.colorbar(scale, ax=ax, shrink=0.8, pad=0.02)
    bar.set_label(str(column.name))
    bar.outline.set_visible(False)
