"""Colours of groups of cells, and cells drawn in the colours of an `obs` column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, to_hex

from cellflow._checks import check_choice
from cellflow._errors import InputError
from cellflow._keys import TIME, TIME_POINTS, read_record
from cellflow.io import SAFE, name_group, names_of_groups, plural_unit
from cellflow.pl._canvas import LETTERS_OF_LEGEND, PALE, dot_size, scatter, wrap_name
from cellflow.pl._cell_values import values_of
from cellflow.pl._stored_colours import stored_colours


def group_colours(adata: AnnData, column: str) -> Mapping[str, str]:
    """Return the colour of each group of an `obs` column; those of `uns` if scanpy wrote them."""
    check_choice(column, [str(name) for name in adata.obs], "obs column")
    names, used = names_of_groups(adata, column)
    return {**default_colours(names), **(stored_colours(adata, column, names, used) or {})}


def default_colours(names: Sequence[str]) -> dict[str, str]:
    """Return the colours of groups that have none of their own, by the order of the groups."""
    if len(names) <= len(SAFE):
        return dict(zip(names, SAFE, strict=False))
    scale = colormaps["turbo"].resampled(len(names))
    return {name: to_hex(scale(k)) for k, name in enumerate(names)}


def sequential_colours(n: int) -> list[str]:
    """Return n colours from dark to light; the lightest would be hard to see on white."""
    return [to_hex(colour) for colour in colormaps["viridis"](np.linspace(0.0, 0.95, n))]


def category_colours(adata: AnnData, column: str) -> Mapping[str, str]:
    """Return colours of groups; ordered categories without colours get a sequential scale."""
    check_choice(column, [str(name) for name in adata.obs], "obs column")
    names, values = names_of_groups(adata, column)[0], adata.obs[column]
    ordered = isinstance(values.dtype, pd.CategoricalDtype) and values.cat.ordered
    if not ordered or f"{column}_colors" in adata.uns:
        return group_colours(adata, column)
    return dict(zip(names, sequential_colours(len(names)), strict=True))


def scatter_cells(
    ax: Axes,
    adata: AnnData,
    points: np.ndarray,
    color: str | None,
    gene_symbols: str | None = None,
    *,
    label: str | None = None,
) -> None:
    """Draw cells at `points`, shape (n, 2), coloured by an `obs` column or gene, with its legend.

    Cells without a value are pale. `label` names the numbers of the colour bar; None uses the name
    of the column or gene, with the unit of times and the scale of expression.
    """
    size = dot_size(len(points))
    if color is None:
        scatter(ax, points, s=size, c=PALE, alpha=0.7)
        return
    values = values_of(adata, color, gene_symbols)
    known = values.notna().to_numpy()
    if not known.all():
        scatter(ax, points[~known], s=size, c=PALE, alpha=0.7)
    column, points = values[known], points[known]
    if column.empty:
        raise InputError(f"obs[{color!r}] has no value for any cell")
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        _draw_numbers(ax, points, column, size, label or _label_numbers(adata, color, column))
        return
    colours = category_colours(adata, color)
    groups = np.array([name_group(value) for value in column], dtype=object)
    names = [name for name in colours if (groups == name).any()]
    for name in names:
        shown = wrap_name(name, LETTERS_OF_LEGEND)
        scatter(ax, points[groups == name], s=size, color=colours[name], alpha=0.7, label=shown)
    ax.legend(
        title=color,
        frameon=False,
        fontsize="small",
        markerscale=2.5,
        loc="upper left",
        bbox_to_anchor=(1, 1),
        ncols=1 + (len(names) - 1) // 16,
    )


def _label_numbers(adata: AnnData, color: str, column: pd.Series) -> str:
    """Return the name of a column of times with its unit, or of a gene with its scale."""
    if color not in adata.obs:
        scale = "scaled expression" if (column < 0).any() else "logarithm of expression"
        return f"{column.name}, {scale}"
    entry = read_record(adata.uns, TIME_POINTS) or {}
    unit = plural_unit(str(entry.get("unit", "")))
    return f"time ({unit})" if unit and color in (TIME, entry.get("time_key")) else color


def _draw_numbers(ax: Axes, points: np.ndarray, column: pd.Series, size: float, label: str) -> None:
    values = column.to_numpy(dtype=np.float64)
    # Outliers would compress the colours of all other cells.
    low, high = np.percentile(values, (1, 99))
    scale = ScalarMappable(Normalize(low, high), cmap="viridis")
    scatter(ax, points, s=size, c=scale.to_rgba(values), alpha=0.7)
    bar = ax.figure.colorbar(scale, ax=ax, shrink=0.8, pad=0.02, extend="both")
    bar.set_label(label)
    bar.outline.set_visible(False)
