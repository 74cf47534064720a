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
@options.output(metavar="CELLS", help=f"File for the paths; {options.CELLS}.")
@cell_options.cells(
    help="Cells to follow: 'column=value', 'column=\"a & b\",c & day=2', or the name of a cell. "
    "[default: cells of the first time point, or of the last with --backward]",
)
@click.option(
    "--n-cells",
    type=click.IntRange(min=1),
    default=200,
    show_default=True,
    metavar="N",
    panel=options.DATA,
    help="Maximal number of cells, drawn at random.",
)
@cell_options.time_of_course(
    multiple=True,
    help="Time at which to record the cells; repeatable. [default: --n-times times]",
)
@click.option(
    "--n-times",
    type=click.IntRange(min=2),
    default=40,
    show_default=True,
    metavar="N",
    panel=options.DATA,
    help="Number of evenly spaced times up to the end of the flow.",
)
@click.option("--backward", is_flag=True, panel=options.DATA, help="Follow cells backward in time.")
@options.time_key
@options.force
@cell_options.extras
@cell_options.motion
@options.seed
@options.device
@options.run_options
def trajectories(time: tuple[str, ...], n_times: int, **given: Any) -> None:
    """Follow cells along a flow and record them at many times.

    The result has one row per cell and time; obs trajectory numbers the paths. cellflow plot
    trajectories and cellflow plot animation draw it.
    """
    write_cells("trajectories", summary=_count, times=list(time) or n_times, **given)


def _count(paths: AnnData) -> str:
    return f": {paths.obs['trajectory'].nunique()} paths"
