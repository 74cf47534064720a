"""Options that commands over images share."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from cellflow.cli import options
from cellflow.methods.names import SOLVERS

if TYPE_CHECKING:
    from cellflow.images import ImageSet

data = functools.partial(
    click.option, "--data", metavar="IMAGES", required=True, panel=options.DATA
)
split = click.option(
    "--split",
    type=click.Choice(["auto", "train", "test", "all"]),
    default="auto",
    show_default=True,
    panel=options.DATA,
    help="Which of the images; auto takes those for training where there are such, else all.",
)
size = click.option(
    "--size",
    type=click.IntRange(min=1),
    metavar="PIXELS",
    panel=options.DATA,
    help="Scale and crop to this height and width. [default: as they are]",
)
solver = click.option(
    "--solver",
    type=click.Choice(list(SOLVERS)),
    default="dopri5",
    show_default=True,
    panel=options.RUN,
    help="How the flow is followed; " + options.explained(SOLVERS) + ".",
)
n_steps = click.option(
    "--n-steps",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    metavar="N",
    panel=options.RUN,
    help="Steps of a solver with fixed ones.",
)
tolerance = click.option(
    "--tolerance",
    type=click.FloatRange(min=0, min_open=True),
    default=1e-5,
    show_default=True,
    panel=options.RUN,
    help="Absolute and relative tolerance of an adaptive solver.",
)
batch_size = click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    default=256,
    show_default=True,
    metavar="N",
    panel=options.RUN,
    help="Images that are computed at once.",
)


def read(source: str, split: str, size: int | None = None, label: str | None = None) -> ImageSet:
    """The images that the options name, of one class where one is named."""
    from cellflow import images

    found = images.read(source, split=split, size=size)  # type: ignore[arg-type]
    return found if label is None else found.of_class(label)


def check_figure(path: Path | None, *, force: bool) -> None:
    """Refuse a figure that could not be written in the end."""
    from cellflow.cli.figures import FORMATS

    if path is not None:
        check_output(path, FORMATS, force=force)


def check_output(path: Path, endings: Iterable[str], *, force: bool) -> None:
    """Refuse an output that could not be written in the end."""
    from cellflow._checks import check_choice
    from cellflow._files import check_file_target

    check_choice(path.suffix, tuple(endings), "ending of the output")
    check_file_target(path, overwrite=force)
