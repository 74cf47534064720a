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
@cell_options.genes
@cell_options.weights
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
def drivers(genes: tuple[str, ...], times: tuple[str, ...], **given: Any) -> None:
    """Rank the genes that go with a fate, or that a flow changes most."""
    write_table("drivers", genes=genes or None, times=times or None, **given)
