"""The figure `pl.trajectories`: paths of single cells along a flow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from cellflow._checks import check_positive
from cellflow._errors import InputError
from cellflow._keys import REPRESENTATION, START_CELL, TIME, TRAJECTORIES, TRAJECTORY, read_record
from cellflow._random import RNG, resolve_seed
from cellflow.flow import Flow
from cellflow.io import (
    TimePoints,
    convert_unit,
    groups_of,
    plural_unit,
    time_points_for_flow,
    time_points_of,
)
from cellflow.pl._canvas import (
    INK,
    PALE,
    add_legend_outside,
    canvas,
    dot_size,
    finish,
    scatter,
    time_bar,
    time_colour,
    time_scale,
)
from cellflow.pl._colours import group_colours
from cellflow.pl._plane import Plane
from cellflow.representation import Representation, cells_of, from_context, read_slots

#: Points along each path, enough for smooth lines.
_FRAMES = 60

#: What a legend calls cells without a group.
NO_GROUP = "no value"

#: Paths in the representation, each of shape (t, d), with their times, shape (t,), and the name of
#: the cell that each starts from.
Paths = list[tuple[np.ndarray, np.ndarray, str]]


def trajectories(
    adata: AnnData,
    flow: Flow | AnnData,
    *,
    n_cells: int = 80,
    time_key: str | None = None,
    basis: str | None = None,
    components: tuple[int, int] = (0, 1),
    groups: str | None = None,
    rng: RNG = 0,
    ax: Axes | None = None,
    show: bool | None = None,
) -> Axes:
    """Draw the paths of cells along a flow, coloured by time or by their starting group.

    Parameters
    ----------
    adata
        The time course.
    flow
        Fitted flow, along which cells of the first time point are followed; or a result of
        `tl.trajectories`.
    n_cells
        Largest number of paths, drawn at random.
    time_key
        Column of `obs` with the times; None uses the one that the flow was fitted to, or that
        `pp.time_points` recorded, or one of a usual name.
    basis
        `obsm` key of `adata`, with or without `X_`, such as `umap`. Each point is placed at the
        mean of its nearest measured cells: an illustration, not a prediction of coordinates. None
        draws two dimensions of the representation.
    components
        Dimensions to draw, counted from 0.
    groups
        Column of `obs` to colour by, read at the first cell of each path; None colours by time.
    rng
        Seed of the draw, or a numpy generator.
    ax
        Axes to draw on; None makes a new figure.
    show
        Show the figure; None shows it if the backend is interactive.

    Returns
    -------
    The axes, with pale measured cells behind the paths and a dot at each start. The title reports
    paths outside the times of the flow.

    Raises
    ------
    InputError
        If basis, group or dimension do not exist, or `flow` has no trajectories.
    """
    check_positive(n_cells, "n_cells")
    generator = np.random.default_rng(resolve_seed(rng))
    if isinstance(flow, Flow):
        representation, beyond = from_context(flow.context), False
        points = time_points_for_flow(adata, flow, time_key)
        paths = _follow_cells(adata, flow, points, n_cells, generator)
    else:
        representation, paths = read_paths(flow)
        entry: dict[str, Any] = read_record(flow.uns, TRAJECTORIES)  # type: ignore[assignment]
        points = convert_unit(time_points_of(adata, time_key), str(entry["unit"]))
        beyond = bool(entry["extrapolated"])
        chosen = np.sort(generator.permutation(len(paths))[:n_cells])
        paths = [paths[k] for k in chosen]
    plane = Plane.of(adata, representation, basis, components)
    ax = canvas(ax)
    scatter(ax, plane.cells, s=dot_size(adata.n_obs), c=PALE, alpha=0.5)
    _draw(ax, adata, plane, paths, points.times, points.unit, groups)
    plane.frame(ax)
    starts = sorted({float(times[0]) for _, times, _ in paths})
    title = f"Paths of {len(paths)} cells from time {', '.join(f'{time:g}' for time in starts)}"
    ax.set_title(title + ("\noutside the times of the flow" if beyond else ""), fontsize="medium")
    return finish(ax, show=show)


def read_paths(cells: AnnData) -> tuple[Representation, Paths]:
    """Return the representation and the paths of a result of `tl.trajectories`.

    Raises
    ------
    InputError
        If `cells` is something else.
    """
    representation = read_slots(cells, REPRESENTATION)
    if read_record(cells.uns, TRAJECTORIES) is None or representation is None:
        raise InputError(
            "paths must be a result of cellflow.tl.trajectories (cellflow trajectories)"
        )
    rows = cells.obs.groupby(TRAJECTORY, sort=True).indices.values()
    points, times = cells.obsm[REPRESENTATION], cells.obs[TIME].to_numpy()
    names = cells.obs[START_CELL].astype(str).to_numpy()
    return representation, [(points[each], times[each], names[each[0]]) for each in rows]


def start_groups(
    adata: AnnData, column: str, cells: list[str]
) -> tuple[Mapping[str, str], list[str]]:
    """Return the colours of the groups of named cells, and the group of each cell.

    Cells without a value, and unknown cells, have an empty group.

    Raises
    ------
    InputError
        If the column does not exist, or names of cells repeat.
    """
    if not adata.obs_names.is_unique:
        raise InputError(
            "names of cells repeat, so their groups are ambiguous; call "
            "adata.obs_names_make_unique() first"
        )
    found = groups_of(adata, column).astype(object).reindex(cells).fillna("").tolist()
    colours = {**group_colours(adata, column), "": INK}
    return {name: colour for name, colour in colours.items() if name in found}, found


def _follow_cells(
    adata: AnnData, flow: Flow, points: TimePoints, n_cells: int, generator: np.random.Generator
) -> Paths:
    """Follow random cells of the first time point along a flow."""
    first, _ = points.around(flow.axis.times[0], flow.axis.times)
    rows = generator.permutation(np.flatnonzero(points.elapsed == first))[:n_cells]
    chosen = cells_of(adata, flow.context, rows)
    times = np.linspace(first, flow.axis.times[-1], _FRAMES)
    moved = flow.trajectory(chosen.x, times.tolist(), condition=chosen.condition, n_steps=2)
    paths = moved.x.cpu().numpy().swapaxes(0, 1)
    return [(path, times, name) for path, name in zip(paths, adata.obs_names[rows], strict=True)]


def _draw(
    ax: Axes,
    adata: AnnData,
    plane: Plane,
    paths: Paths,
    times: tuple[float, ...],
    unit: str,
    groups: str | None,
) -> None:
    ends = np.cumsum([len(path) for path, _, _ in paths])[:-1]
    placed = np.split(plane.place(np.concatenate([path for path, _, _ in paths])), ends)
    segments = [np.stack([line[:-1], line[1:]], axis=1) for line in placed]
    style: dict[str, Any] = {"linewidths": 1.1, "capstyle": "round"}
    starts = np.stack([line[0] for line in placed])
    if groups is None:
        scale = time_scale(np.array([*times, *(each.max() for _, each, _ in paths)]))
        middles = np.concatenate([(each[:-1] + each[1:]) / 2 for _, each, _ in paths])
        ax.add_collection(
            LineCollection(
                list(np.concatenate(segments)),
                cmap=scale.cmap,
                norm=scale.norm,
                array=middles,
                **style,
            )
        )
        colours: list[Any] = [time_colour(scale, float(each[0])) for _, each, _ in paths]
        time_bar(ax, scale, plural_unit(unit), np.array(times))
    else:
        known, named = start_groups(adata, groups, [name for _, _, name in paths])
        colours = [known[name] for name in named]
        for colour, segment in zip(colours, segments, strict=True):
            ax.add_collection(LineCollection(list(segment), color=colour, alpha=0.8, **style))
        for name, colour in known.items():
            ax.plot([], [], color=colour, label=name or NO_GROUP)
        add_legend_outside(ax, groups)
    scatter(ax, starts, s=9, color=colours, zorder=3)
