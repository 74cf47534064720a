"""`cellflow transitions`."""

from __future__ import annotations

from typing import Any

import rich_click as click

from cellflow.cli import cell_options, options
from cellflow.cli.outputs import write_table


@click.command(panel=options.FOLLOW)
@options.course
@options.flow
@cell_options.groups(required=True, help="Column of obs with the groups.")
@options.table
@options.time_key
@options.force
@cell_options.descent
@options.seed
@options.device
@options.run_options
def transitions(**given: Any) -> None:
    """Tabulate transition probabilities between groups at consecutive time points.

    The probabilities of a source group sum to one over its targets. cellflow plot sankey draws
    the table.
    """
    write_table("transitions", **given)
