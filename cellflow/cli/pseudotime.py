"""`cellflow pseudotime`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rich_click as click

from cellflow.cli import options
from cellflow.cli.outputs import write_cells


@click.command(panel=options.GENES)
@options.course
@options.flow
@options.output(metavar="FILE.h5ad", help="Copy of FILE with pseudotimes.")
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
    from cellflow.io import read_h5ad

    course = None if course_path is None else read_h5ad(course_path)
    write_cells("pseudotime", course=course, **given)
