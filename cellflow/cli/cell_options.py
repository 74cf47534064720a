"""Options of the commands that select, move and follow cells."""

from __future__ import annotations

import functools

import rich_click as click

from cellflow.cli import options
from cellflow.cli.completion import complete_cells, complete_column, complete_embedding
from cellflow.methods.names import TRANSITION_ESTIMATORS

cells = functools.partial(
    click.option,
    "--cells",
    metavar="WHICH",
    shell_complete=complete_cells,
    panel=options.DATA,
)

#: For commands that require a selection.
selected_cells = cells(
    required=True,
    help="Cells to select: 'column=value', 'column=a,b & day=2', or the name of a cell. Values "
    "with & , or = are quoted: 'cell_type=\"T & NK cell\" & day=2'.",
)

groups = functools.partial(
    click.option,
    "--groups",
    metavar="COLUMN",
    shell_complete=complete_column,
    panel=options.DATA,
)

n_samples = click.option(
    "--n-samples",
    type=click.IntRange(min=1),
    metavar="N",
    panel=options.FIT,
    help="Number of stochastic paths per cell, for flows with a score (method sf2m). "
    "[default: one deterministic path along the velocity]",
)

#: Options of commands that move cells along a flow.
motion = options.compose(
    n_samples,
    click.option(
        "--extrapolate",
        is_flag=True,
        panel=options.FIT,
        help="Allow times outside those of the flow, with the velocity at the nearest one; no data "
        "support such predictions.",
    ),
    click.option(
        "--genes/--no-genes",
        "decode",
        default=True,
        show_default=True,
        panel=options.DATA,
        help="Decode expression, if the representation was made from genes.",
    ),
)

#: Options of commands that write predicted cells.
extras = options.compose(
    click.option(
        "--obs-key",
        "obs_keys",
        metavar="COLUMN",
        shell_complete=complete_column,
        multiple=True,
        panel=options.DATA,
        help="Column of obs that predicted cells take from their start cell; repeatable.",
    ),
    click.option(
        "--basis",
        metavar="KEY",
        shell_complete=complete_embedding,
        panel=options.DATA,
        help="Embedding of FILE, such as X_umap, in which to place predicted cells too, among "
        "their nearest measured cells.",
    ),
)

#: Options of commands that estimate descent.
descent = options.compose(
    click.option(
        "--by",
        type=click.Choice(list(TRANSITION_ESTIMATORS)),
        default="bridge",
        show_default=True,
        panel=options.FIT,
        help="Estimator of descent; " + options.describe_choices(TRANSITION_ESTIMATORS) + ".",
    ),
    options.n_neighbors(
        default=20,
        help="Nearest measured cells that share the mass of a predicted cell, for --by flow.",
    ),
    n_samples,
)

time_of_course = functools.partial(
    click.option,
    "--time",
    metavar="TIME",
    panel=options.DATA,
)

gene_symbols = click.option(
    "--gene-symbols",
    metavar="COLUMN",
    panel=options.DATA,
    help="Column of var with gene symbols. [default: feature_name, gene_symbols, gene_name or "
    "similar if var_names are other names, such as identifiers of Ensembl]",
)
genes = options.compose(
    click.option(
        "--gene",
        "genes",
        metavar="NAME",
        multiple=True,
        panel=options.DATA,
        help="Gene to include, by symbol or identifier; repeatable. [default: all]",
    ),
    gene_symbols,
)
weights = click.option(
    "--by",
    metavar="KEY",
    panel=options.DATA,
    help="Column of obs with groups, or obsm key with a weight per group, such as "
    "fate_probabilities. [default: all cells as one group]",
)

#: Options of `cellflow push` and `cellflow pull`.
move_options = options.compose(
    options.course,
    options.flow,
    selected_cells,
    time_of_course(
        required=True,
        help="Time to move the cells to: a number in the unit of the time course, or a label such "
        "as 'day 3'.",
    ),
    options.output(metavar="CELLS", help=f"File for the moved cells; {options.CELLS}."),
    options.time_key,
    options.force,
    extras,
    motion,
    options.seed,
    options.device,
    options.run_options,
)

#: Options of `cellflow ancestors` and `cellflow descendants`.
relative_options = options.compose(
    options.course,
    options.flow,
    selected_cells,
    time_of_course(required=True, help="Time point at which to look for them."),
    options.output(metavar="CELLS", help=f"Copy of FILE with their weights; {options.CELLS}."),
    options.time_key,
    options.force,
    descent,
    options.seed,
    options.device,
    options.run_options,
)
