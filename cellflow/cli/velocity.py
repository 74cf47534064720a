"""`cellflow velocity`."""

from __future__ import annotations

from typing import Any

import rich_click as click

from cellflow.cli import options
from cellflow.cli.outputs import annotate_cells


@click.command(panel=options.GENES)
@options.course
@options.flow
@options.output(metavar="CELLS", help=f"Copy of FILE with velocities; {options.CELLS}.")
@click.option(
    "--basis",
    metavar="NAME",
    multiple=True,
    panel=options.DATA,
    help="Embedding to project velocities to, such as umap for obsm X_umap; repeatable.",
)
@click.option(
    "--genes", "decode", is_flag=True, panel=options.DATA, help="Decode velocities to genes."
)
@options.n_neighbors(default=30, help="Number of neighbours for the projection to an embedding.")
@click.option(
    "--n-smooth",
    type=click.IntRange(min=1),
    default=30,
    show_default=True,
    metavar="N",
    panel=options.DATA,
    help="Number of nearest cells of the same time to average a velocity over.",
)
@options.time_key
@options.force
@options.device
@options.run_options
def velocity(**given: Any) -> None:
    """Compute the velocity of each cell, per unit of elapsed time.

    The result is a copy of FILE that cellflow plot velocity draws, and that scVelo and CellRank
    can read.
    """
    annotate_cells("velocity", **given)
