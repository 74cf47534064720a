"""`cellflow trajectories`."""

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
@options.output(metavar="FILE.h5ad", help="Where the paths go.")
@cell_options.cells(
    help="Which cells to follow: 'column=value', 'column=a,b & day=2', or the name of one. "
    "[default: those of the first time, of the last with --backward]",
)
@click.option(
    "--n-cells",
    type=click.IntRange(min=1),
    default=200,
    show_default=True,
    metavar="N",
    panel=options.DATA,
    help="How many of them at most, drawn at random.",
)
@cell_options.time_of_course(
    multiple=True, help="A time to keep the cells at, repeatable. [default: --n-times of them]"
)
@click.option(
    "--n-times",
    type=click.IntRange(min=2),
    default=40,
    show_default=True,
    metavar="N",
    panel=options.DATA,
    help="How many times to keep the cells at, evenly to the end of the flow.",
)
@click.option("--backward", is_flag=True, panel=options.DATA, help="Follow cells back in time.")
@options.time_key
@options.force
@cell_options.motion
@options.seed
@options.device
@options.run_options
def trajectories(time: tuple[str, ...], n_times: int, **given: Any) -> None:
    """Follow cells of FILE along a flow and keep where they are at many times.

    The result has a row a cell and time, with the number of its path in obs trajectory;
    cellflow plot trajectories and cellflow plot animation draw it.
    """
    write_cells("trajectories", summary=_count, times=list(time) or n_times, **given)


def _count(paths: AnnData) -> str:
    return f": {paths.obs['trajectory'].nunique()} paths"
