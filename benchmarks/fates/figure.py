"""Draw what `simulated.py` wrote: predicted against true probabilities, and Brier by time.

python benchmarks/fates/figure.py FOLDER FIGURE.png [--methods NAME ...] [--kinds NAME ...]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd

mpl.use("agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

BASE, BEST = "base rate", "the truth itself"
METHODS = ["cellflow, bridge", "cellflow, flow", "cellflow, coupling", "moscot 0.2 + CellRank"]
COLORS = ["#0072b2", "#d55e00", "#e69f00", "#009e73", "#cc79a7"]
FEW = 100

#: Width in inches of a page of a journal, 180 mm, and height of a row of two panels.
WIDTH, HEIGHT = 7.08, 2.9


def main() -> None:
    """Write the figure."""
    options = _arguments()
    folder = Path(options.folder)
    scores = pd.read_csv(folder / "scores.csv")
    curves = pd.read_csv(folder / "reliability.csv")
    colors = dict(zip(options.methods, COLORS, strict=False))
    rows = -(-(1 + len(options.kinds)) // 2)
    figure, grid = plt.subplots(
        rows, 2, figsize=(WIDTH, 0.6 + HEIGHT * rows), layout="constrained", squeeze=False
    )
    axes = list(grid.flat)
    draw_reliability(axes[0], curves, colors)
    for ax, kind in zip(axes[1:], options.kinds, strict=False):
        draw_times(ax, scores[scores["kind"] == kind], colors)
        ax.set_title(kind, fontsize="medium")
    for spare in axes[1 + len(options.kinds) :]:
        spare.remove()
    handles, labels = axes[1].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize="small"
    )
    figure.savefig(options.figure, dpi=150)


def draw_reliability(ax: Axes, curves: pd.DataFrame, colors: dict[str, str]) -> None:
    """Draw the mean true probability of predictions in ten bins, all courses together."""
    ax.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    for method, color in colors.items():
        table = curves[curves["method"] == method]
        places = np.minimum((table["predicted"] * 10).astype(int), 9)
        parts = table[["predicted", "true"]].mul(table["entries"], axis=0)
        sums = parts.assign(entries=table["entries"]).groupby(places).sum()
        sums = sums[sums["entries"] >= FEW]
        x, y = (sums[each] / sums["entries"] for each in ("predicted", "true"))
        ax.plot(x, y, "o-", color=color, markersize=4)
    ax.set(xlabel="predicted probability of a fate", ylabel="mean true probability")
    ax.set_title("all courses", fontsize="medium")


def draw_times(ax: Axes, scores: pd.DataFrame, colors: dict[str, str]) -> None:
    """Draw the Brier score at each start time, mean over seeds, between base rate and truth."""
    means = scores.groupby(["method", "time"])["brier"].mean()
    ax.plot(means[BASE], color="0.3", linestyle="--", label=BASE)
    ax.plot(means[BEST], color="0.6", linestyle=":", label="best possible")
    for method, color in colors.items():
        if method in means.index:
            ax.plot(means[method], "o-", color=color, markersize=4, label=method)
    ax.set(xlabel="start time (days)", ylabel="Brier score of fates (no unit)", ylim=(0, None))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("figure")
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--kinds", nargs="+", default=["late", "three fates", "out of step"])
    return parser.parse_args()


if __name__ == "__main__":
    main()
