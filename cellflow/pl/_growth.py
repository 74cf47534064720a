"""The figure `pl.growth`: growth rates of cells over time."""

from __future__ import annotations

import numpy as np
from anndata import AnnData
from matplotlib.axes import Axes

from cellflow._checks import format_number
from cellflow._errors import InputError
from cellflow._keys import GROWTH, is_relative_growth
from cellflow.io import groups_of, per_unit, plural_unit, time_points_of
from cellflow.pl._canvas import INK, PALE, add_legend_outside, canvas, finish
from cellflow.pl._colours import category_colours

#: Total width of the boxes of one time point.
_WIDTH = 0.8


def growth(
    adata: AnnData,
    *,
    time_key: str | None = None,
    color: str | None = None,
    key: str = GROWTH,
    ax: Axes | None = None,
    show: bool | None = None,
) -> Axes:
    """Draw the growth rates of the cells of each time point, of all cells or by group.

    Parameters
    ----------
    adata
        Cells with the growth rates of `tl.growth` or `pp.growth`.
    time_key
        Column of `obs` with the times; None uses the one that `pp.time_points` recorded, or one
        of a usual name (`time`, `day`, ...).
    color
        Column of `obs` with groups, each drawn as a box.
    key
        Column of `obs` with the rates.
    ax
        Axes to draw on; None makes a new figure.
    show
        Show the figure; None shows it if the backend is interactive.

    Returns
    -------
    The axes: boxes from the first to the third quartile with the median, whiskers from the 5th to
    the 95th percentile. At rate zero, the dotted line, a cell neither divides nor dies. Rates of a
    flow with growth `relative` compare cells of one time only: the axis says so, and zero has no
    line.

    Raises
    ------
    InputError
        If the rates or the column are missing.
    """
    if key not in adata.obs:
        raise InputError(
            f"no obs column {key!r}; run cellflow.tl.growth or cellflow.pp.growth first"
        )
    points = time_points_of(adata, time_key)
    rates = adata.obs[key].to_numpy(dtype=np.float64)
    names, member = [""], np.zeros(adata.n_obs, dtype=int)
    if color is not None:
        groups = groups_of(adata, color)
        names, member = list(groups.cat.categories), groups.cat.codes.to_numpy()
    colours = {"": PALE} if color is None else category_colours(adata, color)
    ax = canvas(ax, (max(4.5, 1.5 + 0.28 * len(names) * len(points.times)), 4.0))
    if not is_relative_growth(adata.uns, key):
        ax.axhline(0, color=INK, linewidth=0.8, linestyle=":")
    width = _WIDTH / len(names)
    for code, name in enumerate(names):
        place = np.arange(len(points.times)) + (code - (len(names) - 1) / 2) * width
        chosen = [rates[(points.elapsed == time) & (member == code)] for time in points.times]
        _boxes(ax, chosen, place, 0.85 * width, colours[name], name)
    ax.set_xticks(range(len(points.times)), [format_number(time) for time in points.times])
    ax.set_xlim(-0.6, len(points.times) - 0.4)
    unit = plural_unit(points.unit)
    ax.set_xlabel(f"time ({unit})" if unit else "time")
    quantity = "relative growth rate" if is_relative_growth(adata.uns, key) else "growth rate"
    ax.set_ylabel(f"{quantity} ({per_unit(points)})")
    ax.spines[["top", "right"]].set_visible(False)
    if color is not None:
        add_legend_outside(ax, color)
    return finish(ax, show=show)


def _boxes(
    ax: Axes, values: list[np.ndarray], place: np.ndarray, width: float, colour: str, label: str
) -> None:
    """Draw the boxes of one group, at times that have cells of it."""
    known = [k for k, each in enumerate(values) if len(each)]
    ax.boxplot(
        [values[k] for k in known],
        positions=place[known],
        widths=width,
        whis=(5, 95),
        showfliers=False,
        patch_artist=True,
        manage_ticks=False,
        boxprops={"facecolor": colour, "linewidth": 0.6},
        medianprops={"color": INK, "linewidth": 1.2},
        whiskerprops={"linewidth": 0.6},
        capprops={"linewidth": 0.6},
    )
    ax.scatter([], [], marker="s", color=colour, label=label)
