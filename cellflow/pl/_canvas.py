"""Axes, colours and saving, shared by all figures."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.animation import FuncAnimation, HTMLWriter, writers
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PathCollection
from matplotlib.colors import Normalize

from cellflow._errors import InputError
from cellflow._files import atomic_file, check_ending
from cellflow._log import progress_bar

#: Endings of figures, those that are listed first.
FIGURES = (".png", ".pdf", ".svg")

#: Writer of animations by ending.
ANIMATIONS = {".gif": "pillow", ".mp4": "ffmpeg", ".html": "html"}

#: Colour of predicted cells, distinct from the colours of times.
PREDICTED = "#d1275a"
#: Colours of cells and lines in the background.
PALE = "#c9ccd3"
INK = "#33363f"

_TIMES = "viridis"

#: Letters of the smallest size per inch, and height of a line of them in inches.
_LETTERS, _LINE = 17, 0.16

#: Width in inches of the widest figure: 180 mm, the width of a page of a journal, where letters are
#: printed in the size that they are drawn in.
WIDEST = 7.08

#: Panels in a row.
PANELS_ACROSS = 3

#: Letters in a line of a legend beside the axes, which would become narrow.
LETTERS_OF_LEGEND = 22


def canvas(ax: Axes | None, size: tuple[float, float] = (6.0, 4.6)) -> Axes:
    """Return the given axes, or new ones on a new figure."""
    if ax is not None:
        return ax
    return plt.subplots(figsize=(min(size[0], WIDEST), size[1]), layout="constrained")[1]


def make_panels(
    count: int, ax: Axes | Sequence[Axes] | None, *, per: str, size: tuple[float, float]
) -> list[Axes]:
    """Return the given axes, or new ones on a new figure, three in a row.

    Parameters
    ----------
    count
        Number of panels.
    ax
        Axes to draw on.
    per
        What each panel shows, for messages.
    size
        Width and height of a panel in inches.

    Raises
    ------
    InputError
        If the number of given axes differs.
    """
    if ax is None:
        across = min(PANELS_ACROSS, count)
        down = -(-count // across)
        whole = (min(size[0] * across + 0.8, WIDEST), size[1] * down)
        made = plt.subplots(down, across, figsize=whole, layout="constrained", squeeze=False)[1]
        for spare in made.ravel()[count:]:
            spare.set_axis_off()
        return list(made.ravel()[:count])
    given = [ax] if isinstance(ax, Axes) else list(np.ravel(np.asarray(ax, dtype=object)))
    if len(given) != count:
        raise InputError(f"ax must have one Axes per {per}: {count}, got {len(given)}")
    return given


def note_cautions(ax: Axes, cautions: Sequence[str], *, grow: bool = True) -> None:
    """Write cautions under the figure of the axes, as `add_notes` does."""
    add_notes(ax, [f"Caution: {each}" for each in cautions], grow=grow)


def add_notes(ax: Axes, notes: Sequence[str], *, grow: bool = True) -> None:
    """Write notes under the figure of the axes, wrapped to its width.

    With `grow` the figure becomes higher by their lines.
    """
    if not len(notes):
        return
    figure = ax.get_figure(root=True)
    assert figure is not None
    width = int(figure.get_figwidth() * _LETTERS)
    lines = [line for each in notes for line in textwrap.wrap(each, width)]
    if grow:
        figure.set_figheight(float(figure.get_figheight()) + _LINE * len(lines))
    figure.supxlabel("\n".join(lines), fontsize="x-small", color=INK, x=0.01, ha="left")


def finish(ax: Axes, *, show: bool | None) -> Axes:
    """Show the figure if `show`, or if it is None and the backend is interactive."""
    if show or (show is None and mpl.is_interactive()):
        plt.show()
    return ax


def time_scale(times: np.ndarray) -> ScalarMappable:
    """Return a colour scale for elapsed times."""
    return ScalarMappable(Normalize(float(np.min(times)), float(np.max(times))), cmap=_TIMES)


def scatter(ax: Axes, points: np.ndarray, **style: Any) -> PathCollection:
    """Draw points, shape (n, 2), as dots, without outlines by default."""
    return ax.scatter(points[:, 0], points[:, 1], **{"linewidths": 0, **style})


def time_colour(scale: ScalarMappable, time: float) -> tuple[float, ...]:
    """Return the colour of one time."""
    return tuple(scale.to_rgba(np.array([time]))[0])


def save(ax: Axes | FuncAnimation, path: str | Path) -> None:
    """Write the figure of the axes, or an animation, to a file and close it; atomic.

    Parameters
    ----------
    ax
        Result of a function of `pl`.
    path
        File to write; its ending decides the format. Figures are `.png`, `.pdf`, `.svg`, or another
        format of matplotlib; animations are `.gif`, `.html` (one page that plays them), or `.mp4`
        if ffmpeg is installed. A file that exists is replaced.

    Raises
    ------
    InputError
        For another ending, or if ffmpeg is missing.
    FileError
        If `path` cannot be written.
    """
    path = Path(path)
    if isinstance(ax, FuncAnimation):
        check_animation(path)
        with atomic_file(path, overwrite=True) as staged:
            _save_animation(ax, staged)
        return
    figure = ax.get_figure(root=True)
    assert figure is not None
    formats = [f".{name}" for name in figure.canvas.get_supported_filetypes()]
    check_ending(path, sorted(formats, key=lambda name: name not in FIGURES), "figures")
    with atomic_file(path, overwrite=True) as staged:
        figure.savefig(staged, dpi=150)
    plt.close(figure)


def check_animation(path: Path) -> None:
    """Raise `InputError` for another ending than that of an animation, or a missing writer."""
    check_ending(path, ANIMATIONS, "animations")
    writer = ANIMATIONS[path.suffix]
    if not writers.is_available(writer):
        raise InputError(
            f"{path.suffix} requires {writer}, which is not installed; write .gif or .html instead"
        )


def _save_animation(animation: FuncAnimation, path: Path) -> None:
    writer: str | HTMLWriter = ANIMATIONS[path.suffix]
    if writer == "html":
        speed = 1000 / animation._interval  # type: ignore[attr-defined]
        writer = HTMLWriter(fps=speed, embed_frames=True, default_mode="loop")

    def count(_done: int, total: int) -> None:
        bar.total = total
        bar.update()

    # An HTML page has all frames, whatever their number.
    with (
        progress_bar(0, "draw", "frame") as bar,
        mpl.rc_context({"animation.embed_limit": np.inf}),
    ):
        animation.save(path, writer=writer, dpi=110, progress_callback=count)
    plt.close(animation._fig)  # type: ignore[attr-defined]


def png(ax: Axes) -> bytes:
    """Return the figure of the axes as a PNG and close it."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=150)
    plt.close(figure)
    return image.getvalue()


