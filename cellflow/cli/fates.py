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
    pairs = [_split_pair(text) for text in given]
    named = [group is not None for group, _ in pairs]
    if any(named) and not all(named):
        raise click.BadParameter("name the group of every time (GROUP=TIME), or of none")
    times: dict[str, list[str]] = {}
    for group, time in pairs:
        times.setdefault(group or "", []).append(time)
    if any(named):
        return times
    return (times[""] if len(given) > 1 else times[""][0]) if given else None


def _split_pair(text: str) -> tuple[str | None, str]:
    """Split `GROUP=TIME`; a time such as `t=4h`, or in quotes, has no group."""
    from cellflow._quoting import is_quoted, split_text, unquote
    from cellflow.io.time_labels import parse_label

    if is_quoted(text) or parse_label(text) is not None:
        return None, unquote(text)
    *group, time = split_text(text, "=")
    if len(group) > 1 and not is_quoted(time) and parse_label(f"{group[-1]}={time}") is not None:
        group, time = group[:-1], f"{group[-1]}={time}"
    return (unquote("=".join(group)) if group else None), unquote(time)


@click.command(panel=options.FOLLOW)
@options.course
@options.flow
@cell_options.groups(
    help="Column of obs with the groups that are the fates. [default: clusters of the last cells]"
)
@options.output(metavar="CELLS", help=f"Copy of FILE with fates; {options.CELLS}.")
@cell_options.cells(
    help="Cells to estimate fates of: 'column=value', 'column=\"a & b\",c & day=2', or the name of "
    "a cell. [default: all until --time]",
)
@cell_options.time_of_course(
    multiple=True,
    callback=_read_end_times,
    metavar="TIME|GROUP=TIME",
    help="Time point at which fates are read; repeatable, also for single groups, as 'Meg=4', "
    "whose cells end there; groups and times with '=' are quoted. [default: the last]",
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
