"""`cellflow velocity`."""

from __future__ import annotations

from typing import Any

import rich_click as click

from cellflow.cli import options
from cellflow.cli.outputs import write_cells


@click.command(panel=options.GENES)
@options.course
@options.flow
@options.output(metavar="FILE.h5ad", help="Where the copy with velocities goes.")
@click.option(
    "--basis",
    metavar="NAME",
    multiple=True,
    panel=options.DATA,
    help="Plot that gets arrows, such as umap for obsm X_umap; repeatable.",
)
@click.option(
    "--genes", "decode", is_flag=True, panel=options.DATA, help="Decode velocities to genes."
)
@options.n_neighbors(default=30, help="Neighbours of a cell that its arrow on a plot is made of.")
@options.time_key
@options.force
@options.device
@options.run_options
def velocity(**given: Any) -> None:
    """Write the velocity of each cell in FILE, per unit of elapsed time, and its arrows on plots.

    The result is a copy of FILE that cellflow plot velocity draws, and that scVelo and CellRank
    read.
    """
    write_cells("velocity", **given)
