"""`cellflow holdout`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rich_click as click

from cellflow.cli import options
from cellflow.evaluation.protocols import HOLD_OUT
from cellflow.methods.presets import PRESETS


@click.command(panel=options.SCORE)
@options.course
@options.output(metavar="SCORES.json", help="File for the scores.")
@options.force
@options.scored_flow
@options.held_out
@options.time_order
@click.option(
    "--hold-out",
    type=click.Choice(list(HOLD_OUT)),
    default="time",
    show_default=True,
    panel=options.DATA,
    help="What a fold holds out; " + options.describe_choices(HOLD_OUT) + ".",
)
@click.option(
    "--value",
    "values",
    type=float,
    multiple=True,
    metavar="VALUE",
    panel=options.DATA,
    help="Value of the condition to hold out, such as a dose, with --hold-out condition; "
    "repeatable. [default: every one between two others]",
)
@options.fit_options
@click.option(
    "--prior-method",
    type=click.Choice(list(PRESETS)),
    panel=options.FIT,
    help="Method of the flow that coupling acceleration needs, and that oat-fm fine-tunes. "
    "[default: ot-cfm]",
)
@options.seeds
@options.device
@options.run_options
def holdout(
    file: Path,
    output: Path,
    force: bool,
    seeds: tuple[int, ...],
    progress: bool,
    time_order: list[str] | None,
    values: tuple[float, ...],
    **settings: Any,
) -> None:
    """Hold times, replicates or doses out, predict their cells, and score the prediction.

    Scored are the settings of --flow; without it those of the options, in the representation that
    cellflow embed recorded in FILE, if there is one.

    Each score is reported with baselines that need no model and with the distance of one half of
    the real cells from the other. A fold takes a fit and some 80 exact transport problems:
    seconds for hundreds of cells per time, minutes and some 10 GB for 8,000.
    """
    from cellflow import tl
    from cellflow._log import log_info
    from cellflow.cli.outputs import check_file
    from cellflow.cli.terminal import print_scores
    from cellflow.io import SCORES, open_cells, write_scores

    check_file(output, SCORES, "scores", force=force, inputs=[file])
    adata = open_cells(file)
    options.record_order(adata, settings["time_key"], time_order)
    scores = tl.holdout(
        adata,
        rng=seeds,
        progress=progress,
        values=values or None,
        **settings,
    )
    write_scores(adata, output, overwrite=force)
    if progress:
        print_scores(scores)
    log_info(f"wrote {output}")
