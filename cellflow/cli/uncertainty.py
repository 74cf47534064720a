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
