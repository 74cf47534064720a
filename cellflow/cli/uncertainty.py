"""`cellflow uncertainty`."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from cellflow.cli import options


@click.command(panel=options.GENES)
@options.course
@click.option(
    "--flow",
    "flow_paths",
    type=options.PATH,
    metavar="FLOW",
    multiple=True,
    required=True,
    panel=options.DATA,
    help="Folder of a fitted flow; repeatable, for flows with other seeds.",
)
@options.output(metavar="CELLS", help=f"Copy of FILE with uncertainties; {options.CELLS}.")
@click.option(
    "--time",
    metavar="TIME",
    panel=options.DATA,
    help="Time to move the cells to. [default: the last time point]",
)
@options.n_neighbors(default=5, help="Number of nearest measured cells to average over.")
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
    """Compute how much several flows disagree about each cell, and its distance from data.

    The result is a copy of FILE with obs cellflow_uncertainty, if several flows are given, and
    obs cellflow_distance: the distance from the predicted to measured cells. Flows that differ
    in their seed share errors that do not show as disagreement.
    """
    from cellflow import Flow, tl
    from cellflow._log import log_info
    from cellflow.cli.outputs import check_cells
    from cellflow.io import open_cells, write_copy
    from cellflow.training import resolve_device

    check_cells(output, force=force, inputs=flow_paths)
    target = resolve_device(device)
    flows = [Flow.load(path, device=target) for path in flow_paths]
    adata = open_cells(file)
    tl.uncertainty(adata, flows, time=time, n_neighbors=n_neighbors, time_key=time_key)
    write_copy(adata, file, output, overwrite=force)
    log_info(f"wrote {output}")
