"""`cellflow drivers`."""

from __future__ import annotations

from typing import Any

import rich_click as click

from cellflow.cli import cell_options, options
from cellflow.cli.outputs import write_table
from cellflow.methods.names import RANKINGS


@click.command(panel=options.GENES)
@options.course
@click.option(
    "--flow",
    "flow_path",
    type=options.PATH,
    metavar="FLOW",
    panel=options.DATA,
    help="Folder of the fitted flow; not needed for correlation.",
)
@options.table
@click.option(
    "--method",
    type=click.Choice(list(RANKINGS)),
    default="correlation",
    show_default=True,
    panel=options.DATA,
    help="Score that genes are ranked by; " + options.describe_choices(RANKINGS) + ".",
)
@cell_options.genes
@cell_options.weights
@click.option(
    "--n-top",
    type=click.IntRange(min=1),
    metavar="N",
    panel=options.DATA,
    help="Number of genes to list per group. [default: all; 1,000 pairs for jacobian]",
)
@options.layer
@click.option(
    "--time",
    "times",
    metavar="TIME",
    multiple=True,
    panel=options.DATA,
    help="Time point to use cells of; repeatable. [default: all]",
)
@options.time_key
@options.force
@options.device
@options.run_options
def drivers(genes: tuple[str, ...], times: tuple[str, ...], **given: Any) -> None:
    """Rank genes by their association with fates, or by their change along a flow.

    Correlations are sorted by group, the largest first: genes that rise with a fate. Rows without a
    correlation are last, and column note says why. The other scores are sorted by absolute value.
    """
    write_table("drivers", genes=genes or None, times=times or None, **given)
