"""Figures to files, without a display."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from cellflow._checks import check_choice
from cellflow._files import check_file_target, new_file
from cellflow._log import tell

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Endings that a figure can have.
FORMATS = (".png", ".pdf", ".svg")


def draw(output: Path, plot: Callable[[], Axes], *, force: bool) -> None:
    """Save what `plot` draws, whole or not at all."""
    import matplotlib as mpl

    from cellflow.pl import save

    check_choice(output.suffix, FORMATS, "figure format")
    check_file_target(output, overwrite=force)
    mpl.use("agg")
    axes = plot()
    with new_file(output, overwrite=force) as staged:
        save(axes, staged)
    tell(f"wrote {output}")
