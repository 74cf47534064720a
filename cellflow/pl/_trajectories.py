"""The figure `pl.trajectories`: paths of single cells along a flow."""

from __future__ import annotations

from typing import Any

import numpy as np
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from cellflow._checks import check_choice, check_positive
from cellflow._errors import InputError
from cellflow._keys import REPRESENTATION, START_CELL, TIME, TRAJECTORIES, TRAJECTORY, read_record
from cellflow._random import RNG, resolve_seed
from cellflow.flow import Flow
from cellflow.io import (
    TimePoints,
    name_times,
    plural_unit,
    time_points_for_flow,
    time_points_for_result,
)
from cellflow.pl._canvas import (
    PALE,
    canvas,
    dot_size,
    finish,
    scatter,
    time_bar,
    time_scale,
)
from cellflow.pl._path_groups import Paths, check_groups_at, path_colours
from cellflow.pl._plane import Plane
from cellflow.representation import (
    Representation,
    cells_of,
    find_basis,
    from_context,
    read_slots,
)

#: Points along each path, enough for smooth lines.
_FRAMES = 60


def trajectories(
    adata: AnnData,
    flow: Flow | AnnData,
    *,
    n_cells: int = 80,
    time_key: str | None = None,
    basis: str | None = None,
    components: tuple[int, int] = (0, 1),
    groups: str | None = None,
    groups_at: str = "start",
    rng: RNG = 0,
    ax: Axes | None = None,
    show: bool | None = None,
) -> Axes:
    """Draw the paths of cells along a flow, coloured by time, or by the group at an end of each.

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
        `obsm` key of `adata`, with or without `X_`, such as `umap`. Unless it is an affine map of
        the representation, each point is placed at a weighted mean of its 15 nearest measured
        cells, as the figure says: an illustration, not a prediction of coordinates. None draws two
        dimensions of the representation.
    components
        Dimensions to draw, counted from 0.
    groups
        Column of `obs` to colour by, with the colours of `uns["<groups>_colors"]`; None colours by
        time.
    groups_at
        `start` reads the group of a path at its first cell; `end` takes that of most of the 5
        measured cells nearest to its end, at the nearest time. A deterministic path has one end,
        which is not a probability: see `tl.fates`.
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
    check_groups_at(groups, groups_at)
    if groups is not None:
        check_choice(groups, [str(name) for name in adata.obs], "obs column")
    if basis is not None:
        find_basis(adata, basis)
    generator = np.random.default_rng(resolve_seed(rng))
    if isinstance(flow, Flow):
        representation, beyond, certain = from_context(flow.context), False, True
        points = time_points_for_flow(adata, flow, time_key)
        paths = _follow_cells(adata, flow, points, n_cells, generator)
    else:
        representation, paths = read_paths(flow)
        entry: dict[str, Any] = read_record(flow.uns, TRAJECTORIES)  # type: ignore[assignment]
        points = time_points_for_result(adata, entry, time_key)
        beyond, certain = bool(entry["extrapolated"]), "n_samples" not in entry
        chosen = np.sort(generator.permutation(len(paths))[:n_cells])
        paths = [paths[k] for k in chosen]
    plane = Plane.of(adata, representation, basis, components)
    ax = canvas(ax)
    scatter(ax, plane.cells, s=dot_size(adata.n_obs), c=PALE, alpha=0.5)
    if groups is None:
        _draw(ax, plane, paths, _time_colours(ax, paths, points))
    else:
        colours = path_colours(ax, adata, representation, points, paths, groups, groups_at)
        _draw(ax, plane, paths, [[colour] for colour in colours], alpha=0.8)
    plane.frame(ax)
    starts = sorted({float(each[0]) for _, each, _ in paths})
    lines = [f"Paths of {len(paths)} cells from {name_times(starts, points.unit)}"]
    if beyond:
        lines.append("outside the times of the flow")
    if groups_at == "end" and certain:
        lines.append("a flow has one end for each cell,\nwhich is not its probability")
    ax.set_title("\n".join(lines), fontsize="medium")
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


def _follow_cells(
    adata: AnnData, flow: Flow, points: TimePoints, n_cells: int, generator: np.random.Generator
) -> Paths:
    """Follow random cells of the first time point along a flow."""
    first, _ = points.around(flow.axis.times[0], flow.axis.times)
    rows = generator.permutation(np.flatnonzero(points.elapsed == first))[:n_cells]
    chosen = cells_of(adata, flow.context, rows)
    times = np.linspace(first, flow.axis.times[-1], _FRAMES)
    moved = flow.trajectory(chosen.x, times.tolist(), condition=chosen.condition)
    paths = moved.x.cpu().numpy().swapaxes(0, 1)
    return [(path, times, name) for path, name in zip(paths, adata.obs_names[rows], strict=True)]


def _time_colours(ax: Axes, paths: Paths, points: TimePoints) -> list[Any]:
    """Return the colours of the segments of each path by their times, and add a colour bar."""
    scale = time_scale(np.array([*points.times, *(each.max() for _, each, _ in paths)]))
    time_bar(ax, scale, plural_unit(points.unit), np.array(points.times))
    return [scale.to_rgba((each[:-1] + each[1:]) / 2) for _, each, _ in paths]


def _draw(ax: Axes, plane: Plane, paths: Paths, colours: list[Any], **style: Any) -> None:
    """Draw paths in colours, one for each segment or one for all, with a dot at each start."""
    ends = np.cumsum([len(path) for path, _, _ in paths])[:-1]
    placed = np.split(plane.place(np.concatenate([path for path, _, _ in paths])), ends)
    for line, colour in zip(placed, colours, strict=True):
        segments = list(np.stack([line[:-1], line[1:]], axis=1))
        lines = LineCollection(segments, color=colour, linewidths=1.1, capstyle="round", **style)
        ax.add_collection(lines)
    starts = np.stack([line[0] for line in placed])
    scatter(ax, starts, s=9, color=[colour[0] for colour in colours], zorder=3)
