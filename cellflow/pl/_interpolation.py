"""Predicted cells among the snapshots."""

from __future__ import annotations

import numpy as np
from anndata import AnnData
from matplotlib.axes import Axes

from cellflow._errors import InputError
from cellflow._keys import INTERPOLATE, REPRESENTATION, read_record
from cellflow.io import convert_unit, plural_unit, time_points_of
from cellflow.pl._canvas import (
    PALE,
    PREDICTED,
    canvas,
    dot_size,
    finish,
    frame,
    scatter,
)
from cellflow.pl._colours import SAFE
from cellflow.representation import check_components, points_of, read_slots


def interpolation(
    adata: AnnData,
    predicted: AnnData,
    *,
    time_key: str | None = None,
    components: tuple[int, int] = (0, 1),
    ax: Axes | None = None,
    show: bool | None = None,
) -> Axes:
    """Draw predicted cells over the snapshots before and after them.

    Parameters
    ----------
    adata
        The time course.
    predicted
        What `tl.interpolate` returned.
    time_key
        Column of `obs` with the times; None takes the one that `pp.time_points` recorded, or one
        of a usual name (`time`, `day`, ...).
    components
        Dimensions to draw, counted from 0.
    ax
        Axes to draw on; None makes a figure.
    show
        Show the figure at once; None does so where the backend is interactive.

    Returns
    -------
    The axes. Cells of other times are pale; where `adata` has cells of the predicted time, they
    are drawn as open circles.

    Raises
    ------
    InputError
        If `predicted` is no prediction, or there are not that many dimensions.
    """
    entry = read_record(predicted.uns, INTERPOLATE)
    representation = read_slots(predicted, REPRESENTATION)
    if entry is None or representation is None:
        raise InputError("these cells are no prediction of cellflow.tl.interpolate")
    check_components(representation, components)
    ax = canvas(ax)
    points = convert_unit(time_points_of(adata, time_key), str(entry["unit"]))
    shown = list(components)
    cells = points_of(adata, representation)[:, shown]
    moment, size = float(entry["time"]), dot_size(adata.n_obs)
    before = [t for t in points.times if t < moment][-1:]
    after = [t for t in points.times if t > moment][:1]
    real = points.elapsed == moment
    other = ~np.isin(points.elapsed, [*before, *after, moment])
    if other.any():
        scatter(ax, cells[other], s=size, c=PALE, alpha=0.5, label="other times")
    for time, colour in zip([*before, *after], SAFE, strict=False):
        chosen = cells[points.elapsed == time]
        scatter(ax, chosen, s=size, color=colour, alpha=0.8, label=f"observed, {time:g}")
    if real.any():
        scatter(
            ax,
            cells[real],
            s=2 * size,
            facecolors="none",
            edgecolors="black",
            linewidths=0.6,
            label=f"observed, {moment:g}",
        )
    scatter(
        ax,
        predicted.obsm[REPRESENTATION][:, shown],
        s=size,
        c=PREDICTED,
        alpha=0.8,
        label=f"predicted, {moment:g}",
    )
    frame(ax, "component", components)
    unit = plural_unit(str(entry["unit"]))
    ax.set_title(f"Cells predicted at {moment:g} {unit}".rstrip(), fontsize="medium")
    ax.legend(frameon=False, fontsize="small", markerscale=1.8, loc="best")
    return finish(ax, show=show)
