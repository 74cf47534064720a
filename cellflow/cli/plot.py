"""`cellflow plot`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import rich_click as click

from cellflow.cli import cell_options, options
from cellflow.cli.completion import complete_column, complete_embedding
from cellflow.cli.outputs import ANIMATIONS, write_figure

_basis = click.option(
    "--basis",
    metavar="KEY",
    shell_complete=complete_embedding,
    panel=options.DATA,
    help="Embedding to draw on, such as X_umap. [default: the representation; for fates and "
    "landscape the first of X_umap, X_phate, X_tsne, X_cellflow, X_pca]",
)
_groups = click.option(
    "--groups",
    metavar="COLUMN",
    shell_complete=complete_column,
    panel=options.DATA,
    help="Column of obs that colours paths by their group.",
)
_groups_at = click.option(
    "--groups-at",
    type=click.Choice(["start", "end"]),
    default="start",
    show_default=True,
    panel=options.DATA,
    help="Where the group of a path is read: at its first cell, or among the measured cells where "
    "it ends.",
)
_transitions = click.option(
    "--transitions",
    type=options.PATH,
    metavar="TABLE",
    required=True,
    panel=options.DATA,
    help="Table that cellflow transitions wrote.",
)


def _read_pair(
    _context: click.Context, _option: click.Parameter, given: str | None
) -> tuple[str, ...] | None:
    """Return the two times of a pair."""
    if given is None:
        return None
    from cellflow._quoting import split_values

    pair = tuple(split_values(given))
    if len(pair) != 2:
        raise click.BadParameter(f"{given!r} is not an earlier and a later time, as 2,6")
    return pair


@click.group(panel=options.DRAW)
def plot() -> None:
    """Draw cells, paths, velocities, fates, transitions, genes, growth, scores and loss curves."""


@plot.command()
@options.course
@click.option(
    "--predicted",
    type=options.PATH,
    metavar="FILE.h5ad",
    required=True,
    panel=options.DATA,
    help="File that cellflow interpolate wrote.",
)
@options.figure
@options.time_key
@_basis
@options.force
@options.run_options
def interpolation(file: Path, predicted: Path, time_key: str | None, **given: Any) -> None:
    """Draw predicted cells over the measured cells in FILE."""
    from cellflow.io import open_cells

    cells = (partial(open_cells, file, [time_key]), partial(open_cells, predicted))
    write_figure("interpolation", *cells, time_key=time_key, **given)


@plot.command()
@options.course
@click.option(
    "--flow",
    "flow_path",
    type=options.PATH,
    metavar="FLOW",
    panel=options.DATA,
    help="Folder of a fitted flow, to follow cells of the first time point.",
)
@click.option(
    "--paths",
    type=options.PATH,
    metavar="FILE.h5ad",
    panel=options.DATA,
    help="File that cellflow trajectories wrote, instead of a flow.",
)
@options.figure
@options.time_key
@click.option(
    "--n-cells",
    type=click.IntRange(min=1),
    default=80,
    show_default=True,
    metavar="N",
    panel=options.DATA,
    help="Number of paths to draw at most.",
)
@_basis
@_groups
@_groups_at
@options.force
@options.seed
@options.run_options
def trajectories(
    file: Path, flow_path: Path | None, paths: Path | None, seed: int, **given: Any
) -> None:
    """Draw the paths of cells in FILE along a flow."""
    from cellflow import Flow
    from cellflow.io import open_cells

    followed: Callable[[], Any]
    if flow_path is not None and paths is None:
        followed = partial(Flow.load, flow_path)
    elif paths is not None and flow_path is None:
        followed = partial(open_cells, paths)
    else:
        raise click.UsageError("give either --flow or --paths")
    write_figure("trajectories", partial(open_cells, file), followed, rng=seed, **given)


@plot.command()
@options.course
@click.option(
    "--paths",
    type=options.PATH,
    metavar="FILE.h5ad",
    required=True,
    panel=options.DATA,
    help="File that cellflow trajectories wrote.",
)
@options.output(metavar="FILM", help="Animation to write: .gif, .html, or .mp4 (needs ffmpeg).")
@options.time_key
@_basis
@_groups
@_groups_at
@options.force
@options.run_options
def animation(file: Path, paths: Path, **given: Any) -> None:
    """Animate cells of FILE as they move along their paths."""
    from cellflow.io import open_cells

    cells = (partial(open_cells, file), partial(open_cells, paths))
    write_figure("animate", *cells, formats=ANIMATIONS, **given)


@plot.command()
@options.course
@options.figure
@click.option(
    "--fate",
    "fates",
    multiple=True,
    metavar="NAME",
    panel=options.DATA,
    help="Fate to draw, or entropy; repeatable. [default: all fates and the entropy]",
)
@_basis
@options.force
@options.run_options
def fates(file: Path, fates: tuple[str, ...], **given: Any) -> None:
    """Draw the fate probabilities that cellflow fates wrote to FILE."""
    from cellflow.io import open_cells

    write_figure("fates", partial(open_cells, file), fates=list(fates) or None, **given)


@plot.command()
@options.course
@options.figure
@_basis
@options.force
@options.run_options
def landscape(file: Path, **given: Any) -> None:
    """Draw the potential that cellflow landscape wrote to FILE."""
    from cellflow.io import open_cells

    write_figure("landscape", partial(open_cells, file), **given)


@plot.command()
@options.course
@_transitions
@options.figure
@click.option(
    "--threshold",
    type=click.FloatRange(min=0, max=1, max_open=True),
    default=0.01,
    show_default=True,
    metavar="FRACTION",
    panel=options.DATA,
    help="Hide bands of less than this fraction of the cells of a time point; the figure reports "
    "how much is hidden.",
)
@options.force
@options.run_options
def sankey(file: Path, transitions: Path, **given: Any) -> None:
    """Draw which groups of cells in FILE become which."""
    from cellflow.io import open_cells, read_table

    write_figure("sankey", partial(open_cells, file), partial(read_table, transitions), **given)


@plot.command()
@options.course
@_transitions
@options.figure
@click.option(
    "--pair",
    metavar="TIME,TIME",
    panel=options.DATA,
    callback=_read_pair,
    help="Earlier and later time of the table, as 2,6 or labels (times with commas are quoted). "
    "[default: the pair that is farthest apart]",
)
@options.time_key
@options.force
@options.run_options
def transitions(file: Path, transitions: Path, **given: Any) -> None:
    """Draw transitions between groups of cells in FILE at two times as a matrix."""
    from cellflow.io import open_cells, read_table

    cells, table = partial(open_cells, file), partial(read_table, transitions)
    write_figure("transitions", cells, table, **given)


@plot.command()
@options.course
@options.figure
@click.option(
    "--basis",
    metavar="NAME",
    default="umap",
    show_default=True,
    panel=options.DATA,
    help="Embedding to draw on, such as umap for obsm X_umap.",
)
@click.option(
    "--kind",
    type=click.Choice(["stream", "grid", "quiver"]),
    default="stream",
    show_default=True,
    panel=options.DATA,
    help="Streamlines, arrows on a grid, or arrows of single cells.",
)
@click.option(
    "--color",
    metavar="NAME",
    panel=options.DATA,
    help="Column of obs, or gene, to colour by.",
)
@cell_options.gene_symbols
@options.force
@options.run_options
def velocity(file: Path, kind: str, **given: Any) -> None:
    """Draw the velocities that cellflow velocity wrote to FILE."""
    from cellflow.io import open_cells

    write_figure(f"velocity_{kind}", partial(open_cells, file), **given)


@plot.command("gene-trends")
@click.argument("table", type=options.PATH)
@options.figure
@click.option(
    "--gene",
    "genes",
    metavar="NAME",
    multiple=True,
    panel=options.DATA,
    help="Gene to draw, as in column gene or gene_id; repeatable. [default: the first 12]",
)
@click.option(
    "--unit",
    metavar="UNIT",
    panel=options.DATA,
    help="Unit of the times. [default: that in the table]",
)
@options.force
@options.run_options
def gene_trends(table: Path, genes: tuple[str, ...], **given: Any) -> None:
    """Draw the gene trends in TABLE, which cellflow gene-trends wrote, one panel per gene."""
    from cellflow.io import read_table

    write_figure("gene_trends", partial(read_table, table), genes=genes or None, **given)


@plot.command()
@click.argument("table", type=options.PATH)
@options.figure
@click.option(
    "--condition",
    "conditions",
    metavar="NAME",
    multiple=True,
    panel=options.DATA,
    help="Condition to draw; repeatable. [default: the first 12]",
)
@options.force
@options.run_options
def compare(table: Path, conditions: tuple[str, ...], **given: Any) -> None:
    """Draw the comparison in TABLE, which cellflow compare wrote, one panel per condition."""
    from cellflow.io import read_table

    write_figure("compare", partial(read_table, table), conditions=conditions or None, **given)


@plot.command()
@options.course
@options.figure
@options.time_key
@options.color
@options.force
@options.run_options
def growth(file: Path, **given: Any) -> None:
    """Draw the growth rates that cellflow growth wrote to FILE."""
    from cellflow.io import open_cells

    write_figure("growth", partial(open_cells, file), **given)


@plot.command()
@click.argument("scores", type=options.PATH)
@options.figure
@options.force
@options.run_options
def holdout(scores: Path, **given: Any) -> None:
    """Draw the scores that cellflow holdout wrote to SCORES, with the baselines."""
    from cellflow.io import read_scores

    write_figure("holdout", partial(read_scores, scores), **given)


@plot.command()
@options.flow
@options.figure
@options.force
@options.run_options
def loss(flow_path: Path, **given: Any) -> None:
    """Draw the loss curve of a fitted flow."""
    from cellflow import Flow

    write_figure("loss", partial(Flow.load, flow_path), **given)
