"""The figure `pl.image_scores`: quality of images against cost."""

from __future__ import annotations

from itertools import cycle

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from cellflow._checks import format_list
from cellflow._errors import InputError
from cellflow.pl._canvas import INK, canvas, finish

#: Largest number of labels for a legend inside the axes.
_INSIDE = 7

#: Line styles of the solvers of a flow.
_DASHES = ("-", "--", ":", "-.")

#: Number of colours, and markers of fixed steps and of adaptive solvers for flows that share them.
_N_COLOURS, _MARKERS = 10, (("o", "x"), ("s", "+"), ("^", "1"))

#: Value of the column `of` for generated images.
_GENERATED = "generated"


def image_scores(scores: pd.DataFrame, *, ax: Axes | None = None, show: bool | None = None) -> Axes:
    """Draw the distance from the real images against the evaluations of the velocity.

    Parameters
    ----------
    scores
        What `images.score_flow` returned, for one flow, or for several with a column `name`.
    ax
        Axes to draw on; None makes a new figure.
    show
        Show the figure; None shows it if the backend is interactive.

    Returns
    -------
    The axes: a line for each flow and solver with fixed steps, crosses for adaptive solvers, and a
    dashed line for real images that were not trained on. Rows of one name and solver, as for
    several seeds, are averaged.

    Raises
    ------
    InputError
        If columns are missing, no row has evaluations, or flows were scored in different spaces or
        on different numbers of images.
    """
    needed = ("of", "by", "nfe", "measure", "frechet", "space")
    missing = [column for column in needed if column not in scores]
    if missing or not scores["nfe"].notna().any():
        raise InputError(
            "scores must be a table of images.score_flow with evaluations of the velocity; "
            f"missing: {format_list(missing) or 'values of nfe'}"
        )
    made, real = _select_comparable(
        scores[scores["nfe"].notna()], scores[scores["of"] != _GENERATED]
    )
    ax = canvas(ax, (5.2, 3.6))
    for k, (name, rows) in enumerate(_flows(made)):
        colour = f"C{k % _N_COLOURS}"
        fixed, cross = _MARKERS[k // _N_COLOURS % len(_MARKERS)]
        lines, adaptive = _lines(rows)
        for dash, (solver, line) in zip(cycle(_DASHES), lines, strict=False):
            label = name if len(lines) == 1 else f"{name}, {solver}"
            ax.plot(line["nfe"], line["frechet"], fixed + dash, markersize=4,
                    color=colour, label=label)  # fmt: skip
        # Legends leave out labels that begin with an underscore.
        label = f"_{name}" if lines else name
        ax.plot(adaptive["nfe"], adaptive["frechet"], cross, color=colour, label=label)
    if len(real):
        ax.axhline(
            real["frechet"].iloc[0], color=INK, linestyle="--", linewidth=1, label="test images"
        )
    _scale(ax)
    ax.set_xlabel("evaluations of the velocity for each image")
    ax.set_ylabel(str(made["measure"].iloc[0]))
    ax.set_title(f"distance from the real images, {made['space'].iloc[0]}", fontsize="medium")
    ax.spines[["top", "right"]].set_visible(False)
    few = len(ax.get_legend_handles_labels()[1]) <= _INSIDE
    beside = None if few else (1.0, 1.0)
    ax.legend(
        loc="best" if few else "upper left",
        bbox_to_anchor=beside,
        frameon=False,
        fontsize="small",
    )
    return finish(ax, show=show)


def _lines(rows: pd.DataFrame) -> tuple[list[tuple[str, pd.DataFrame]], pd.DataFrame]:
    """Return means over seeds: per solver with fixed steps, and of adaptive solvers."""
    means = rows.groupby("by", sort=False, as_index=False)[["nfe", "frechet"]].mean()
    parts = [str(by).split(":") for by in means["by"]]
    means["solver"] = [":".join([name, *numbers[1:]]) for name, *numbers in parts]
    steps = pd.Series([len(part) > 1 for part in parts], index=means.index)
    fixed = means[steps].sort_values("nfe")
    lines = [(str(solver), line) for solver, line in fixed.groupby("solver", sort=False)]
    return lines, means[~steps]


def _flows(scores: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Return the rows of each flow, by name."""
    if "name" not in scores:
        return [("generated", scores)]
    return [(str(name), rows) for name, rows in scores.groupby("name", sort=False)]


def _select_comparable(made: pd.DataFrame, real: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows of flows and of test images that can share an axis.

    Distances depend on the space and on the number of images, so both must be equal; with several
    to choose from, those of test images are used.
    """
    common = set.intersection(*(set(rows["measure"]) for _, rows in _flows(made)))
    known = [measure for measure in [*real["measure"], *made["measure"]] if measure in common]
    if not known or made["space"].nunique() > 1:
        measures = format_list(dict.fromkeys(made["measure"] + " in space " + made["space"]))
        raise InputError(
            f"distances depend on space and number of images, and these differ: {measures}"
        )
    space = made["space"].iloc[0]
    return made[made["measure"] == known[0]], real[
        (real["measure"] == known[0]) & (real["space"] == space)
    ]


def _scale(ax: Axes) -> None:
    """Use logarithmic axes with plain numbers."""
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    for axis, base, subs in ((ax.xaxis, 2, (1,)), (ax.yaxis, 10, (1, 2, 5))):
        axis.set_major_locator(LogLocator(base, subs=subs))
        axis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axis.set_minor_formatter(NullFormatter())
