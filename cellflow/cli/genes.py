"""`cellflow gene-trends` and `cellflow drivers`."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from cellflow.cli import options
from cellflow.methods.names import RANKINGS

_genes = click.option(
    "--gene",
    "genes",
    metavar="NAME",
    multiple=True,
    panel=options.DATA,
    help="Gene to look at, repeatable. [default: all]",
)
_by = click.option(
    "--by",
    metavar="KEY",
    panel=options.DATA,
    help="Column of obs with groups, or obsm key with weights of groups, such as "
    "fate_probabilities. [default: all cells together]",
)


@click.command("gene-trends")
@options.course
@options.flow
@options.table
@_genes
@_by
@click.option(
    "--n-times",
    type=click.IntRange(min=1),
    default=40,
    show_default=True,
    panel=options.DATA,
    help="Times from the first to the last; those of the course are added.",
)
@options.start
@options.time_key
@options.force
@options.seed
@options.device
@options.run_options
def gene_trends(
    file: Path,
    flow_path: Path,
    output: Path,
    genes: tuple[str, ...],
    by: str | None,
    n_times: int,
    start: str,
    time_key: str | None,
    force: bool,
    seed: int,
    device: str,
) -> None:
    """Follow genes along a flow: mean and band of each gene, group and time.

    The table is drawn by cellflow plot gene-trends.
    """
    from cellflow import Flow, tl
    from cellflow._log import log_info
    from cellflow.io import check_table_target, read_h5ad, write_table
    from cellflow.training import resolve_device

    check_table_target(output, overwrite=force)
    flow = Flow.load(flow_path, device=resolve_device(device))
    adata = read_h5ad(file)
    trends = tl.gene_trends(
        adata,
        flow,
        genes=genes or None,
        by=by,
        n_times=n_times,
        start=start,
        time_key=time_key,
        rng=seed,
    )
    write_table(trends, output, overwrite=force)
    log_info(f"wrote {output}: {trends['gene'].nunique()} genes")


@click.command()
@options.course
@click.option(
    "--flow",
    "flow_path",
    type=options.PATH,
    metavar="FLOW",
    panel=options.DATA,
    help="Folder of the fitted flow; correlation needs none.",
)
@options.table
@click.option(
    "--method",
    type=click.Choice(list(RANKINGS)),
    default="correlation",
    show_default=True,
    panel=options.DATA,
    help="How genes are ranked; " + options.explained(RANKINGS) + ".",
)
@_genes
@_by
@click.option(
    "--n-top",
    type=click.IntRange(min=1),
    metavar="N",
    panel=options.DATA,
    help="Rows of each group that are kept. [default: all, of jacobian 1,000]",
)
@options.layer
@click.option(
    "--time",
    "times",
    metavar="TIME",
    multiple=True,
    panel=options.DATA,
    help="Time whose cells count, repeatable. [default: all]",
)
@options.time_key
@options.force
@options.device
@options.run_options
def drivers(
    file: Path,
    flow_path: Path | None,
    output: Path,
    method: str,
    genes: tuple[str, ...],
    by: str | None,
    n_top: int | None,
    layer: str | None,
    times: tuple[str, ...],
    time_key: str | None,
    force: bool,
    device: str,
) -> None:
    """Rank the genes that go with a fate, or that a flow changes most."""
    from cellflow import Flow, tl
    from cellflow._log import log_info
    from cellflow.io import check_table_target, read_h5ad, write_table
    from cellflow.training import resolve_device

    check_table_target(output, overwrite=force)
    flow = None if flow_path is None else Flow.load(flow_path, device=resolve_device(device))
    table = tl.drivers(
        read_h5ad(file),
        flow=flow,
        method=method,
        by=by,
        genes=genes or None,
        n_top=n_top,
        layer=layer,
        times=times or None,
        time_key=time_key,
    )
    write_table(table, output, overwrite=force)
    log_info(f"wrote {output}: {len(table)} rows")
