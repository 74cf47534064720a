"""`cellflow compare`."""

from __future__ import annotations

from typing import Any

import rich_click as click

from cellflow.cli import cell_options, options
from cellflow.cli.completion import complete_column
from cellflow.cli.outputs import write_table
from cellflow.methods.names import COMPARISONS, POPULATION_DISTANCES


@click.command(panel=options.FOLLOW)
@options.course
@click.option(
    "--condition-key",
    metavar="COLUMN",
    required=True,
    shell_complete=complete_column,
    panel=options.DATA,
    help="Column of obs with the conditions.",
)
@options.table
@click.option(
    "--of",
    type=click.Choice(list(COMPARISONS)),
    default="populations",
    show_default=True,
    panel=options.DATA,
    help="What to compare; " + options.describe_choices(COMPARISONS) + ".",
)
@click.option(
    "--by",
    metavar="KEY",
    panel=options.DATA,
    help="For fates, obsm key with the weights of groups, or column of obs with groups; for "
    "growth, column of obs with rates. [default: fate_probabilities; cellflow_growth]",
)
@click.option(
    "--reference",
    metavar="NAME",
    panel=options.DATA,
    help="Condition that each other one is compared with. [default: the first of the column]",
)
@click.option(
    "--replicate-key",
    metavar="COLUMN",
    shell_complete=complete_column,
    panel=options.DATA,
    help="Column of obs with biological replicates, which are then the units of the test. "
    "[default: cells]",
)
@options.use_rep
@click.option(
    "--distance",
    type=click.Choice(list(POPULATION_DISTANCES)),
    default="energy",
    show_default=True,
    panel=options.FIT,
    help="Distance of populations; " + options.describe_choices(POPULATION_DISTANCES) + ".",
)
@click.option(
    "--n-permutations",
    type=click.IntRange(min=1),
    default=999,
    show_default=True,
    metavar="N",
    panel=options.FIT,
    help="Number of permutations.",
)
@click.option(
    "--max-cells",
    type=click.IntRange(min=1),
    default=1000,
    show_default=True,
    metavar="N",
    panel=options.FIT,
    help="Maximum number of cells of each condition and time that distances are computed from.",
)
@cell_options.genes
@options.layer
@click.option(
    "--n-top",
    type=click.IntRange(min=1),
    metavar="N",
    panel=options.DATA,
    help="Number of genes to list per condition and time. [default: all]",
)
@options.time_key
@options.force
@options.seed
@options.run_options
def compare(genes: tuple[str, ...], **given: Any) -> None:
    """Compare the time courses of conditions: when they part, and in what.

    Each condition is compared with the reference at every time of both. cellflow plot compare draws
    the table.
    """
    write_table("compare", flow_path=None, device="cpu", genes=genes or None, **given)
