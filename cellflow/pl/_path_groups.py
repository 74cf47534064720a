"""Groups and colours of paths, by where they start or by where they end."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib.axes import Axes
from sklearn.neighbors import NearestNeighbors

from cellflow._checks import check_choice
from cellflow._errors import InputError
from cellflow.io import TimePoints, groups_of
from cellflow.pl._canvas import INK, add_legend_outside
from cellflow.pl._colours import group_colours
from cellflow.representation import Representation, points_of

#: Ends of a path that its group can be read at.
GROUPS_AT = ("start", "end")

#: Legend entry of paths without a group.
_NO_GROUP = "no value"

#: Measured cells whose majority is the group of an end; few, so that rare groups are found.
_NEIGHBOURS = 5

#: Paths in the representation, each of shape (t, d), with their times, shape (t,), and the name of
#: the cell that each starts from.
Paths = list[tuple[np.ndarray, np.ndarray, str]]


def check_groups_at(groups: str | None, groups_at: str) -> None:
    """Raise `InputError` for an unknown end of paths, or one without groups."""
    check_choice(groups_at, GROUPS_AT, "groups_at")
    if groups is None and groups_at != GROUPS_AT[0]:
        raise InputError(
            f"groups_at={groups_at!r} requires groups (--groups), a column of obs to colour by"
        )


def path_colours(
    ax: Axes,
    adata: AnnData,
    representation: Representation,
    points: TimePoints,
    paths: Paths,
    groups: str,
    groups_at: str,
    *,
    marker: str = "-",
) -> list[str]:
    """Return the colour of each path by its group, and add a legend to the axes.

    Paths without a group are dark. The group of a path is that of its start cell; or, at its end,
    of most of the 5 measured cells nearest to it, at the time point nearest to its end.

    Raises
    ------
    InputError
        If the column does not exist, or names of cells repeat.
    """
    if groups_at == "start":
        found = _start_groups(adata, groups, [name for _, _, name in paths])
    else:
        found = _end_groups(adata, groups, representation, points, paths)
    colours: Mapping[str, str] = {**group_colours(adata, groups), "": INK}
    for name, colour in colours.items():
        if name in found:
            ax.plot([], [], marker, color=colour, markersize=5, label=name or _NO_GROUP)
    add_legend_outside(ax, groups if groups_at == "start" else f"{groups} at the end")
    return [colours[name] for name in found]


def _start_groups(adata: AnnData, column: str, cells: list[str]) -> list[str]:
    """Return the groups of named cells; empty without a value, and for unknown cells."""
    if not adata.obs_names.is_unique:
        raise InputError(
            "names of cells repeat, so their groups are ambiguous; call "
            "adata.obs_names_make_unique() first"
        )
    return groups_of(adata, column).astype(object).reindex(cells).fillna("").tolist()


def _end_groups(
    adata: AnnData,
    column: str,
    representation: Representation,
    points: TimePoints,
    paths: Paths,
) -> list[str]:
    """Return the group among which each path ends; empty if most cells there have none."""
    groups = groups_of(adata, column)
    names = np.array([*groups.cat.categories, ""], dtype=object)
    members = pd.get_dummies(groups).to_numpy()
    members = np.column_stack([members, ~members.any(axis=1)])
    measured, times = points_of(adata, representation), np.array(points.times)
    ends = np.stack([path[-1] for path, _, _ in paths])
    last = np.array([each[-1] for _, each, _ in paths])
    nearest = times[np.abs(last[:, None] - times).argmin(axis=1)]
    found = np.empty(len(paths), dtype=object)
    for time in np.unique(nearest):
        rows, here = np.flatnonzero(points.elapsed == time), nearest == time
        search = NearestNeighbors(n_neighbors=min(_NEIGHBOURS, len(rows))).fit(measured[rows])
        near = search.kneighbors(ends[here], return_distance=False)
        # Of groups with as many neighbours, the one with the nearer cells.
        votes = np.linspace(1, 0.99, near.shape[1])
        found[here] = names[np.einsum("k,nkg->ng", votes, members[rows][near]).argmax(axis=1)]
    return [str(name) for name in found]
