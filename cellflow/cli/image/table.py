"""`cellflow image table`."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from cellflow.cli import options
from cellflow.cli.image import options as shared


@click.command()
@click.argument("scores", type=options.PATH, nargs=-1, required=True, metavar="SCORES.json ...")
@options.output(metavar="FILE.tsv", help="Where the table goes.")
@options.force
@click.option(
    "--figure",
    type=options.PATH,
    metavar="FILE",
    panel=options.DATA,
    help="Draw the distance against the evaluations of the velocity.",
)
@options.run_options
def table(
    scores: tuple[Path, ...], output: Path, force: bool, figure: Path | None, progress: bool
) -> None:
    """Gather files of cellflow image score in one table."""
    import pandas as pd

    from cellflow import images
    from cellflow._files import new_file
    from cellflow._log import log_info
    from cellflow.cli.image.tables import print_scores

    shared.check_output(output, (".tsv",), force=force)
    shared.check_figure(figure, force=force)
    gathered = pd.concat([images.read_table(path) for path in scores], ignore_index=True)
    # First what may find fault with the rows.
    if figure is not None:
        from cellflow import pl
        from cellflow.cli.figures import draw

        draw(figure, lambda: pl.image_scores(gathered, show=False), force=force)
    with new_file(output, overwrite=force) as staged:
        gathered.to_csv(staged, sep="\t", index=False)
    if progress:
        print_scores(gathered)
    log_info(f"wrote {output}")
