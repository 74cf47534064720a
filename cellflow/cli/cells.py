"""`cellflow pseudotime`, `cellflow landscape` and `cellflow uncertainty`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rich_click as click

from cellflow.cli import options
from cellflow.cli.along import follow


@click.command()
@options.course
@options.flow
@options.output(metavar="FILE.h5ad", help="Where the copy with pseudotimes goes.")
@click.option(
    "--course",
    "course_path",
    type=options.PATH,
    metavar="FILE.h5ad",
    panel=options.DATA,
    help="Time course that cells of unknown time are placed in. [default: FILE]",
)
@options.n_neighbors(default=30, help="Predicted cells that a mean is taken over.")
@options.time_key
@options.force
@options.seed
@options.device
@options.run_options
def pseudotime(course_path: Path | None, **given: Any) -> None:
    """Write the time of the course at which each cell in FILE is at home.

    The result is a copy of FILE with obs cellflow_pseudotime, and cellflow_path_length, how far a
    cell has come along the flow.
    """
    from cellflow.io import read_h5ad

    course = None if course_path is None else read_h5ad(course_path)
    follow("pseudotime", course=course, **given)


@click.command()
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
    follow("landscape", **given)


@click.command()
@options.course
@click.option(
    "--flow",
    "flow_paths",
    type=options.PATH,
    metavar="FLOW",
    multiple=True,
    required=True,
    panel=options.DATA,
    help="Folder of a fitted flow; repeat for flows of other seeds.",
)
@options.output(metavar="FILE.h5ad", help="Where the copy with uncertainties goes.")
@click.option(
    "--time",
    metavar="TIME",
    panel=options.DATA,
    help="Time that cells are carried to. [default: the last one]",
)
@options.n_neighbors(default=5, help="Measured cells that a distance from data is the mean over.")
@options.time_key
@options.force
@options.device
@options.run_options
def uncertainty(
    file: Path,
    flow_paths: tuple[Path, ...],
    output: Path,
    time: str | None,
    n_neighbors: int,
    time_key: str | None,
    force: bool,
    device: str,
) -> None:
    """Write how far fits disagree on each cell in FILE, and how far from data they take it.

    The result is a copy of FILE with obs cellflow_uncertainty, where there are several flows, and
    cellflow_distance.
    """
    from cellflow import Flow, tl
    from cellflow._files import check_file_target
    from cellflow._log import log_info
    from cellflow.io import read_h5ad, write_h5ad
    from cellflow.training import resolve_device

    check_file_target(output, overwrite=force)
    flows = [Flow.load(path, device=resolve_device(device)) for path in flow_paths]
    adata = read_h5ad(file)
    tl.uncertainty(adata, flows, time=time, n_neighbors=n_neighbors, time_key=time_key)
    write_h5ad(adata, output, overwrite=force)
    log_info(f"wrote {output}")
