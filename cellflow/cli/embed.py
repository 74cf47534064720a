"""`cellflow embed`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from cellflow.cli import cell_options, options

if TYPE_CHECKING:
    from anndata import AnnData


@click.command(panel=options.PREPARE)
@options.course
@options.output(metavar="CELLS", help=f"Copy of FILE with the representation; {options.CELLS}.")
@cell_options.cells(
    help="Cells to keep in the copy: 'column=value', 'column=\"a & b\",c & day=2', or "
    "'column!=value' for all others; nan is a missing value. [default: all]",
)
@options.time_key
@options.time_order
@options.force
@options.space
@options.cluster
@options.run_options
def embed(
    file: Path,
    output: Path,
    cells: str | None,
    time_key: str | None,
    time_order: list[str] | None,
    force: bool,
    **settings: Any,
) -> None:
    """Compute the representation that flows are fitted in.

    Expression is normalised and log-transformed where it is not yet, and projected on principal
    components. Predictions can be decoded to genes. The times are read too. The result is a copy of
    FILE, an .h5ad file or a zarr store; with --cells a part of it, which is read into memory.
    Expression of more than 1 GB is read in chunks, by Dask.
    """
    from cellflow import pp
    from cellflow._log import log_info
    from cellflow.cli.outputs import check_cells
    from cellflow.io import open_cells, time_key_of, write_copy, write_h5ad

    check_cells(output, force=force)
    adata = open_cells(file) if cells is None else _read_part(file, cells)
    pp.time_points(adata, time_key_of(adata, time_key), order=time_order)
    pp.embed(adata, **settings)
    if cells is None:
        write_copy(adata, file, output, overwrite=force)
    else:
        write_h5ad(adata, output, overwrite=force)
    log_info(f"wrote {output}")


def _read_part(file: Path, cells: str) -> AnnData:
    """Read the chosen cells of a file."""
    from cellflow._log import log_info
    from cellflow.io import read_h5ad, select_cells

    adata = read_h5ad(file)
    part = adata[select_cells(adata, cells)].copy()
    log_info(f"{part.n_obs:,} of {adata.n_obs:,} cells are chosen")
    return part
