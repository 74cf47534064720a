"""`cellflow pull`."""

from __future__ import annotations

from typing import Any

import rich_click as click

from cellflow.cli import cell_options, options
from cellflow.cli.outputs import write_cells


@click.command(panel=options.FOLLOW)
@cell_options.move_options
def pull(**given: Any) -> None:
    """Move selected cells backward to any time.

    The result has the same contents as that of cellflow push.
    """
    write_cells("pull", summary=lambda moved: f": {moved.n_obs} cells", **given)
