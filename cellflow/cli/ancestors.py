"""`cellflow ancestors`."""

from __future__ import annotations

from typing import Any

import rich_click as click

from cellflow.cli import cell_options, options
from cellflow.cli.outputs import annotate_cells


@click.command(panel=options.FOLLOW)
@cell_options.relative_options
def ancestors(**given: Any) -> None:
    """Find the ancestors of selected cells at an earlier time point.

    The result is a copy of FILE with obs cellflow_ancestors, the weight of each cell of that time
    point; weights sum to one.
    """
    annotate_cells("ancestors", **given)
