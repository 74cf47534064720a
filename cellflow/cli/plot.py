"""`cellflow plot`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rich_click as click

from cellflow.cli import options
from cellflow.cli.plot_genes import gene_trends, growth, velocity

_basis = click.option(
    "--basis",
    metavar="KEY",
    panel=options.DATA,
    help="The obsm key to draw on, such as X_umap. [default: the representation; of fates, the "
    "first usual key]",
)
_starts = click.option(
    "--groups",
    metavar="COLUMN",
    panel=options.DATA,
    help="Column of obs that says the colours, by the cell that a path starts from.",
)


@click.group()
def plot() -> None:
    """Draw predictions, paths, velocities, fates, genes, growth, landscapes, scores and losses."""


for command in (velocity, gene_trends, growth):
    plot.add_command(command)


@plot.command()
@options.course
@click.option(
    "--predicted",
    type=options.PATH,
    metavar="FILE.h5ad",
    required=True,
    panel=options.DATA,
    help="What cellflow interpolate wrote.",
)
@options.figure
@options.time_key
@options.force
@options.run_options
def interpolation(
    file: Path, predicted: Path, output: Path, time_key: str | None, force: bool
) -> None:
    """Draw predicted cells over the snapshots in FILE."""
    from cellflow import pl
    from cellflow.cli.figures import draw
    from cellflow.io import open_cells

    cells = (open_cells(file, [time_key]), open_cells(predicted))
    draw(output, lambda: pl.interpolation(*cells, time_key=time_key, show=False), force=force)


@plot.command()
@options.course
@click.option(
    "--flow",
    "flow_path",
    type=options.PATH,
    metavar="FLOW",
    panel=options.DATA,
    help="Folder of a fitted flow, to follow cells of the first time.",
)
@click.option(
    "--paths",
    type=options.PATH,
    metavar="FILE.h5ad",
    panel=options.DATA,
    help="What cellflow trajectories wrote, in place of a flow.",
)
@options.figure
@options.time_key
@click.option(
    "--n-cells",
    type=click.IntRange(min=1),
    default=80,
    show_default=True,
    panel=options.DATA,
    help="Paths to draw at most.",
)
@_basis
@_starts
@options.force
@options.seed
@options.run_options
def trajectories(
    file: Path,
    flow_path: Path | None,
    paths: Path | None,
    output: Path,
    force: bool,
    seed: int,
    **given: Any,
) -> None:
    """Draw the paths of cells in FILE along a flow."""
    from cellflow import Flow, pl
    from cellflow.cli.figures import draw
    from cellflow.io import read_h5ad

    if (flow_path is None) == (paths is None):
        raise click.UsageError("give either --flow or --paths")
    way = Flow.load(flow_path) if flow_path is not None else read_h5ad(paths)  # type: ignore[arg-type]
    adata = read_h5ad(file)
    draw(output, lambda: pl.trajectories(adata, way, rng=seed, show=False, **given), force=force)


@plot.command()
@options.course
@click.option(
    "--paths",
    type=options.PATH,
    metavar="FILE.h5ad",
    required=True,
    panel=options.DATA,
    help="What cellflow trajectories wrote.",
)
@options.output(metavar="FILM", help="Where it goes: .gif, .html, or .mp4 (needs ffmpeg).")
@options.time_key
@_basis
@_starts
@options.force
@options.run_options
def animation(file: Path, paths: Path, output: Path, force: bool, **given: Any) -> None:
    """Animate cells of FILE on their way."""
    from cellflow import pl
    from cellflow.cli.figures import FILMS, draw
    from cellflow.io import read_h5ad

    cells = (read_h5ad(file), read_h5ad(paths))
    draw(output, lambda: pl.animate(*cells, show=False, **given), force=force, formats=FILMS)


@plot.command()
@options.course
@options.figure
@click.option(
    "--fate",
    "fates",
    multiple=True,
    metavar="NAME",
    panel=options.DATA,
    help="A fate to draw, or entropy; repeatable. [default: all and entropy]",
)
@_basis
@options.force
@options.run_options
def fates(file: Path, output: Path, fates: tuple[str, ...], basis: str | None, force: bool) -> None:
    """Draw the fates that cellflow fates wrote to FILE."""
    from cellflow import pl
    from cellflow.cli.figures import draw
    from cellflow.io import read_h5ad

    adata = read_h5ad(file)
    wanted = list(fates) or None
    draw(output, lambda: pl.fates(adata, fates=wanted, basis=basis, show=False), force=force)


@plot.command()
@options.course
@options.figure
@_basis
@options.force
@options.run_options
def landscape(file: Path, output: Path, basis: str | None, force: bool) -> None:
    """Draw the potential that cellflow landscape wrote to FILE."""
    from cellflow import pl
    from cellflow.cli.figures import draw
    from cellflow.io import read_h5ad

    adata = read_h5ad(file)
    draw(output, lambda: pl.landscape(adata, basis=basis, show=False), force=force)


@plot.command()
@options.course
@click.option(
    "--transitions",
    type=options.PATH,
    metavar="TABLE",
    required=True,
    panel=options.DATA,
    help="What cellflow transitions wrote.",
)
@options.figure
@click.option(
    "--threshold",
    type=click.FloatRange(min=0, max=1, max_open=True),
    default=0.01,
    show_default=True,
    metavar="SHARE",
    panel=options.DATA,
    help="Hide bands of a smaller share of the cells of a time; the figure says how much that is.",
)
@options.force
@options.run_options
def sankey(file: Path, transitions: Path, output: Path, threshold: float, force: bool) -> None:
    """Draw which groups of cells in FILE become which."""
    from cellflow import pl
    from cellflow.cli.figures import draw
    from cellflow.io import read_h5ad, read_table

    adata, table = read_h5ad(file), read_table(transitions)
    draw(output, lambda: pl.sankey(adata, table, threshold=threshold, show=False), force=force)


@plot.command()
@click.argument("scores", type=options.PATH)
@options.figure
@options.force
@options.run_options
def holdout(scores: Path, output: Path, force: bool) -> None:
    """Draw what cellflow holdout wrote to SCORES beside its baselines."""
    from cellflow import pl
    from cellflow.cli.figures import draw
    from cellflow.io import read_scores

    table = read_scores(scores)
    draw(output, lambda: pl.holdout(table, show=False), force=force)


@plot.command()
@options.flow
@options.figure
@options.force
@options.run_options
def loss(flow_path: Path, output: Path, force: bool) -> None:
    """Draw the loss curve of a fitted flow."""
    from cellflow import Flow, pl
    from cellflow.cli.figures import draw

    flow = Flow.load(flow_path)
    draw(output, lambda: pl.loss(flow, show=False), force=force)
