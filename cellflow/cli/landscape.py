"""`cellflow landscape`."""

from __future__ import annotations

from typing import Any

import rich_click as click

from cellflow.cli import options
from cellflow.cli.outputs import write_cells


@click.command(panel=options.GENES)
@options.course
@options.flow
@options.output(metavar="FILE.h5ad", help="Where the copy with potentials goes.")
@options.time_key
@options.force
@options.device
@options.run_options
def landscape(**given: Any) -> None:
    """Write how rare each cell in FILE is in what the flow makes of the cells of the first time.

    The result is a copy of FILE with obs cellflow_potential, minus the log-density of each cell at
    its own time; it compares cells of one time.
    """
    write_cells("landscape", **given)
