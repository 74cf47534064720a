"""The figure `pl.holdout`: scores on held-out times."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes

from cellflow._checks import check_columns
from cellflow.evaluation.cautions import check_scores
from cellflow.evaluation.comparison import COMPARED, average_folds, label_folds
from cellflow.evaluation.replicates import describe_scores
from cellflow.pl._canvas import INK, PALE, PREDICTED, add_notes, canvas, finish

#: Column of the table, label, marker, colour, and horizontal offset.
_SERIES = (
    ("w1_previous", "previous time", "<", PALE, -0.1),
    ("w1_next", "next time", ">", PALE, -0.1),
    ("w1_midpoint", "midpoint baseline", "s", INK, -0.1),
    ("w1", "cellflow", "o", PREDICTED, 0.1),
    ("w1_others", "other replicates", "D", PALE, 0.0),
    ("w1_others_shifted", "others, shifted", "D", INK, 0.0),
    ("w1_nearest", "nearer value", "<", PALE, -0.1),
    ("w1_mixture", "mixture of neighbours", "D", INK, -0.1),
)


def holdout(scores: pd.DataFrame, *, ax: Axes | None = None, show: bool | None = None) -> Axes:
    """Draw the W1 at each held-out time or value, with baselines and reference.

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
    The axes, with one dot per seed. All values are of all scored cells, also the reference, drawn
    as a dash: about what as many fresh cells of the same time would have, and its spread over
    random splits as a band; with `replicate_key`, the distance between replicates is a dotted line,
    and diamonds are the other replicates where one was held out. Of held-out values of a condition
    each dot is the mean over times. Below, sentences say what the
    scores mean (on a figure of its own), and cautions.

    Raises
    ------
    InputError
        If columns are missing.
    """
    check_columns(scores, COMPARED, "cellflow.tl.holdout")
    is_own = ax is None
    table = scores
    if "condition" in scores:
        table = scores.groupby(["condition", "seed"], as_index=False).mean(numeric_only=True)
    folds = average_folds(scores).index
    ax = canvas(ax, (max(5.5, 1.5 + 0.8 * len(folds)), 4.0))
    place = folds.get_indexer(pd.Index(table[str(folds.name)]))
    for column, label, marker, colour, aside in _SERIES:
        if column not in scores:
            continue
        ax.scatter(
            place + aside,
            table[column],
            marker=marker,
            s=46,
            color=colour,
            label=label,
            edgecolors="white",
            linewidths=0.6,
            zorder=3,
        )
    ends = place - 0.28, place + 0.28
    ax.hlines(
        table["w1_reference"], *ends, color=INK, linewidth=1.6, label="reference (fresh cells)"
    )
    for low, high, level, spread in zip(
        *ends, table["w1_reference"], table["w1_reference_sd"], strict=True
    ):
        ax.fill_between([low, high], level - spread, level + spread, color=PALE, alpha=0.4, lw=0)
    if "w1_replicates" in table and table["w1_replicates"].notna().any():
        ax.hlines(
            table["w1_replicates"],
            *ends,
            color=INK,
            linewidth=1.6,
            linestyle=":",
            label="replicates of the time",
        )
    labels = label_folds(scores, folds)
    ax.set_xticks(range(len(folds)), labels)
    ax.set_xlim(-0.6, len(folds) - 0.4)
    ax.set_ylim(bottom=0)
    ax.set_xlabel("held out" if "condition" in scores else "held-out time")
    ax.set_ylabel("W1 to the measured cells, lower is better\n(units of the representation)")
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="y", color="#eceef2", zorder=0)
    ax.set_axisbelow(True)
    ax.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    cautions = check_scores(scores) + list(scores.attrs.get("cautions", ()))
    meaning = describe_scores(scores) if is_own else []
    notes = [*(f"{each}." for each in meaning), *(f"Caution: {each}" for each in cautions)]
    add_notes(ax, notes, grow=is_own)
    return finish(ax, show=show)
