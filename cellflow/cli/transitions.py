"""`cellflow transitions`."""

from __future__ import annotations

from typing import Any

import rich_click as click

from cellflow.cli import cell_options, options
from cellflow.cli.outputs import write_table
from cellflow.methods.names import TIME_PAIRS, TRANSITION_DIRECTIONS


def _read_pairs(
    _context: click.Context, _option: click.Parameter, given: tuple[str, ...]
) -> str | list[tuple[str, ...]]:
    """Return the name of the pairs, or the pairs, as `tl.transitions` takes them."""
    from cellflow._quoting import split_values

    named = [text for text in given if text in TIME_PAIRS]
    if named and len(given) > 1:
        raise click.BadParameter(
            f"{named[0]} stands for several pairs and is given alone, without "
            f"{' or '.join(text for text in given if text != named[0]) or 'a second name'}"
        )
    if named:
        return named[0]
    return [tuple(split_values(text)) for text in given]


@click.command(panel=options.FOLLOW)
@options.course
@options.flow
@cell_options.groups(required=True, help="Column of obs with the groups.")
@options.table
@options.time_key
@options.force
@click.option(
    "--pairs",
    metavar="NAME|TIME,TIME",
    multiple=True,
    default=["consecutive"],
    show_default="consecutive",
    callback=_read_pairs,
    panel=options.DATA,
    help="Pairs of times; "
    + options.describe_choices(TIME_PAIRS)
    + "; or an earlier and a later time, as 2,6 (repeatable; times with commas are quoted).",
)
@click.option(
    "--direction",
    type=click.Choice(list(TRANSITION_DIRECTIONS)),
    default="forward",
    show_default=True,
    panel=options.FIT,
    help="Direction; " + options.describe_choices(TRANSITION_DIRECTIONS) + ".",
)
@cell_options.descent
@options.seed
@options.device
@options.run_options
def transitions(**given: Any) -> None:
    """Tabulate transition probabilities between groups at two time points.

    Forward, column probability sums to one over the targets of a source; backward, column
    source_probability sums to one over the sources of a target. cellflow plot sankey and cellflow
    plot transitions draw the table.
    """
    write_table("transitions", **given)
