"""`cellflow push` and `cellflow pull`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import rich_click as click

from cellflow.cli import following, options
from cellflow.cli.along import follow

if TYPE_CHECKING:
    from anndata import AnnData

_moving = options.together(
    options.course,
    options.flow,
    following.chosen_cells,
    following.time_of_course(
        required=True,
        help="Where to, a number in the unit of the course or a label such as 'day 3'.",
    ),
    options.output(metavar="FILE.h5ad", help="Where the moved cells go."),
    options.time_key,
    options.force,
    following.motion,
    options.seed,
    options.device,
    options.run_options,
)


@click.command()
@_moving
def push(**given: Any) -> None:
    """Move chosen cells of FILE forward to any time.

    The result has their points in obsm X_cellflow, their weights in obs, and, where the
    representation has a way back, decoded expression in X.
    """
    follow("push", told=_count, **given)


@click.command()
@_moving
def pull(**given: Any) -> None:
    """Move chosen cells of FILE backward to any time: where they come from.

    The result is that of cellflow push.
    """
    follow("pull", told=_count, **given)


def _count(moved: AnnData) -> str:
    return f": {moved.n_obs} cells"
