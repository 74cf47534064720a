"""`cellflow gene-trends`."""

from __future__ import annotations

from typing import Any

import rich_click as click

from cellflow.cli import cell_options, options
from cellflow.cli.outputs import write_table


@click.command("gene-trends", panel=options.GENES)
@options.course
@options.flow
@options.table
@cell_options.genes
@cell_options.weights
@click.option(
    "--n-times",
    type=click.IntRange(min=1),
    default=40,
    show_default=True,
    metavar="N",
    panel=options.DATA,
    help="Number of times from first to last; the measured time points are added.",
)
@options.start
@options.time_key
@options.force
@options.seed
@options.device
@options.run_options
def gene_trends(genes: tuple[str, ...], **given: Any) -> None:
    """Tabulate the expression of genes over time: mean and quantiles per gene, group and time.

    cellflow plot gene-trends draws the table.
    """
    write_table("gene_trends", genes=genes or None, **given)
