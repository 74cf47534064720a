"""The figure `pl.sankey`: transitions between groups as bands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path

from cellflow._checks import check_columns
from cellflow._errors import InputError
from cellflow._keys import TIME_POINTS, read_record
from cellflow.io import name_time
from cellflow.pl._canvas import INK, WIDEST, canvas, finish, wrap_name
from cellflow.pl._colours import group_colours

_NEEDED = ("groups", "source_time", "target_time", "source", "target", "mass")

#: Width of a column relative to their distance, gap between groups, smallest height of a group
#: inside with a label, height of a label.
_WIDTH, _GAP, _NAMED, _LINE = 0.06, 0.025, 0.025, 0.035

#: Distance of columns in inches, letters that fit into it, and those of a line of a name; inches
#: of the cells of a time point, and smallest height.
_APART, _LETTERS, _LINE_OF_NAME = 1.9, 24, 18
_TALL, _SHORTEST = 3.3, 4.4

#: Smallest hidden fraction that is reported.
_REPORTED = 0.0005


@dataclass
class _Node:
    """Position of a group at a time, and the used length of its left and right edges."""

    top: float
    height: float
    left: float = 0.0
    right: float = 0.0


def sankey(
    adata: AnnData,
    transitions: pd.DataFrame,
    *,
    threshold: float = 0.01,
    ax: Axes | None = None,
    show: bool | None = None,
) -> Axes:
    """Draw transitions between groups at consecutive time points.

    Parameters
    ----------
    adata
        The time course, for the colours and the order of the groups.
    transitions
        Result of `tl.transitions`. Pairs of times that have another between them are not drawn.
    threshold
        Smallest fraction of the cells of a time point that is drawn as a band, and that a group
        needs to be named.
    ax
        Axes to draw on; None makes a new figure.
    show
        Show the figure; None shows it if the backend is interactive.

    Returns
    -------
    The axes. The width of a band is its `mass`, a fraction of the cells of the earlier time point,
    or of the later one in a table of ancestors (`direction="backward"`).
    The height of a group is its fraction of the cells, or the sum of the incoming bands if that is
    larger: predicted and measured fractions may differ. The mass of hidden bands is written under
    each interval.

    Raises
    ------
    InputError
        If columns are missing, the table is empty, or the threshold is not a fraction.
    """
    check_columns(transitions, _NEEDED, "cellflow.tl.transitions")
    if not 0 <= threshold < 1:
        raise InputError(f"threshold must be a fraction, at least 0 and below 1, got {threshold}")
    table = transitions[transitions["mass"] > 0]
    if table.empty:
        raise InputError("there are no transitions to draw")
    colours = group_colours(adata, str(table["groups"].iloc[0]))
    times = sorted({*table["source_time"], *table["target_time"]})
    following = dict(pairwise(times))
    table = table[table["source_time"].map(following) == table["target_time"]]
    order = {name: k for k, name in enumerate(colours)}
    columns = [_column(table, time, order) for time in times]
    # Of many times the columns are closer, and names have more lines.
    closer = min(1.0, WIDEST / (_APART * (len(times) + 0.5)))
    letters, line = _LETTERS * closer, max(8, int(_LINE_OF_NAME * closer))
    margins = [max(_letters(columns[k], line) / letters + 0.15, 0.42) for k in (0, -1)]
    bottom = min(node.top - node.height for nodes in columns for node in nodes.values())
    # Gaps between many groups would leave no room for their names.
    height = max(_SHORTEST, _TALL * (0.19 - bottom))
    ax = canvas(ax, (closer * _APART * (len(times) - 1 + sum(margins)), height))
    unit = str((read_record(adata.uns, TIME_POINTS) or {}).get("unit", ""))
    for k, (time, nodes) in enumerate(zip(times, columns, strict=True)):
        inside = 0 < k < len(times) - 1
        least = max(threshold, _NAMED) if inside else threshold
        _draw_nodes(ax, k, nodes, colours, named=least, left=k == 0, line=line)
        when = name_time(time, unit)
        ax.text(k, 0.03, when, ha="center", va="bottom", fontsize="small", color=INK)
    for k, time in enumerate(times[:-1]):
        bands = table[table["source_time"] == time]
        _draw_bands(ax, k, bands[bands["mass"] >= threshold], columns[k : k + 2], colours, order)
        hidden = bands.loc[bands["mass"] < threshold, "mass"].sum()
        if hidden >= _REPORTED:
            note = f"{hidden:.1%} hidden"
            ax.text(k + 0.5, bottom - 0.02, note, ha="center", va="top", fontsize="x-small")
    ax.set_xlim(-margins[0], len(times) - 1 + margins[1])
    ax.set_ylim(bottom - 0.09, 0.1)
    ax.set_axis_off()
    rest = (
        f"bands below {threshold:.1%} of the cells of a time point are hidden" if threshold else ""
    )
    ax.set_title(f"Transitions between groups\n{rest}".strip(), fontsize="small", loc="left")
    return finish(ax, show=show)


def _letters(names: Iterable[str], width: int) -> int:
    """Return the letters of the longest line of names that are broken at a width."""
    return max(len(line) for name in names for line in wrap_name(name, width).split("\n"))


def _column(table: pd.DataFrame, time: float, order: Mapping[str, int]) -> dict[str, _Node]:
    """Return the groups of a time point, from top to bottom."""
    going = table[table["source_time"] == time].groupby("source")["mass"].sum()
    coming = table[table["target_time"] == time].groupby("target")["mass"].sum()
    heights = pd.concat([going, coming], axis=1).max(axis=1)
    nodes, top = {}, 0.0
    for name in sorted(heights.index.astype(str), key=lambda name: order.get(name, len(order))):
        nodes[name] = _Node(top, float(heights[name]))
        top -= nodes[name].height + _GAP
    return nodes


def _draw_nodes(
    ax: Axes,
    k: int,
    nodes: dict[str, _Node],
    colours: Mapping[str, str],
    *,
    named: float,
    left: bool,
    line: int,
) -> None:
    side, lowest = -1 if left else 1, np.inf
    for name, node in nodes.items():
        bottom = node.top - node.height
        ax.add_patch(
            Rectangle(
                (k - _WIDTH / 2, bottom),
                _WIDTH,
                node.height,
                color=colours.get(name, INK),
                linewidth=0,
                zorder=3,
            )
        )
        if node.height < named:
            continue
        # Names of thin groups would lie on each other.
        label = wrap_name(name, line)
        half = _LINE * (1 + label.count("\n")) / 2
        middle = min(bottom + node.height / 2, lowest - half)
        lowest = middle - half
        text = ax.text(
            k + side * (_WIDTH / 2 + 0.03),
            middle,
            label,
            ha="right" if side < 0 else "left",
            va="center",
            fontsize="x-small",
            color=INK,
            zorder=4,
        )
        text.set_path_effects([patheffects.withStroke(linewidth=2, foreground="white")])


def _draw_bands(
    ax: Axes,
    k: int,
    bands: pd.DataFrame,
    columns: list[dict[str, _Node]],
    colours: Mapping[str, str],
    order: Mapping[str, int],
) -> None:
    place = {name: bands[name].map(lambda each: order.get(each, len(order))) for name in
             ("source", "target")}  # fmt: skip
    rows = bands.assign(**{f"{name}_place": each for name, each in place.items()})
    for row in rows.sort_values(["source_place", "target_place"]).itertuples():
        source, target = columns[0][str(row.source)], columns[1][str(row.target)]
        start, stop = source.top - source.right, target.top - target.left
        mass = float(row.mass)  # type: ignore[arg-type]
        source.right += mass
        target.left += mass
        shape = _band(k + _WIDTH / 2, k + 1 - _WIDTH / 2, start, stop, mass)
        colour = colours.get(str(row.source), INK)
        ax.add_patch(PathPatch(shape, facecolor=colour, alpha=0.45, linewidth=0, zorder=2))


def _band(left: float, right: float, start: float, stop: float, width: float) -> Path:
    """A band that leaves and arrives level."""
    middle = (left + right) / 2
    upper = [(left, start), (middle, start), (middle, stop), (right, stop)]
    lower = [(x, y - width) for x, y in reversed(upper)]
    curve = [Path.CURVE4] * 3
    codes = [Path.MOVETO, *curve, Path.LINETO, *curve, Path.CLOSEPOLY]
    return Path(np.array([*upper, *lower, upper[0]]), codes)
