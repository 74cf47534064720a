"""`cellflow embed`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rich_click as click

from cellflow.cli import options


@click.command(panel=options.PREPARE)
@options.course
@options.output(metavar="CELLS", help=f"Copy of FILE with the representation; {options.CELLS}.")
@options.time_key
@options.time_order
@options.force
@options.space
@options.cluster
@options.run_options
def embed(
    file: Path,
    output: Path,
    time_key: str | None,
    time_order: list[str] | None,
    force: bool,
    **settings: Any,
) -> None:
    """Compute the representation that flows are fitted in.

    Expression is normalised and log-transformed where it is not yet, and projected on principal
    components. Predictions can be decoded to genes. The times are read too. The result is a copy of
    FILE, an .h5ad file or a zarr store. Expression of more than 1 GB is read in chunks, by Dask.
    """
    from cellflow import pp
    from cellflow._log import log_info
    from cellflow.cli.outputs import check_cells
    from cellflow.io import open_cells, time_key_of, write_copy

    check_cells(output, force=force)
    adata = open_cells(file)
    pp.time_points(adata, time_key_of(adata, time_key), order=time_order)
    pp.embed(adata, **settings)
    write_copy(adata, file, output, overwrite=force)
    log_info(f"wrote {output}")
