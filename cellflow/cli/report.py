"""`cellflow report`."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from cellflow.cli import options


@click.command(panel=options.DRAW)
@options.course
@options.flow
@options.output(metavar="REPORT.html", help="Page to write.")
@click.option(
    "--scores",
    type=options.PATH,
    metavar="SCORES.json",
    panel=options.DATA,
    help="Scores that cellflow holdout wrote. [default: those recorded in FILE]",
)
@click.option(
    "--comparison",
    type=options.PATH,
    metavar="TABLE",
    panel=options.DATA,
    help="Table of populations that cellflow compare wrote, for a section on conditions.",
)
@options.color
@click.option(
    "--title",
    metavar="TEXT",
    panel=options.DATA,
    help="Title of the page. [default: the name of FILE]",
)
@options.time_key
@options.force
@options.run_options
def report(
    file: Path,
    flow_path: Path,
    output: Path,
    scores: Path | None,
    comparison: Path | None,
    color: str | None,
    title: str | None,
    time_key: str | None,
    force: bool,
) -> None:
    """Write an HTML report on data and flow: warnings, scores, figures, settings.

    The page is a single file and opens without a network.
    """
    import matplotlib as mpl

    from cellflow import Flow
    from cellflow import report as pages
    from cellflow._log import log_info
    from cellflow.cli.outputs import check_file
    from cellflow.io import open_cells, read_scores, read_table
    from cellflow.report._write import PAGES

    check_file(output, PAGES, "reports", force=force, inputs=[file, scores, comparison])
    mpl.use("agg")
    flow, table = Flow.load(flow_path), None if scores is None else read_scores(scores)
    pages.write(
        open_cells(file),
        flow,
        output,
        scores=table,
        comparison=None if comparison is None else read_table(comparison),
        color=color,
        time_key=time_key,
        title=title or file.name,
        overwrite=force,
    )
    log_info(f"wrote {output}")
