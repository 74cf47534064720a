"""`cellflow plot`."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from cellflow.cli import options

_figure = options.output(metavar="FIGURE", help="Where the figure goes: .png, .pdf or .svg.")


@click.group()
def plot() -> None:
    """Draw predictions, paths, scores and loss curves."""


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
@_figure
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
@options.flow
@_figure
@options.time_key
@click.option(
    "--n-cells",
    type=click.IntRange(min=1),
    default=80,
    show_default=True,
    panel=options.DATA,
    help="Cells of the first time to follow.",
)
@options.force
@options.seed
@options.run_options
def trajectories(
    file: Path,
    flow_path: Path,
    output: Path,
    time_key: str | None,
    n_cells: int,
    force: bool,
    seed: int,
) -> None:
    """Draw the paths of cells in FILE along a flow."""
    from cellflow import Flow, pl
    from cellflow.cli.figures import draw
    from cellflow.io import open_cells

    flow, adata = Flow.load(flow_path), open_cells(file, [time_key])
    draw(
        output,
        lambda: pl.trajectories(
            adata, flow, n_cells=n_cells, time_key=time_key, rng=seed, show=False
        ),
        force=force,
    )


@plot.command()
@click.argument("scores", type=options.PATH)
@_figure
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
@_figure
@options.force
@options.run_options
def loss(flow_path: Path, output: Path, force: bool) -> None:
    """Draw the loss curve of a fitted flow."""
    from cellflow import Flow, pl
    from cellflow.cli.figures import draw

    flow = Flow.load(flow_path)
    draw(output, lambda: pl.loss(flow, show=False), force=force)
