"""Figures to files, without a display."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cellflow._checks import check_choice
from cellflow._files import atomic_file, check_file_target
from cellflow._log import log_info

if TYPE_CHECKING:
    from matplotlib.animation import FuncAnimation
    from matplotlib.axes import Axes

#: Endings that a figure, and those that an animation can have.
FORMATS, FILMS = (".png", ".pdf", ".svg"), (".gif", ".html", ".mp4")


def draw(
    output: Path,
    plot: Callable[[], Axes | FuncAnimation],
    *,
    force: bool,
    formats: Sequence[str] = FORMATS,
) -> None:
    """Save what `plot` draws, whole or not at all."""
    import matplotlib as mpl

    from cellflow.pl import save

    check_choice(output.suffix, formats, "figure format")
    check_file_target(output, overwrite=force)
    mpl.use("agg")
    axes = plot()
    with atomic_file(output, overwrite=force) as staged:
        save(axes, staged)
    log_info(f"wrote {output}")
