"""Paths of single cells along a flow."""

from __future__ import annotations

import numpy as np
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from cellflow._checks import check_positive
from cellflow._random import RNG, seed_of
from cellflow.flow import Flow
from cellflow.io import in_words, time_points_of
from cellflow.pl._canvas import (
    PALE,
    canvas,
    colour_of,
    dot_size,
    finish,
    frame,
    scatter,
    time_bar,
    time_scale,
)
from cellflow.representation import cells_of, check_components, from_context, points_of

#: Points along each path, enough for smooth lines.
_FRAMES = 60


def trajectories(
    adata: AnnData,
    flow: Flow,
    *,
    n_cells: int = 80,
    time_key: str | None = None,
    components: tuple[int, int] = (0, 1),
    rng: RNG = 0,
    ax: Axes | None = None,
    show: bool | None = None,
) -> Axes:
    """Draw the paths of cells of the first time along a flow, coloured by time.

    Parameters
    ----------
    adata
        The time course.
    flow
        The fitted flow.
    n_cells
        Cells of the first time to follow, drawn at random.
    time_key
        Column of `obs` with the times; None takes the one that the flow was fitted to.
    components
        Dimensions to draw, counted from 0.
    rng
        Seed of the draw, or a numpy generator.
    ax
        Axes to draw on; None makes a figure.
    show
        Show the figure at once; None does so where the backend is interactive.

    Returns
    -------
    The axes, with observed cells pale behind the paths.
    """
    check_positive(n_cells, "n_cells")
    representation = from_context(flow.context)
    check_components(representation, components)
    points = time_points_of(adata, time_key or flow.time_key)
    cells = points_of(adata, representation)
    first, _ = points.around(flow.axis.times[0], flow.axis.times)
    start = np.flatnonzero(points.elapsed == first)
    rows = np.random.default_rng(seed_of(rng)).permutation(start)[:n_cells]
    chosen = cells_of(adata, flow.context, rows)
    times = np.linspace(first, flow.axis.times[-1], _FRAMES)
    moved = flow.trajectory(chosen.x, times.tolist(), condition=chosen.condition, n_steps=2)
    paths = moved.x.cpu().numpy()[:, :, list(components)].swapaxes(0, 1)

    ax = canvas(ax)
    scale = time_scale(np.array(points.times))
    scatter(ax, cells[:, list(components)], s=dot_size(len(cells)), c=PALE, alpha=0.5)
    segments = np.stack([paths[:, :-1], paths[:, 1:]], axis=2).reshape(-1, 2, 2)
    colours = np.tile((times[:-1] + times[1:]) / 2, len(paths))
    ax.add_collection(
        LineCollection(
            list(segments), cmap=scale.cmap, norm=scale.norm, array=colours, linewidths=1.1
        )
    )
    scatter(ax, paths[:, 0], s=9, color=colour_of(scale, first), zorder=3)
    frame(ax, "component", components)
    time_bar(ax, scale, in_words(points.unit), np.array(points.times))
    ax.set_title(f"Paths of {len(paths)} cells from time {first:g}", fontsize="medium")
    return finish(ax, show=show)