def frame(ax: Axes, label: str, components: tuple[int, int]) -> None:
    """Label the axes of a scatter plot, without ticks."""
    ax.set_xlabel(f"{label} {components[0] + 1}")
    ax.set_ylabel(f"{label} {components[1] + 1}")
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[["top", "right"]].set_visible(False)


def time_bar(ax: Axes, scale: ScalarMappable, unit: str, times: np.ndarray) -> None:
    """Add a colour bar with ticks at the time points."""
    bar = ax.figure.colorbar(scale, ax=ax, shrink=0.8, pad=0.02)
    bar.set_label(f"time ({unit})" if unit else "time")
    bar.set_ticks(list(times))
    bar.ax.tick_params(labelsize="small")
    bar.outline.set_visible(False)


def wrap_name(name: str, letters: int) -> str:
    """Break a name of a group into lines of at most some letters, between words if it can be."""
    return "\n".join(textwrap.wrap(name, letters, break_on_hyphens=False))


def add_legend_outside(ax: Axes, title: str) -> None:
    """Add a legend to the right of the axes, with long names in several lines."""
    handles, labels = ax.get_legend_handles_labels()
    ax.legend(
        handles,
        [wrap_name(label, LETTERS_OF_LEGEND) for label in labels],
        loc="upper left",
        bbox_to_anchor=(1.0, 1.0),
        frameon=False,
        fontsize="small",
        title=title,
        title_fontsize="small",
    )


def dot_size(n: int) -> float:
    """Return the area of a dot for a plot of `n` cells."""
    return float(np.clip(12_000 / max(n, 1), 2.0, 14.0))
