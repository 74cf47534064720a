"""`cellflow growth`."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from cellflow.cli import cell_options, options


@click.command(panel=options.PREPARE)
@options.course
@options.output(metavar="CELLS", help=f"Copy of FILE with growth rates; {options.CELLS}.")
@options.time_key
@options.time_order
@options.force
@click.option(
    "--species",
    type=click.Choice(["human", "mouse"]),
    panel=options.DATA,
    help="Species of the gene symbols. [default: by their case]",
)
@cell_options.gene_symbols
@click.option(
    "--per",
    metavar="UNIT",
    panel=options.DATA,
    help="Unit of time: minute, hour, day, week, month, year, or a number of days. "
    "[default: by the time column]",
)
@options.layer
@click.option(
    "--learned",
    type=options.PATH,
    metavar="FLOW",
    panel=options.DATA,
    help="Use the growth rates that the flow in this folder learned, instead of genes.",
)
@options.run_options
def growth(
    file: Path,
    output: Path,
    time_key: str | None,
    time_order: list[str] | None,
    force: bool,
    species: str | None,
    gene_symbols: str | None,
    per: str | None,
    layer: str | None,
    learned: Path | None,
) -> None:
    """Estimate growth rates of cells, from proliferation and apoptosis genes or from a flow.

    The result is a copy of FILE with rates in obs cellflow_growth, which cellflow fit
    --objective growth reads.
    """
    from cellflow import Flow, pp, tl
    from cellflow._log import log_info
    from cellflow.cli.outputs import check_cells
    from cellflow.io import open_cells, write_copy

    if learned is not None and (species or gene_symbols or per or layer):
        raise click.UsageError(
            "--learned does not use genes; leave out --species, --gene-symbols, --per and --layer"
        )
    check_cells(output, force=force, inputs=[learned])
    flow = None if learned is None else Flow.load(learned)
    adata = open_cells(file)
    options.record_order(adata, time_key, time_order)
    if flow is None:
        pp.growth(
            adata,
            time_key=time_key,
            species=species,
            gene_symbols=gene_symbols,
            per=per,
            layer=layer,
        )
    else:
        tl.growth(adata, flow, time_key=time_key)
    write_copy(adata, file, output, overwrite=force)
    log_info(f"wrote {output}")
