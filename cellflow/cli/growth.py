"""`cellflow growth`."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from cellflow.cli import options


@click.command()
@options.course
@options.output(metavar="FILE.h5ad", help="Where the copy with growth rates goes.")
@options.time_key
@options.force
@click.option(
    "--species",
    type=click.Choice(["human", "mouse"]),
    panel=options.DATA,
    help="Whose gene symbols they are. [default: by their case]",
)
@click.option(
    "--per",
    metavar="UNIT",
    panel=options.DATA,
    help="What one unit of time is: minute, hour, day or week. [default: by the time column]",
)
@click.option("--layer", metavar="NAME", panel=options.DATA, help="Layer with the expression.")
@options.run_options
def growth(
    file: Path,
    output: Path,
    time_key: str | None,
    force: bool,
    species: str | None,
    per: str | None,
    layer: str | None,
) -> None:
    """Estimate how fast cells multiply, from proliferation and apoptosis genes.

    The result is a copy of FILE with rates in obs cellflow_growth, which cellflow fit --growth
    gene-sets reads.
    """
    from cellflow import pp
    from cellflow._files import check_file_target
    from cellflow._log import tell
    from cellflow.io import read_h5ad, write_h5ad

    check_file_target(output, overwrite=force)
    adata = read_h5ad(file)
    pp.growth(adata, time_key=time_key, species=species, per=per, layer=layer)
    write_h5ad(adata, output, overwrite=force)
    tell(f"wrote {output}")
