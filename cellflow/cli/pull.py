"""`cellflow pull`."""

from __future__ import annotations

from typing import Any

import rich_click as click

from cellflow.cli import cell_options, options
from cellflow.cli.outputs import write_cells


@click.command(panel=options.FOLLOW)
@cell_options.moving
def pull(**given: Any) -> None:
    """Move chosen cells of FILE backward to any time: where they come from.

    The result is that of cellflow push.
    """
    write_cells("pull", summary=lambda moved: f": {moved.n_obs} cells", **given)
