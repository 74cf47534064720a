"""`cellflow velocity`."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from cellflow.cli import options


@click.command()
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
@click.option("--genes", is_flag=True, panel=options.DATA, help="Decode velocities to genes.")
@options.n_neighbors(default=30, help="Neighbours of a cell that its arrow on a plot is made of.")
@options.time_key
@options.force
@options.device
@options.run_options
def velocity(
    file: Path,
    flow_path: Path,
    output: Path,
    basis: tuple[str, ...],
    genes: bool,
    n_neighbors: int,
    time_key: str | None,
    force: bool,
    device: str,
) -> None:
    """Write the velocity of each cell in FILE, per unit of elapsed time, and its arrows on plots.

    The result is a copy of FILE that cellflow plot velocity draws, and that scVelo and CellRank
    read.
    """
    from cellflow import Flow, tl
    from cellflow._files import check_file_target
    from cellflow._log import tell
    from cellflow.io import read_h5ad, write_h5ad
    from cellflow.training import resolve_device

    check_file_target(output, overwrite=force)
    flow = Flow.load(flow_path, device=resolve_device(device))
    adata = read_h5ad(file)
    tl.velocity(adata, flow, basis=basis, genes=genes, n_neighbors=n_neighbors, time_key=time_key)
    write_h5ad(adata, output, overwrite=force)
    tell(f"wrote {output}")
