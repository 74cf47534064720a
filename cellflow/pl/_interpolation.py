"""The figure `pl.interpolation`: predicted cells over the measured ones."""

from __future__ import annotations

import numpy as np
from anndata import AnnData
from matplotlib.axes import Axes

from cellflow._errors import InputError
from cellflow._keys import FIT, INTERPOLATE, REPRESENTATION, read_cautions, read_record
from cellflow.io import SAFE, format_time, time_points_for_result
from cellflow.pl._canvas import (
    PALE,
    PREDICTED,
    canvas,
    dot_size,
    finish,
    note_cautions,
    scatter,
)
from cellflow.pl._plane import Plane
from cellflow.representation import read_slots


def interpolation(
    adata: AnnData,
    predicted: AnnData,
    *,
    time_key: str | None = None,
    basis: str | None = None,
    components: tuple[int, int] = (0, 1),
    ax: Axes | None = None,
    show: bool | None = None,
) -> Axes:
    """Draw predicted cells over the measured cells before and after them.

    Parameters
    ----------
    adata
        The time course.
    predicted
        Result of `tl.interpolate`.
    time_key
        Column of `obs` with the times; None uses the one that `pp.time_points` recorded, or one
        of a usual name (`time`, `day`, ...).
    basis
        `obsm` key of `adata`, with or without `X_`, such as `umap`. Unless it is an affine map of
        the representation, predicted cells are placed at a weighted mean of their 15 nearest
        measured cells of any time, as the figure says: an illustration, not a prediction of
        coordinates. None draws two dimensions of the representation.
    components
        Dimensions to draw, counted from 0.
    ax
        Axes to draw on; None makes a new figure.
    show
        Show the figure; None shows it if the backend is interactive.

    Returns
    -------
    The axes. Cells of other time points are pale; measured cells of the predicted time, if `adata`
    has any, are open circles.

    Raises
    ------
    InputError
        If `predicted` is not a result of `tl.interpolate`, or a basis or dimension does not exist.
    """
    entry = read_record(predicted.uns, INTERPOLATE)
    representation = read_slots(predicted, REPRESENTATION)
    if entry is None or representation is None:
        raise InputError(
            "predicted must be a result of cellflow.tl.interpolate (cellflow interpolate)"
        )
    points = time_points_for_result(adata, entry, time_key)
    plane = Plane.of(adata, representation, basis, components)
    is_own = ax is None
    ax = canvas(ax)
    cells, unit = plane.cells, str(entry["unit"])
    target, size = float(entry["time"]), dot_size(adata.n_obs)
    before = [t for t in points.times if t < target][-1:]
    after = [t for t in points.times if t > target][:1]
    real = points.elapsed == target
    other = ~np.isin(points.elapsed, [*before, *after, target])
    if other.any():
        scatter(ax, cells[other], s=size, c=PALE, alpha=0.5, label="other time points")
    for time, colour in zip([*before, *after], SAFE, strict=False):
        chosen = cells[points.elapsed == time]
        scatter(
            ax,
            chosen,
            s=size,
            color=colour,
            alpha=0.8,
            label=f"measured, {format_time(time, unit)}",
        )
    if real.any():
        scatter(
            ax,
            cells[real],
            s=2 * size,
            facecolors="none",
            edgecolors="black",
            linewidths=0.6,
            label=f"measured, {format_time(target, unit)}",
        )
    scatter(
        ax,
        plane.place(predicted.obsm[REPRESENTATION]),
        s=size,
        c=PREDICTED,
        alpha=0.8,
        label=f"predicted, {format_time(target, unit)}",
    )
    plane.frame(ax)
    ax.set_title(f"Cells predicted at {format_time(target, unit)}", fontsize="medium")
    ax.legend(frameon=False, fontsize="small", markerscale=1.8, loc="best")
    note_cautions(ax, read_cautions(adata.uns, FIT), grow=is_own)
    return finish(ax, show=show)
