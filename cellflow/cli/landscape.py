"""`cellflow landscape`."""

from __future__ import annotations

from typing import Any

import rich_click as click

from cellflow.cli import options
from cellflow.cli.outputs import annotate_cells


@click.command(panel=options.GENES)
@options.course
@options.flow
@options.output(metavar="CELLS", help=f"Copy of FILE with potentials; {options.CELLS}.")
@options.time_key
@options.force
@options.device
@options.run_options
def landscape(**given: Any) -> None:
    """Compute the potential of each cell, minus the log-density of the flow at that cell.

    The density starts as a Gaussian at the first time point. The result is a copy of FILE with
    obs cellflow_potential, which is comparable between cells of the same time point.
    """
    annotate_cells("landscape", **given)
