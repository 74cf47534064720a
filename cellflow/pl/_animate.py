"""A population in motion."""

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
from cellflow._keys import REPRESENTATION, START_CELL, TIME, TRAJECTORIES, WEIGHT, read_record
from cellflow.io import TimePoints, convert_unit, plural_unit, time_points_of
from cellflow.pl._canvas import (
    PALE,
    PREDICTED,
    beside_legend,
    canvas,
    dot_size,
    finish,
    scatter,
)
from cellflow.pl._plane import Plane
from cellflow.pl._trajectories import NO_GROUP, kept_paths, start_groups

#: Largest area of a dot, in areas of one that counts as the mean.
_HEAVIEST = 6.0


def animate(
    adata: AnnData,
    paths: AnnData,
    *,
    groups: str | None = None,
    time_key: str | None = None,
    basis: str | None = None,
    components: tuple[int, int] = (0, 1),
    interval: int = 80,
    ax: Axes | None = None,
    show: bool | None = None,
) -> FuncAnimation:
    """Animate cells on their way, a frame for each time of `tl.trajectories`.

    Parameters
    ----------
    adata
        The time course.
    paths
        What `tl.trajectories` returned; 40 times or more look smooth.
    groups
        Column of `obs` that says the colours, by the cell that a path starts from.
    time_key
        Column of `obs` with the times; None takes the one that `pp.time_points` recorded, or one of
        a usual name.
    basis
        `obsm` key of `adata` with or without its `X_`, in which points stand at the mean of their
        nearest observed cells; None draws two dimensions of the representation.
    components
        Dimensions to draw, counted from 0.
    interval
        Milliseconds of a frame.
    ax
        Axes to draw on; None makes a figure.
    show
        Show the figure at once; None does so where the backend is interactive.

    Returns
    -------
    The animation; `pl.save` writes it as `.gif`, `.html`, or as `.mp4` where ffmpeg is installed.
    Dots are cells on their way, their areas their weights; observed cells are pale, and darker
    while their time is near.

    Raises
    ------
    InputError
        If `paths` are no trajectories, or there is no such group, basis or dimension.
    """
    check_positive(interval, "interval")
    representation, _ = kept_paths(paths)
    plane = Plane.of(adata, representation, basis, components)
    entry: dict[str, Any] = read_record(paths.uns, TRAJECTORIES)  # type: ignore[assignment]
    ax = canvas(ax)
    points = convert_unit(time_points_of(adata, time_key), str(entry["unit"]))
    film = _Film.of(ax, adata, paths, plane, points, groups)
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
class _Film:
    """What is drawn at each time.

    Attributes
    ----------
    ax
        Where.
    observed
        Dots of the observed cells of each time.
    dots
        Those of the cells on their way.
    rows
        Which of these there are at a time.
    places, areas, colours
        Of all of them at all times, shapes (n, 2), (n,), (n, 4).
    points
        Times of the course.
    """

    ax: Axes
    observed: dict[float, PathCollection]
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
        groups: str | None,
    ) -> _Film:
        size = dot_size(adata.n_obs)
        observed = {
            time: scatter(ax, plane.cells[points.elapsed == time], s=size, c=PALE)
            for time in points.times
        }
        rows = {float(time): at for time, at in paths.obs.groupby(TIME).indices.items()}
        weights = paths.obs[WEIGHT].to_numpy()
        counts = paths.obs.groupby(TIME)[WEIGHT].transform("size").to_numpy()
        largest = dot_size(max(len(each) for each in rows.values()))
        return cls(
            ax,
            observed,
            scatter(ax, np.empty((0, 2)), zorder=3),
            rows,
            plane.place(paths.obsm[REPRESENTATION]),
            1.5 * largest * np.clip(weights * counts, 0.1, _HEAVIEST),
            _coloured(ax, adata, paths, groups),
            points,
        )

    def draw(self, time: float) -> list[Artist]:
        """Show one time."""
        pace = float(np.diff(self.points.times).mean())
        for taken, dots in self.observed.items():
            near = max(0.0, 1 - abs(time - taken) / pace)
            dots.set_alpha(0.35 + 0.5 * near)
            dots.set_facecolor(_mixed(PALE, "#7d828c", near))
        rows = self.rows[time]
        self.dots.set_offsets(self.places[rows])
        self.dots.set_sizes(self.areas[rows])
        self.dots.set_facecolor(list(map(tuple, self.colours[rows])))
        when = f"time {time:.4g} {plural_unit(self.points.unit)}".rstrip()
        beyond = not self.points.times[0] <= time <= self.points.times[-1]
        title = self.ax.set_title(
            when + (", beyond the data" if beyond else ""), fontsize="medium", loc="left"
        )
        return [self.dots, title, *self.observed.values()]


def _coloured(ax: Axes, adata: AnnData, paths: AnnData, groups: str | None) -> np.ndarray:
    """Colour of each row of paths, by the group that it starts in; a legend of these groups."""
    if groups is None:
        return np.tile(to_rgba(PREDICTED, 0.85), (paths.n_obs, 1))
    known, named = start_groups(adata, groups, paths.obs[START_CELL].astype(str).tolist())
    for name, colour in known.items():
        ax.plot([], [], "o", color=colour, markersize=5, label=name or NO_GROUP)
    beside_legend(ax, groups)
    return np.array([to_rgba(known[name], 0.85) for name in named])


def _mixed(first: str, second: str, share: float) -> Any:
    """A colour so far on the way from one to another."""
    a, b = np.array(to_rgba(first)), np.array(to_rgba(second))
    return tuple((1 - share) * a + share * b)
