"""The figure `pl.benchmark`: methods compared on held-out times."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cellflow._checks import check_columns, format_list
from cellflow._errors import InputError
from cellflow.pl._canvas import INK, PALE, PREDICTED, WIDEST, finish

#: Colour of a method by its role.
_COLOURS = {"model": PREDICTED, "external": "#2b6cb0", "baseline": "#8d929c"}
_LABELS = {"model": "cellflow", "external": "other package", "baseline": "baseline without a model"}

_NEEDED = ("data", "time", "method", "role", "w1", "w1_reference", "protocol", "n_dims")

#: Height in inches per method, and of title and labels of a panel.
_LINE, _AROUND = 0.22, 1.05
#: Largest number of panels per row, width in inches of one without names, and of a letter of these.
_ABREAST, _WIDTH, _LETTER = 3, 1.45, 0.075


def benchmark(table: pd.DataFrame, *, ax: Axes | None = None, show: bool | None = None) -> Axes:
    """Draw the W1 of each method relative to the midpoint baseline, one panel per data set.

    Parameters
    ----------
    table
        Result of `tl.benchmark`.
    ax
        Axes to draw a single data set on; None makes a figure with one panel per data set.
    show
        Show the figure; None shows it if the backend is interactive.

    Returns
    -------
    The axes of the first panel. Pale dots are held-out times, means over seeds; full dots are means
    over times. Values are W1 of all scored cells, divided by that of the midpoint baseline: 1 is
    the midpoint, lower is better. The dashed line is the reference, about what as many fresh cells
    of the same time would have. Methods are sorted by their means.

    Raises
    ------
    InputError
        If columns are missing, there are no scores, or several data sets for one `ax`.
    """
    check_columns(table, _NEEDED, "cellflow.tl.benchmark")
    scored = table[table["w1"].notna()]
    parts = [(str(name), _relative(part)) for name, part in scored.groupby("data", sort=False)]
    if not parts:
        raise InputError(
            "there are no scores to draw because every fit failed; see the column error"
        )
    if ax is not None and len(parts) > 1:
        raise InputError(
            f"one ax can show one data set, got {format_list(name for name, _ in parts)}; "
            "leave ax out"
        )
    panels = _panels([part["method"].unique() for _, part in parts]) if ax is None else [ax]
    for panel, (name, part) in zip(panels, parts, strict=True):
        _draw(panel, name, part)
    _legend(panels[0], scored, outside=ax is None)
    return finish(panels[0], show=show)


def _relative(part: pd.DataFrame) -> pd.DataFrame:
    """Divide the scores of one data set by those of the midpoint, per method and time."""
    shown = ["protocol", "n_dims", "role", "w1", "w1_reference"]
    kinds = dict.fromkeys(shown, "first") | {"w1": "mean"}
    means = part.groupby(["method", "time"], sort=False, as_index=False).agg(kinds)
    middle = means[means["method"] == "midpoint"].set_index("time")["w1"]
    base = means["time"].map(middle)
    return means.assign(w1=means["w1"] / base, reference=means["w1_reference"] / base)


def _panels(methods: list[np.ndarray]) -> list[Axes]:
    """Make panels in rows, as many in a row as the names of methods leave room for."""
    names = _LETTER * max(len(str(name)) for each in methods for name in each)
    columns = int(np.clip(WIDEST // (_WIDTH + names), 1, min(_ABREAST, len(methods))))
    lines = [len(each) for each in methods]
    rows = [lines[k : k + columns] for k in range(0, len(lines), columns)]
    heights = [_AROUND + _LINE * max(row) for row in rows]
    _, axes = plt.subplots(
        len(rows),
        columns,
        figsize=(min(0.6 + 4.2 * columns, WIDEST), sum(heights) + 0.35),
        height_ratios=heights,
        squeeze=False,
        layout="constrained",
    )
    for spare in axes.flat[len(lines) :]:
        spare.remove()
    return list(axes.flat[: len(lines)])


def _draw(ax: Axes, name: str, part: pd.DataFrame) -> None:
    means = part.groupby("method")["w1"].mean().sort_values(ascending=False)
    roles = part.groupby("method")["role"].first()
    place = {str(method): k for k, method in enumerate(means.index)}
    ax.axvline(1, color=PALE, linewidth=1, zorder=1)
    ax.axvline(part["reference"].mean(), color=INK, linestyle="--", linewidth=1.1, zorder=1)
    for role, colour in _COLOURS.items():
        rows = part[part["role"] == role]
        heights = rows["method"].map(place)
        ax.scatter(rows["w1"], heights, s=22, color=colour, alpha=0.32, linewidths=0, zorder=2)
        methods = [str(method) for method in means.index if roles[method] == role]
        ax.scatter(
            means[methods],
            [place[method] for method in methods],
            s=44,
            color=colour,
            edgecolors="white",
            linewidths=0.7,
            zorder=3,
        )
    ax.set_yticks(range(len(place)), list(place))
    for label in ax.get_yticklabels():
        if roles[label.get_text()] == "baseline":
            label.set_color(_COLOURS["baseline"])
    ax.set_ylim(-0.7, len(place) - 0.3)
    ax.grid(axis="y", color="#eceef2", zorder=0)
    ax.set_axisbelow(True)
    ax.tick_params(labelsize="small", left=False)
    ax.spines[["top", "right", "left"]].set_visible(False)
    first = part.iloc[0]
    dims = "" if pd.isna(first["n_dims"]) else f", {first['n_dims']}-D"
    ax.set_title(f"{name}\n{first['protocol']}{dims}", fontsize="medium", loc="left")
    ax.set_xlabel("W1 relative to\nthe midpoint baseline", fontsize="small")


def _legend(ax: Axes, table: pd.DataFrame, *, outside: bool) -> None:
    """Draw one legend for all panels."""
    for role in [role for role in _LABELS if role in set(table["role"])]:
        ax.scatter([], [], s=44, color=_COLOURS[role], label=_LABELS[role])
    ax.scatter([], [], s=22, color=INK, alpha=0.32, linewidths=0, label="one held-out time")
    ax.plot([], [], color=PALE, linewidth=1, label="midpoint baseline")
    ax.plot(
        [],
        [],
        color=INK,
        linestyle="--",
        linewidth=1.1,
        label="reference (fresh cells)",
    )
    figure = ax.get_figure(root=True)
    if outside and isinstance(figure, Figure):
        count = len(ax.get_legend_handles_labels()[1])
        figure.legend(
            loc="outside lower left",
            ncols=int(np.clip(figure.get_figwidth() // 1.9, 2, count)),
            frameon=False,
            fontsize="small",
        )
    else:
        ax.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
