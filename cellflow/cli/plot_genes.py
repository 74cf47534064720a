"""Figures of velocities, genes and growth, commands of `cellflow plot`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from cellflow.cli import options

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@click.command()
@options.course
@options.figure
@click.option(
    "--basis",
    metavar="NAME",
    default="umap",
    show_default=True,
    panel=options.DATA,
    help="The plot, such as umap for obsm X_umap.",
)
@click.option(
    "--kind",
    type=click.Choice(["stream", "grid", "quiver"]),
    default="stream",
    show_default=True,
    panel=options.DATA,
    help="Streamlines, arrows on a grid, or arrows of single cells.",
)
@options.color
@options.force
@options.run_options
def velocity(
    file: Path, output: Path, basis: str, kind: str, color: str | None, force: bool
) -> None:
    """Draw the velocities that cellflow velocity wrote to FILE."""
    from cellflow import pl
    from cellflow.cli.figures import draw
    from cellflow.io import read_h5ad

    adata = read_h5ad(file)
    kinds: dict[str, Callable[..., Axes]] = {
        "stream": pl.velocity_stream,
        "grid": pl.velocity_grid,
        "quiver": pl.velocity_quiver,
    }
    draw(output, lambda: kinds[kind](adata, basis=basis, color=color, show=False), force=force)


@click.command("gene-trends")
@click.argument("table", type=options.PATH)
@options.figure
@click.option(
    "--gene",
    "genes",
    metavar="NAME",
    multiple=True,
    panel=options.DATA,
    help="Gene to draw, repeatable. [default: the first 12]",
)
@click.option("--unit", default="", metavar="UNIT", panel=options.DATA, help="Unit of the times.")
@options.force
@options.run_options
def gene_trends(table: Path, output: Path, genes: tuple[str, ...], unit: str, force: bool) -> None:
    """Draw what cellflow gene-trends wrote to TABLE, a panel a gene."""
    from cellflow import pl
    from cellflow.cli.figures import draw
    from cellflow.io import read_table

    trends = read_table(table)
    draw(
        output,
        lambda: pl.gene_trends(trends, genes=genes or None, unit=unit, show=False)[0],
        force=force,
    )


@click.command()
@options.course
@options.figure
@options.time_key
@options.color
@options.force
@options.run_options
def growth(file: Path, output: Path, time_key: str | None, color: str | None, force: bool) -> None:
    """Draw the growth rates that cellflow growth wrote to FILE."""
    from cellflow import pl
    from cellflow.cli.figures import draw
    from cellflow.io import read_h5ad

    adata = read_h5ad(file)
    draw(output, lambda: pl.growth(adata, time_key=time_key, color=color, show=False), force=force)
