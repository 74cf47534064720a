"""Options of the commands that follow cells."""

from __future__ import annotations

import functools

import rich_click as click

from cellflow.cli import options
from cellflow.methods.names import TRANSITION_ESTIMATORS

cells = functools.partial(
    click.option,
    "--cells",
    metavar="WHICH",
    panel=options.DATA,
)

#: Where a command cannot do without a choice.
chosen_cells = cells(
    required=True,
    help="Which cells: 'column=value', 'column=a,b & day=2', or the name of one.",
)

groups = functools.partial(
    click.option,
    "--groups",
    metavar="COLUMN",
    panel=options.DATA,
)

n_samples = click.option(
    "--n-samples",
    type=click.IntRange(min=1),
    metavar="N",
    panel=options.FIT,
    help="Stochastic paths of each cell, for flows with a score (method sf2m). "
    "[default: none, one path along the velocity]",
)

#: How cells are moved.
motion = options.compose(
    n_samples,
    click.option(
        "--extrapolate",
        is_flag=True,
        panel=options.FIT,
        help="Go beyond the times of the flow, as at the nearest of them; no data supports that.",
    ),
    click.option(
        "--genes/--no-genes",
        "decode",
        default=True,
        show_default=True,
        panel=options.DATA,
        help="Decode expression, where the representation has a way back.",
    ),
)

#: How descent is told.
descent = options.compose(
    click.option(
        "--by",
        type=click.Choice(list(TRANSITION_ESTIMATORS)),
        default="flow",
        show_default=True,
        panel=options.FIT,
        help=options.explained(TRANSITION_ESTIMATORS) + ".",
    ),
    options.n_neighbors(
        default=20, help="Cells that vote for each that is carried along the flow."
    ),
    n_samples,
)

time_of_course = functools.partial(
    click.option,
    "--time",
    metavar="TIME",
    panel=options.DATA,
)

genes = click.option(
    "--gene",
    "genes",
    metavar="NAME",
    multiple=True,
    panel=options.DATA,
    help="Gene to look at, repeatable. [default: all]",
)
weights = click.option(
    "--by",
    metavar="KEY",
    panel=options.DATA,
    help="Column of obs with groups, or obsm key with weights of groups, such as "
    "fate_probabilities. [default: all cells together]",
)

#: Options of `cellflow push` and `cellflow pull`.
moving = options.compose(
    options.course,
    options.flow,
    chosen_cells,
    time_of_course(
        required=True,
        help="Where to, a number in the unit of the course or a label such as 'day 3'.",
    ),
    options.output(metavar="FILE.h5ad", help="Where the moved cells go."),
    options.time_key,
    options.force,
    motion,
    options.seed,
    options.device,
    options.run_options,
)

#: Options of `cellflow ancestors` and `cellflow descendants`.
related = options.compose(
    options.course,
    options.flow,
    chosen_cells,
    time_of_course(required=True, help="Time of the relatives, one of the course."),
    options.output(metavar="FILE.h5ad", help="Where the copy with their weights goes."),
    options.time_key,
    options.force,
    descent,
    options.seed,
    options.device,
    options.run_options,
)
