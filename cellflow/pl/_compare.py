"""The figure `pl.compare`: how conditions differ over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from cellflow._checks import check_choice, check_columns
from cellflow._errors import InputError
from cellflow.io import plural_unit
from cellflow.pl._canvas import (
    INK,
    PALE,
    PANELS_ACROSS,
    add_legend_outside,
    finish,
    make_panels,
    wrap_name,
)
from cellflow.pl._colours import default_colours

#: Columns of a comparison, and of one of populations or of means.
_NEEDED = ("condition", "reference", "time")
POPULATION_COLUMNS = (
    *_NEEDED, "statistic", "distance", "expected", "threshold", "p", "permuted", "parted_after",
    "parted_by",
)  # fmt: skip
_OF_MEANS = ("group", "difference", "low", "high", "units")

#: Largest p that is marked as significant.
_ALPHA = 0.05

#: Share of the shortest interval that groups of one time are spread over.
_SPREAD = 0.3

#: Size of a panel in inches.
_PANEL = (4.2, 3.2)
#: Letters in a line of the titles of all panels of a row.
_LETTERS_OF_TITLE = 60

_LABELS = {
    "energy": "energy distance\n(units of the representation)",
    "means": "squared distance of means\n(squared units of the representation)",
}


def compare(
    comparison: pd.DataFrame,
    *,
    conditions: str | Sequence[str] | None = None,
    unit: str | None = None,
    ax: Axes | Sequence[Axes] | None = None,
    show: bool | None = None,
) -> list[Axes]:
    """Draw how conditions differ from their reference over time, one panel per condition.

    Parameters
    ----------
    comparison
        Result of `tl.compare` of populations, fates or growth.
    conditions
        Conditions to draw; None draws all, up to 12.
    unit
        Unit of the times, such as `days`, for the axis; None uses that in the table.
    ax
        Axes to draw on, one per condition; None makes a new figure.
    show
        Show the figure; None shows it if the backend is interactive.

    Returns
    -------
    The axes, one per condition. Of populations: the distance at each time as a line, with full dots
    where p is at most 0.05 and open ones elsewhere; as an area, what 95 of 100 permutations stay
    below at all times; shaded, the interval in which the populations part. Of fates and growth: the
    difference of each group at each time, with its interval.

    Raises
    ------
    InputError
        If columns or a condition are missing, the numbers of conditions and axes differ, or for
        genes, which have no figure.
    """
    check_columns(comparison, _NEEDED, "cellflow.tl.compare")
    if "gene" in comparison:
        raise InputError(
            "a comparison of genes has no figure; draw some of them with cellflow.pl.gene_trends"
        )
    of_means = "difference" in comparison
    check_columns(comparison, _OF_MEANS if of_means else POPULATION_COLUMNS, "cellflow.tl.compare")
    known = [str(name) for name in comparison["condition"].unique()]
    names = (
        known[:12]
        if conditions is None
        else [conditions]
        if isinstance(conditions, str)
        else list(conditions)
    )
    if not names:
        raise InputError("there are no conditions to draw")
    for name in names:
        check_choice(name, known, "condition")
    panels = make_panels(len(names), ax, per="condition", size=_PANEL)
    if unit is None:
        unit = plural_unit(str(comparison["unit"].iloc[0])) if "unit" in comparison else ""
    groups = list(map(str, comparison["group"].unique())) if of_means else ["distance"]
    colours = default_colours(groups)
    for panel, name in zip(panels, names, strict=True):
        part = comparison[comparison["condition"] == name].sort_values("time")
        if of_means:
            _draw_differences(panel, part, colours)
        else:
            _draw_distances(panel, part, colours["distance"])
        title = f"{name} against {part['reference'].iloc[0]}"
        letters = int(_LETTERS_OF_TITLE / min(len(names), PANELS_ACROSS))
        panel.set_title(wrap_name(title, letters), fontsize="medium")
        panel.set_xlabel(f"time ({unit})" if unit else "time")
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel(
        _label_differences(comparison)
        if of_means
        else _LABELS[str(comparison["statistic"].iloc[0])]
    )
    add_legend_outside(panels[min(PANELS_ACROSS, len(panels)) - 1], "")
    finish(panels[0], show=show)
    return panels


def _label_differences(comparison: pd.DataFrame) -> str:
    """Return the quantity of differences: fates and groups are several, rates are one column."""
    if comparison["group"].nunique() > 1:
        return "difference of shares or probabilities"
    unit = str(comparison["unit"].iloc[0]) if "unit" in comparison else "unit of time"
    return f"difference of mean rates\n(per {unit})"


def _draw_distances(ax: Axes, part: pd.DataFrame, colour: str) -> None:
    """Draw distances over time, above what permuted labels give."""
    time, apart = part["time"], part["p"].to_numpy() <= _ALPHA
    permuted = part["permuted"].iloc[0]
    if part["threshold"].notna().any():
        low = part["expected"].clip(upper=part["threshold"])
        ax.fill_between(
            time,
            low.clip(upper=0),
            part["threshold"],
            color=PALE,
            alpha=0.6,
            linewidth=0,
            label=f"95 % of permutations of {permuted}",
        )
    else:
        ax.plot(
            time,
            part["expected"],
            color=INK,
            linewidth=0.8,
            linestyle=":",
            label=f"mean of permutations of {permuted}; too few for p",
        )
    first, last = part["parted_after"].iloc[0], part["parted_by"].iloc[0]
    if pd.notna(first) and pd.notna(last):
        ax.axvspan(first, last, color=colour, alpha=0.12, linewidth=0, label="parting")
    ax.plot(time, part["distance"], color=colour, linewidth=1.6)
    for marks, face, label in ((apart, colour, "p ≤ 0.05"), (~apart, "white", "not significant")):
        ax.plot(
            time[marks],
            part["distance"][marks],
            "o",
            color=colour,
            markerfacecolor=face,
            markersize=4.5,
            label=label,
        )
    ax.axhline(0, color=INK, linewidth=0.6)


def _draw_differences(ax: Axes, part: pd.DataFrame, colours: Mapping[str, str]) -> None:
    """Draw differences of groups over time with their intervals, beside each other."""
    times = np.unique(part["time"])
    gap = np.diff(times).min() if len(times) > 1 else 1.0
    for k, (group, own) in enumerate(part.groupby("group", sort=False)):
        place = own["time"] + _SPREAD * gap * (k - (len(colours) - 1) / 2) / len(colours)
        colour = colours[str(group)]
        ax.plot(place, own["difference"], "o-", color=colour, markersize=4, label=str(group))
        ax.vlines(place, own["low"], own["high"], color=colour, linewidth=1.4)
    ax.axhline(0, color=INK, linewidth=0.6)
