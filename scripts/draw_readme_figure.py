"""Draw the picture of the README from the embedded data: python scripts/draw_readme_figure.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.patches import Polygon

import cellflow as cf
from cellflow.representation import from_context, points_of

TARGET = Path(__file__).parents[1] / "docs" / "images" / "film.png"
#: Times that are left out, as in `cellflow demo`.
LEFT_OUT = (48.0, 60.0)

#: From plane to plane; width, skew and height of a plane.
STEP, WIDTH, SKEW, HEIGHT = 1.25, 1.0, 0.46, 2.0
PREDICTED, REAL, FRAME = "#d1495b", "#222222", "#b5b5b5"
N_PATHS = 60


class Stage:
    """Planes one behind the other, one a time; components 1 and 2 are width and height."""

    def __init__(self, times: np.ndarray, cells: np.ndarray) -> None:
        self.times = times
        low, high = np.quantile(cells[:, :2], [0.003, 0.997], axis=0)
        room = 0.06 * (high - low)
        self.low, self.size = low - room, high - low + 2 * room

    def along(self, time: np.ndarray | float) -> np.ndarray:
        """Number of the plane; times between two of them lie between these."""
        return np.interp(time, self.times, np.arange(len(self.times)))

    def place(self, time: np.ndarray | float, points: np.ndarray) -> np.ndarray:
        """Where points stand on the picture, shape (n, 2)."""
        right, up = ((points[:, :2] - self.low) / self.size).T
        back = 1 - right
        return np.column_stack([STEP * self.along(time) + WIDTH * back, HEIGHT * up + SKEW * back])

    def colour(self, time: np.ndarray | float) -> np.ndarray:
        """Early is dark, late is bright."""
        return colormaps["viridis"](0.94 * self.along(time) / (len(self.times) - 1))


def draw_plane(ax: Axes, stage: Stage, time: float, depth: float) -> None:
    """A frame with its time below it."""
    held = time in LEFT_OUT
    left = STEP * float(stage.along(time))
    sides = np.array([[0, 0], [WIDTH, SKEW], [WIDTH, SKEW + HEIGHT], [0, HEIGHT]])
    frame = Polygon(
        sides + np.array([left, 0]),
        facecolor=(1, 1, 1, 0.6),
        edgecolor=PREDICTED if held else FRAME,
        linewidth=1.0 if held else 0.5,
        zorder=depth,
    )
    ax.add_patch(frame)
    label = f"{time:g} h"
    ax.text(left, -0.1, label, va="top", fontsize=8, color=PREDICTED if held else "black")


def draw_legend(ax: Axes, left: float, ring: dict) -> None:
    """Name the two kinds of points on the planes of left-out times."""
    small = {"va": "center", "fontsize": 6}
    ax.scatter(left + 0.5, -0.2, s=8, **ring)
    ax.text(left + 0.56, -0.2, "left out", color=REAL, **small)
    ax.scatter(left + 0.5, -0.4, s=7, color=PREDICTED, linewidths=0)
    ax.text(left + 0.56, -0.4, "predicted", color=PREDICTED, **small)


def draw_paths(
    ax: Axes, stage: Stage, paths: list, span: tuple[float, float], depth: float
) -> None:
    """The paths of cells between two planes."""
    for times, points in paths:
        inside = (times >= span[0]) & (times <= span[1])
        here = stage.place(times[inside], points[inside])
        colours = stage.colour(times[inside])[1:]
        lines = LineCollection(np.stack([here[:-1], here[1:]], axis=1), colors=colours)
        lines.set(linewidth=0.5, alpha=0.55, zorder=depth)
        ax.add_collection(lines)


def main() -> None:
    """Leave two times out, fit, predict, and draw the course as a row of planes."""
    course = cf.datasets.semrau2017()
    course = course[course.X.getnnz(axis=1) > 0].copy()
    kept = course[~course.obs["time"].isin(LEFT_OUT)].copy()
    cf.pp.embed(kept, n_dims=5, whiten=True)
    flow = cf.tl.fit(kept)
    predicted = {time: cf.tl.interpolate(kept, flow, time).obsm["X_cellflow"] for time in LEFT_OUT}
    times = np.unique(course.obs["time"])
    # Every plane is one of the times on which paths are known.
    dense = np.interp(np.linspace(0, len(times) - 1, 121), np.arange(len(times)), times)
    carried = cf.tl.trajectories(kept, flow, n_cells=N_PATHS, times=list(dense), decode=False)
    paths = [
        (rows.obs["cellflow_time"].to_numpy(), rows.obsm["X_cellflow"])
        for _, rows in (
            (k, carried[carried.obs["trajectory"] == k]) for k in carried.obs["trajectory"].unique()
        )
    ]
    cells = points_of(course, from_context(flow.context))
    stage = Stage(times, cells)

    # The width of a page of a journal, 180 mm.
    fig, ax = plt.subplots(figsize=(7.08, 1.94))
    for k, time in enumerate(times):
        here = stage.place(time, cells[course.obs["time"] == time])
        draw_plane(ax, stage, time, 10 * k)
        if time in LEFT_OUT:
            there = stage.place(time, predicted[time])
            ring = {"facecolors": "none", "edgecolors": REAL, "linewidths": 0.35}
            ax.scatter(*here.T, s=5, **ring, zorder=10 * k + 1)
            ax.scatter(
                *there.T, s=2.5, color=PREDICTED, linewidths=0, alpha=0.85, zorder=10 * k + 2
            )
            if time == LEFT_OUT[0]:
                draw_legend(ax, STEP * k, ring)
        else:
            filled = {"color": stage.colour(time), "linewidths": 0, "alpha": 0.85}
            ax.scatter(*here.T, s=3, **filled, zorder=10 * k + 1)
        if k + 1 < len(times):
            draw_paths(ax, stage, paths, (time, times[k + 1]), 10 * k + 5)
    ax.set(xlim=(-0.05, STEP * (len(times) - 1) + WIDTH + 0.05), ylim=(-0.46, HEIGHT + SKEW + 0.05))
    ax.set_axis_off()
    ax.set_aspect("equal")
    fig.subplots_adjust(0, 0, 1, 1)
    fig.savefig(TARGET, dpi=240)


if __name__ == "__main__":
    main()
