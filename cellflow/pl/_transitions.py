"""The figure `pl.transitions`: transitions between groups of two times as a matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib.axes import Axes

from cellflow._checks import check_columns, format_list, format_number
from cellflow._errors import InputError
from cellflow.io import TimePoints, detect_unit, name_time, time_points_of
from cellflow.pl._canvas import INK, canvas, finish, wrap_name
from cellflow.pl._colours import group_colours

_NEEDED = ("groups", "source_time", "target_time", "source", "target", "mass")

#: Inches of a cell of the matrix, groups up to which numbers are written, letters of a name.
_CELL, _NUMBERED, _LETTERS = 0.5, 15, 18

#: Probability from which numbers are written in white, since their cell is dark.
_DARK = 0.6


def transitions(
    adata: AnnData,
    transitions: pd.DataFrame,
    *,
    pair: Sequence[float | str] | None = None,
    time_key: str | None = None,
    ax: Axes | None = None,
    show: bool | None = None,
) -> Axes:
    """Draw transitions between the groups of two times as a matrix.

    Parameters
    ----------
    adata
        The time course, for the order of the groups and the names of the times.
    transitions
        Result of `tl.transitions`, forward or backward.
    pair
        The earlier and the later time, as numbers of the table or labels of the column of times;
        None takes the pair that is farthest apart.
    time_key
        Column of `obs` with the times, for their labels and unit; None uses the one that
        `pp.time_points` recorded, or one of a usual name, if there is one.
    ax
        Axes to draw on; None makes a new figure.
    show
        Show the figure; None shows it if the backend is interactive.

    Returns
    -------
    The axes: rows are groups of the earlier time, columns those of the later one. The title says
    whether rows sum to one (forward) or columns (backward). Groups without known descendants or
    ancestors are not in the table, and their row or column is missing.

    Raises
    ------
    InputError
        If columns are missing, the table is empty, the pair is not in it, or `time_key` cannot be
        read.
    """
    check_columns(transitions, _NEEDED, "cellflow.tl.transitions")
    backward = "source_probability" in transitions
    column = "source_probability" if backward else "probability"
    check_columns(transitions, [column], "cellflow.tl.transitions")
    points = _read_times(adata, time_key)
    start, stop = _find_pair(transitions, pair, points)
    chosen = (transitions["source_time"] == start) & (transitions["target_time"] == stop)
    order = {
        name: k for k, name in enumerate(group_colours(adata, str(transitions["groups"].iloc[0])))
    }
    matrix = transitions[chosen].pivot(index="source", columns="target", values=column)
    matrix = matrix.loc[
        sorted(matrix.index, key=lambda name: order.get(name, len(order))),
        sorted(matrix.columns, key=lambda name: order.get(name, len(order))),
    ]
    values = matrix.to_numpy(dtype=float)
    ax = canvas(ax, (2.6 + _CELL * values.shape[1], 1.9 + _CELL * values.shape[0]))
    picture = ax.imshow(values, cmap="Blues", vmin=0, vmax=1)
    for side, names in (("x", matrix.columns), ("y", matrix.index)):
        wrapped = [wrap_name(str(name), _LETTERS) for name in names]
        ax.set(**{f"{side}ticks": range(len(names)), f"{side}ticklabels": wrapped})
        ax.tick_params(axis=side, labelsize="small", length=0)  # type: ignore[arg-type]
    ax.tick_params(axis="x", rotation=90 if max(map(len, matrix.columns)) > 3 else 0)
    ax.spines[:].set_visible(False)
    if max(values.shape) <= _NUMBERED:
        for (row, place), value in np.ndenumerate(values):
            if value >= 0.005:
                colour = "white" if value > _DARK else INK
                ax.text(place, row, f"{value:.2f}", ha="center", va="center", fontsize="x-small",
                        color=colour)  # fmt: skip
    ax.set_ylabel(f"from, at {_name(start, points)}")
    ax.set_xlabel(f"to, at {_name(stop, points)}")
    what = "Ancestors: columns sum to one" if backward else "Descendants: rows sum to one"
    ax.set_title(what, fontsize="medium", loc="left")
    bar = ax.figure.colorbar(picture, ax=ax, shrink=0.8, pad=0.02)
    bar.set_label("probability")
    bar.outline.set_visible(False)
    return finish(ax, show=show)


def _read_times(adata: AnnData, time_key: str | None) -> TimePoints | None:
    """Read the times of the cells; None if no column was named, and none is found or readable."""
    try:
        points = time_points_of(adata, time_key)
    except InputError:
        if time_key is not None:
            raise
        return None
    return points if points.unit else replace(points, unit=detect_unit(adata, time_key))


def _name(time: float, points: TimePoints | None) -> str:
    """Name a time by its label, or by its unit if the label is a number alone."""
    if points is None:
        return name_time(time)
    return points.labels_in_words.get(time) or name_time(time, points.unit)


def _find_pair(
    table: pd.DataFrame, pair: Sequence[float | str] | None, points: TimePoints | None
) -> tuple[float, float]:
    """Return a pair of times of the table: the given one, or the one that is farthest apart."""
    known = table[["source_time", "target_time"]].drop_duplicates()
    pairs = [(float(start), float(stop)) for start, stop in known.to_numpy()]
    if not pairs:
        raise InputError("there are no transitions to draw")
    if pair is None:
        return max(pairs, key=lambda each: each[1] - each[0])
    if isinstance(pair, str) or len(pair) != 2:
        raise InputError(
            f"a pair is an earlier and a later time, as (2, 6) (--pair 2,6), got {pair!r}"
        )
    start, stop = (_to_elapsed(time, points) for time in pair)
    for each in pairs:
        # Tables that were written as text may have lost the last digit.
        if np.allclose(each, (start, stop), rtol=1e-12, atol=1e-12):
            return each
    hint = "; give the earlier time first" if stop < start else ""
    names = (" to ".join(map(format_number, each)) for each in pairs)
    given = " to ".join(map(str, pair))
    raise InputError(f"the table has no pair of times {given}{hint}; valid: {format_list(names)}")


def _to_elapsed(time: float | str, points: TimePoints | None) -> float:
    """Return the elapsed time for a number or a label."""
    if points is not None:
        return points.to_elapsed(time)
    try:
        return float(time)
    except ValueError:
        raise InputError(
            f"{time!r} is not a number, and no column with times of this label was found; name it "
            "with time_key (--time-key)"
        ) from None
