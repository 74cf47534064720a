"""`cellflow ancestors` and `cellflow descendants`."""

from __future__ import annotations

from typing import Any

import rich_click as click

from cellflow.cli import following, options
from cellflow.cli.along import follow

_related = options.together(
    options.course,
    options.flow,
    following.chosen_cells,
    following.time_of_course(required=True, help="Time of the relatives, one of the course."),
    options.output(metavar="FILE.h5ad", help="Where the copy with their weights goes."),
    options.time_key,
    options.force,
    following.descent,
    options.seed,
    options.device,
    options.run_options,
)


@click.command()
@_related
def ancestors(**given: Any) -> None:
    """Find the cells of an earlier time that chosen cells of FILE stem from.

    The result is a copy of FILE with obs cellflow_ancestors, which sums to one.
    """
    follow("ancestors", **given)


@click.command()
@_related
def descendants(**given: Any) -> None:
    """Find the cells of a later time that chosen cells of FILE become.

    The result is a copy of FILE with obs cellflow_descendants, which sums to one.
    """
    follow("descendants", **given)
