"""The figure `pl.holdout`: scores on held-out times."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from cellflow._checks import check_columns
from cellflow.evaluation.cautions import check_scores
from cellflow.pl._canvas import INK, PALE, PREDICTED, canvas, finish, note_cautions

#: Column of the table, label, marker, colour, and horizontal offset.
_SERIES = (
    ("w1_half_previous", "previous time", "<", PALE, -0.1),
    ("w1_half_next", "next time", ">", PALE, -0.1),
    ("w1_half_midpoint", "midpoint baseline", "s", INK, -0.1),
    ("w1_half", "cellflow", "o", PREDICTED, 0.1),
)


def holdout(scores: pd.DataFrame, *, ax: Axes | None = None, show: bool | None = None) -> Axes:
    """Draw the W1 at each held-out time, with baselines and reference.

    Parameters
    ----------
    scores
        Result of `tl.holdout`.
    ax
        Axes to draw on; None makes a new figure.
    show
        Show the figure; None shows it if the backend is interactive.

    Returns
    -------
    The axes, with one dot per seed. All values are at half size, where they compare with the
    reference, drawn as a dash: one half of the measured cells against the other. Cautions on the
    scores stand below.

    Raises
    ------
    InputError
        If columns are missing.
    """
    needed = ["time", "reference", *(column for column, *_ in _SERIES)]
    check_columns(scores, needed, "cellflow.tl.holdout")
    is_own = ax is None
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
        label="reference (half vs half)",
    )
    ax.set_xticks(range(len(times)), [f"{time:g}" for time in times])
    ax.set_xlim(-0.6, len(times) - 0.4)
    ax.set_ylim(bottom=0)
    ax.set_xlabel("held-out time")
    ax.set_ylabel("W1 to the measured cells (lower is better)")
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="y", color="#eceef2", zorder=0)
    ax.set_axisbelow(True)
    ax.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    note_cautions(ax, scores.attrs.get("cautions", check_scores(scores)), grow=is_own)
    return finish(ax, show=show)
