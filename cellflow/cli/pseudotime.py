"""`cellflow pseudotime`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rich_click as click

from cellflow.cli import options
from cellflow.cli.outputs import annotate_cells, check_cells


@click.command(panel=options.GENES)
@options.course
@options.flow
@options.output(metavar="CELLS", help=f"Copy of FILE with pseudotimes; {options.CELLS}.")
@click.option(
    "--course",
    "course_path",
    type=options.PATH,
    metavar="FILE.h5ad",
    panel=options.DATA,
    help="Time course to place the cells of FILE in. [default: FILE]",
)
@options.n_neighbors(default=100, help="Number of predicted cells to average over.")
@options.time_key
@options.force
@options.seed
@options.device
@options.run_options
def pseudotime(course_path: Path | None, **given: Any) -> None:
    """Compute a pseudotime: the time at which the flow predicts cells like this one.

    The result is a copy of FILE with obs cellflow_pseudotime and cellflow_path_length, the length
    of the path along the flow up to the cell.
    """
    from cellflow.io import open_cells

    check_cells(given["output"], force=given["force"], inputs=[course_path])
    course = None if course_path is None else open_cells(course_path)
    annotate_cells("pseudotime", course=course, **given)
