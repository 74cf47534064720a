"""`cellflow fates`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import rich_click as click

from cellflow.cli import cell_options, options
from cellflow.cli.outputs import annotate_cells

if TYPE_CHECKING:
    from anndata import AnnData


def _read_end_times(
    _context: click.Context, _option: click.Parameter, given: tuple[str, ...]
) -> str | list[str] | dict[str, list[str]] | None:
    """Return one time, several, or the times of each group, as `tl.fates` takes them."""
    pairs = [text.rpartition("=") for text in given]
    named = [bool(equals) for _, equals, _ in pairs]
    if any(named) and not all(named):
        raise click.BadParameter("name the group of every time (GROUP=TIME), or of none")
    if any(named):
        times: dict[str, list[str]] = {}
        for group, _, time in pairs:
            times.setdefault(group.strip(), []).append(time.strip())
        return times
    return (given[0] if len(given) == 1 else list(given)) if given else None


@click.command(panel=options.FOLLOW)
@options.course
@options.flow
@cell_options.groups(
    help="Column of obs with the groups that are the fates. [default: clusters of the last cells]"
)
@options.output(metavar="CELLS", help=f"Copy of FILE with fates; {options.CELLS}.")
@cell_options.cells(
    help="Cells to estimate fates of: 'column=value', 'column=a,b & day=2', or the name of a cell. "
    "[default: all until --time]",
)
@cell_options.time_of_course(
    multiple=True,
    callback=_read_end_times,
    metavar="TIME|GROUP=TIME",
    help="Time point at which fates are read; repeatable, also for single groups, as 'Meg=4', "
    "whose cells end there. [default: the last]",
)
@options.time_key
@options.force
@cell_options.descent
@options.seed
@options.device
@options.run_options
def fates(**given: Any) -> None:
    """Estimate the probability of each cell to end in each group.

    The result is a copy of FILE with obsm fate_probabilities, obs fate_GROUP for each group, and
    obs fate_entropy.
    """
    annotate_cells("fates", summary=_count, **given)


def _count(adata: AnnData) -> str:
    return f": fates of {int(adata.obs['fate_entropy'].notna().sum())} cells"
