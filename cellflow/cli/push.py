"""`cellflow push`."""

from __future__ import annotations

from typing import Any

import rich_click as click

from cellflow.cli import cell_options, options
from cellflow.cli.outputs import write_cells


@click.command(panel=options.FOLLOW)
@cell_options.move_options
def push(**given: Any) -> None:
    """Move selected cells forward to any time.

    The result has the moved cells in obsm X_cellflow, their weights in obs, and decoded expression
    in X if the representation was made from genes.
    """
    write_cells("push", summary=lambda moved: f": {moved.n_obs} cells", **given)
