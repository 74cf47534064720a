"""`cellflow explore`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rich_click as click

from cellflow.cli import cell_options, options
from cellflow.cli.completion import complete_embedding


@click.command(panel=options.DRAW)
@options.course
@options.flow
@options.output(metavar="PAGE.html", help="Page to write.")
@cell_options.groups(
    help="Column of obs with groups of cells, such as cell types: their colours, and where cells "
    "come from. [default: colours by time]"
)
@click.option(
    "--basis",
    metavar="KEY",
    shell_complete=complete_embedding,
    panel=options.DATA,
    help="Embedding of FILE to draw on. [default: X_umap, X_phate, X_tsne, X_cellflow or X_pca, "
    "else the representation]",
)
@click.option(
    "--gene",
    "genes",
    metavar="NAME",
    multiple=True,
    panel=options.DATA,
    help="Gene to include, by symbol or identifier; repeatable. [default: the 30 that vary most]",
)
@cell_options.gene_symbols
@click.option(
    "--scores",
    type=options.PATH,
    metavar="SCORES.json",
    panel=options.DATA,
    help="Scores that cellflow holdout wrote, for the slider. [default: those recorded in FILE]",
)
@cell_options.cells(help="Cells to show, such as 'arm=treated'. [default: all]")
@click.option(
    "--obs-key",
    "obs_keys",
    metavar="COLUMN",
    multiple=True,
    panel=options.DATA,
    help="Further column of obs to colour by; repeatable.",
)
@click.option(
    "--ancestors/--no-ancestors",
    default=True,
    show_default=True,
    panel=options.DATA,
    help="Estimate the groups that each moving cell comes from.",
)
@click.option(
    "--n-paths",
    type=click.IntRange(min=1),
    default=3_000,
    show_default=True,
    metavar="N",
    panel=options.DATA,
    help="Maximal number of cells that move, drawn at random.",
)
@click.option(
    "--n-steps",
    type=click.IntRange(min=1),
    default=32,
    show_default=True,
    metavar="N",
    panel=options.DATA,
    help="Number of steps of their paths, about.",
)
@click.option(
    "--max-cells",
    type=click.IntRange(min=1),
    default=100_000,
    show_default=True,
    metavar="N",
    panel=options.DATA,
    help="Maximal number of measured cells that are drawn, at random.",
)
@click.option(
    "--max-size",
    type=click.FloatRange(min=0, min_open=True),
    default=10.0,
    show_default=True,
    metavar="MB",
    panel=options.DATA,
    help="Largest size of the page in MB; a larger one is not written.",
)
@click.option(
    "--title",
    metavar="TEXT",
    panel=options.DATA,
    help="Title of the page. [default: the name of FILE]",
)
@options.time_key
@options.force
@options.seed
@options.device
@options.run_options
def explore(
    file: Path,
    flow_path: Path,
    output: Path,
    genes: tuple[str, ...],
    scores: Path | None,
    title: str | None,
    force: bool,
    seed: int,
    device: str,
    **given: Any,
) -> None:
    """Write a page to explore a course: cells that move along the flow, and each cell's path.

    A slider moves the cells on the embedding, and a click on a cell shows its path, fates,
    ancestors and genes. The page is a single file and opens without a network.
    """
    from cellflow import Flow
    from cellflow import report as pages
    from cellflow._log import log_info
    from cellflow.cli.outputs import check_file
    from cellflow.io import open_cells, read_scores
    from cellflow.report._write import PAGES
    from cellflow.training import resolve_device

    check_file(output, PAGES, "pages", force=force, inputs=[file, scores])
    flow = Flow.load(flow_path, device=resolve_device(device))
    table = None if scores is None else read_scores(scores)
    pages.explore(
        open_cells(file),
        flow,
        output,
        scores=table,
        genes=genes or None,
        title=title or file.name,
        rng=seed,
        overwrite=force,
        **given,
    )
    log_info(f"wrote {output}")
