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
motion = options.together(
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
descent = options.together(
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
