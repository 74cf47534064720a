"""`cellflow embed`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rich_click as click

from cellflow.cli import options


@click.command()
@options.course
@options.output(metavar="FILE.h5ad", help="Where the embedded copy goes.")
@options.time_key
@options.force
@options.space
@options.run_options
def embed(file: Path, output: Path, time_key: str | None, force: bool, **settings: Any) -> None:
    """Make the representation that flows live in, with its way back to genes.

    Counts are normalised, log-transformed and projected on principal components; other values
    are scaled as they are. The times are read too, and the result is a copy of FILE.
    """
    from cellflow import pp
    from cellflow._files import check_file_target
    from cellflow._log import tell
    from cellflow.io import read_h5ad, time_key_of, write_h5ad

    check_file_target(output, overwrite=force)
    adata = read_h5ad(file)
    pp.time_points(adata, time_key_of(adata, time_key))
    pp.embed(adata, **settings)
    write_h5ad(adata, output, overwrite=force)
    tell(f"wrote {output}")
