"""`cellflow push`."""

from __future__ import annotations

from typing import Any

import rich_click as click

from cellflow.cli import cell_options, options
from cellflow.cli.outputs import write_cells


@click.command(panel=options.FOLLOW)
@cell_options.moving
def push(**given: Any) -> None:
    """Move chosen cells of FILE forward to any time.

    The result has their points in obsm X_cellflow, their weights in obs, and, where the
    representation has a way back, decoded expression in X.
    """
    write_cells("push", summary=lambda moved: f": {moved.n_obs} cells", **given)
