"""`cellflow fates`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import rich_click as click

from cellflow.cli import cell_options, options
from cellflow.cli.outputs import write_cells

if TYPE_CHECKING:
    from anndata import AnnData


@click.command(panel=options.FOLLOW)
@options.course
@options.flow
@cell_options.groups(required=True, help="Column of obs with the groups that are the fates.")
@options.output(metavar="FILE.h5ad", help="Copy of FILE with fates.")
@cell_options.cells(
    help="Cells to estimate fates of: 'column=value', 'column=a,b & day=2', or the name of a cell. "
    "[default: all before --time]",
)
@cell_options.time_of_course(help="Time point at which fates are read. [default: the last]")
@options.time_key
@options.force
@cell_options.descent
@options.seed
@options.device
@options.run_options
def fates(**given: Any) -> None:
    """Estimate the probability of each cell to end in each group.

    The result is a copy of FILE with obsm fate_probabilities, whose columns are named in uns, and
    obs fate_entropy.
    """
    write_cells("fates", summary=_count, **given)


def _count(adata: AnnData) -> str:
    return f": fates of {int(adata.obs['fate_entropy'].notna().sum())} cells"
