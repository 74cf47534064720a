"""Scores of images against what they cost."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes

from cellflow._checks import listed
from cellflow._errors import InputError
from cellflow.pl._canvas import INK, canvas, finish


def image_scores(scores: pd.DataFrame, *, ax: Axes | None = None, show: bool | None = None) -> Axes:
    """Draw the distance from the real images against the evaluations of the velocity.

    Parameters
    ----------
    scores
        What `images.score_flow` returned, for one flow, or for several with a column `name`.
    ax
        Axes to draw on; None makes a figure.
    show
        Show the figure at once; None does so where the backend is interactive.

    Returns
    -------
    The axes: a line for each flow through its solvers with fixed steps, crosses for adaptive
    ones, and a dashed line for real images that were not trained on.

    Raises
    ------
    InputError
        If columns are missing, or no row tells its evaluations.
    """
    needed = ("of", "by", "nfe", "measure", "frechet", "space")
    missing = [column for column in needed if column not in scores]
    if missing or not scores["nfe"].notna().any():
        raise InputError(
            "this is no table of images.score_flow with evaluations of the velocity; "
            f"missing: {listed(missing) or 'values of nfe'}"
        )
    ax = canvas(ax, (5.2, 3.6))
    real = scores[scores["of"] != "generated"]
    # Distances hang on the number of images, so only those of one number stand side by side.
    measure = (real if len(real) else scores)["measure"].iloc[0]
    made = scores[scores["nfe"].notna() & (scores["measure"] == measure)]
    groups = made.groupby("name", sort=False) if "name" in made else [("generated", made)]
    for name, rows in groups:
        fixed = rows[rows["by"].str.contains(":")].sort_values("nfe")
        adaptive = rows[~rows["by"].str.contains(":")]
        (line,) = ax.plot(fixed["nfe"], fixed["frechet"], "o-", markersize=4, label=str(name))
        ax.plot(adaptive["nfe"], adaptive["frechet"], "x", color=line.get_color())
    if len(real):
        ax.axhline(
            real["frechet"].iloc[0], color=INK, linestyle="--", linewidth=1, label="test images"
        )
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlabel("evaluations of the velocity for each image")
    ax.set_ylabel(str(measure))
    ax.set_title(f"distance from the real images, {scores['space'].iloc[0]}", fontsize="medium")
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, fontsize="small")
    return finish(ax, show=show)
