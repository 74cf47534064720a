"""Held-out scores beside their baselines."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from cellflow._checks import check_columns
from cellflow.pl._canvas import INK, PALE, PREDICTED, canvas, finish

#: Column of the table, legend, marker, colour, and how far aside of the time.
_SERIES = (
    ("w1_half_previous", "previous time", "<", PALE, -0.1),
    ("w1_half_next", "next time", ">", PALE, -0.1),
    ("w1_half_midpoint", "OT midpoint, no model", "s", INK, -0.1),
    ("w1_half", "cellflow", "o", PREDICTED, 0.1),
)


def holdout(scores: pd.DataFrame, *, ax: Axes | None = None, show: bool | None = None) -> Axes:
    """Draw the W1 of each held-out time beside the baselines and the reference.

    Parameters
    ----------
    scores
        What `tl.holdout` returned.
    ax
        Axes to draw on; None makes a figure.
    show
        Show the figure at once; None does so where the backend is interactive.

    Returns
    -------
    The axes, with one dot of cellflow for each seed. All values are at half the real cells' number,
    where they compare with the reference, drawn as a dash: one half of the real cells against the
    other.

    Raises
    ------
    InputError
        If columns of a held-out table are missing.
    """
    needed = ["time", "reference", *(column for column, *_ in _SERIES)]
    check_columns(scores, needed, "cellflow.tl.holdout")
    ax = canvas(ax, (max(4.5, 1.5 + 0.8 * scores["time"].nunique()), 4.0))
    times, place = np.unique(scores["time"], return_inverse=True)
    for column, label, marker, colour, aside in _SERIES:
        ax.scatter(
            place + aside,
            scores[column],
            marker=marker,
            s=46,
            color=colour,
            label=label,
            edgecolors="white",
            linewidths=0.6,
            zorder=3,
        )
    ax.hlines(
        scores["reference"],
        place - 0.28,
        place + 0.28,
        color=INK,
        linewidth=1.6,
        label="real half against real half",
    )
    ax.set_xticks(range(len(times)), [f"{time:g}" for time in times])
    ax.set_xlim(-0.6, len(times) - 0.4)
    ax.set_ylim(bottom=0)
    ax.set_xlabel("held-out time")
    ax.set_ylabel("W1 to the real cells (lower is better)")
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="y", color="#eceef2", zorder=0)
    ax.set_axisbelow(True)
    ax.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return finish(ax, show=show)
