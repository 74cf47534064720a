"""The figure `pl.animate`: cells moving along a flow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from anndata import AnnData
from matplotlib.animation import FuncAnimation
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from cellflow._checks import check_positive
from cellflow._keys import REPRESENTATION, TIME, TRAJECTORIES, TRAJECTORY, WEIGHT, read_record
from cellflow.io import TimePoints, name_time, time_points_for_result
from cellflow.pl._canvas import (
    PALE,
    PREDICTED,
    canvas,
    dot_size,
    finish,
    scatter,
)
from cellflow.pl._path_groups import check_groups_at, path_colours
from cellflow.pl._plane import Plane
from cellflow.pl._trajectories import read_paths

#: Largest area of a dot, relative to that of a cell of mean weight.
_HEAVIEST = 6.0


def animate(
    adata: AnnData,
    paths: AnnData,
    *,
    groups: str | None = None,
    groups_at: str = "start",
    time_key: str | None = None,
    basis: str | None = None,
    components: tuple[int, int] = (0, 1),
    interval: int = 80,
    ax: Axes | None = None,
    show: bool | None = None,
) -> FuncAnimation:
    """Animate cells along their trajectories, one frame per time of `tl.trajectories`.

    Parameters
    ----------
    adata
        The time course.
    paths
        Result of `tl.trajectories`; with 40 times or more it looks smooth.
    groups
        Column of `obs` to colour by; None draws all cells in one colour.
    groups_at
        As in `pl.trajectories`: `start` or `end` of each path.
    time_key
        Column of `obs` with the times; None uses the one that `pp.time_points` recorded, or one of
        a usual name.
    basis
        As in `pl.trajectories`: an `obsm` key of `adata`, or None.
    components
        Dimensions to draw, counted from 0.
    interval
        Milliseconds per frame.
    ax
        Axes to draw on; None makes a new figure.
    show
        Show the figure; None shows it if the backend is interactive.

    Returns
    -------
    The animation; `pl.save` writes it as `.gif`, `.html`, or as `.mp4` if ffmpeg is installed.
    Dots are moving cells, with areas in proportion to their weights. Measured cells are pale, and
    darker when their time is near.

    Raises
    ------
    InputError
        If `paths` is not a result of `tl.trajectories`, or group, basis or dimension do not exist.
    """
    check_positive(interval, "interval")
    check_groups_at(groups, groups_at)
    representation, followed = read_paths(paths)
    plane = Plane.of(adata, representation, basis, components)
    entry: dict[str, Any] = read_record(paths.uns, TRAJECTORIES)  # type: ignore[assignment]
    ax = canvas(ax)
    points = time_points_for_result(adata, entry, time_key)
    colours = np.tile(to_rgba(PREDICTED, 0.85), (paths.n_obs, 1))
    if groups is not None:
        each = path_colours(
            ax, adata, representation, points, followed, groups, groups_at, marker="o"
        )
        number = paths.obs.groupby(TRAJECTORY, sort=True).ngroup()
        colours = np.array([to_rgba(colour, 0.85) for colour in each])[number]
    film = _Frames.of(ax, adata, paths, plane, points, colours)
    plane.frame(ax)
    times = np.unique(paths.obs[TIME])
    frames = [float(time) for time in (times[::-1] if entry["backward"] else times)]
    film.draw(frames[0])
    figure = ax.get_figure(root=True)
    assert isinstance(figure, Figure)
    animation = FuncAnimation(figure, film.draw, frames=frames, interval=interval)
    finish(ax, show=show)
    return animation


@dataclass(frozen=True)
class _Frames:
    """Contents of the frames.

    Attributes
    ----------
    ax
        Axes to draw on.
    measured
        Dots of the measured cells of each time point.
    dots
        Dots of the moving cells.
    rows
        Rows of the moving cells at each time.
    places, areas, colours
        Positions, dot areas and colours of all moving cells at all times, shapes (n, 2), (n,),
        (n, 4).
    points
        Time points of the time course.
    """

    ax: Axes
    measured: dict[float, PathCollection]
    dots: PathCollection
    rows: dict[float, np.ndarray]
    places: np.ndarray
    areas: np.ndarray
    colours: np.ndarray
    points: TimePoints

    @classmethod
    def of(
        cls,
        ax: Axes,
        adata: AnnData,
        paths: AnnData,
        plane: Plane,
        points: TimePoints,
        colours: np.ndarray,
    ) -> _Frames:
        size = dot_size(adata.n_obs)
        measured = {
            time: scatter(ax, plane.cells[points.elapsed == time], s=size, c=PALE)
            for time in points.times
        }
        rows = {float(time): at for time, at in paths.obs.groupby(TIME).indices.items()}
        weights = paths.obs[WEIGHT].to_numpy()
        counts = paths.obs.groupby(TIME)[WEIGHT].transform("size").to_numpy()
        largest = dot_size(max(len(each) for each in rows.values()))
        return cls(
            ax,
            measured,
            scatter(ax, np.empty((0, 2)), zorder=3),
            rows,
            plane.place(paths.obsm[REPRESENTATION]),
            1.5 * largest * np.clip(weights * counts, 0.1, _HEAVIEST),
            colours,
            points,
        )

    def draw(self, time: float) -> list[Artist]:
        """Draw the frame of one time."""
        mean_interval = float(np.diff(self.points.times).mean())
        for time_point, dots in self.measured.items():
            near = max(0.0, 1 - abs(time - time_point) / mean_interval)
            dots.set_alpha(0.35 + 0.5 * near)
            dots.set_facecolor(_mix_colours(PALE, "#7d828c", near))
        rows = self.rows[time]
        self.dots.set_offsets(self.places[rows])
        self.dots.set_sizes(self.areas[rows])
        self.dots.set_facecolor(list(map(tuple, self.colours[rows])))
        when = name_time(float(f"{time:.4g}"), self.points.unit)
        beyond = not self.points.times[0] <= time <= self.points.times[-1]
        title = self.ax.set_title(
            when + (", beyond the data" if beyond else ""), fontsize="medium", loc="left"
        )
        return [self.dots, title, *self.measured.values()]


def _mix_colours(first: str, second: str, share: float) -> Any:
    """Interpolate between two colours."""
    a, b = np.array(to_rgba(first)), np.array(to_rgba(second))
    return tuple((1 - share) * a + share * b)
