"""Options that several commands share."""

from __future__ import annotations

import functools
import logging
import os
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import rich_click as click

from cellflow._errors import CellflowWarning
from cellflow.cli.completion import complete_column, complete_embedding
from cellflow.evaluation.protocols import PROTOCOLS
from cellflow.methods.names import (
    EXPRESSION_KINDS,
    GROWTH_EVIDENCE,
    HELD_OUT_STARTS,
    RECIPES,
    STARTS,
    TIME_AXES,
)
from cellflow.methods.presets import PRESETS

Command = Callable[..., Any]

#: Options that change a part of the method.
_PARTS = ("coupling", "path", "objective", "growth", "sigma")

#: Sections of the help of a command.
DATA, SPACE, FIT, RUN = "Data", "Representation", "Fit", "Run"

#: Sections of `cellflow --help`, in their order; a command names its own as `panel`.
SECTIONS = (
    START := "Start",
    PREPARE := "Prepare cells",
    TRAIN := "Fit a flow",
    FOLLOW := "Predict and follow cells",
    GENES := "Velocity, genes, trust",
    SCORE := "Score on held-out times",
    DRAW := "Figures and reports",
    IMAGES := "Images",
)

#: A path; the command checks it, with errors that name the file.
PATH = click.Path(path_type=Path)


def describe_choices(summaries: Mapping[str, str]) -> str:
    """Return names and their summaries as text for a help message."""
    return "; ".join(f"{name}: {summary}" for name, summary in summaries.items())


def compose(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Combine options into one decorator that lists them in this order."""

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


course = click.argument("file", type=PATH)

flow = click.option(
    "--flow",
    "flow_path",
    type=PATH,
    metavar="FLOW",
    required=True,
    panel=DATA,
    help="Folder of the fitted flow.",
)

#: Flow that is loaded before the options of method and recipe are read, which change its own.
scored_flow = click.option(
    "--flow",
    type=PATH,
    metavar="FLOW",
    panel=DATA,
    callback=lambda *given: None if given[-1] is None else _load_flow(given[-1]),
    help="Folder of a flow to score: its representation, method, recipe, clock and columns are "
    "used, where no option changes them, and it is fitted anew without the held-out cells.",
)

time_key = click.option(
    "--time-key",
    metavar="COLUMN",
    shell_complete=complete_column,
    panel=DATA,
    help="Column of obs with the time points: numbers, dates, or labels such as 'day 3', 'E12.5', "
    "'24h', '8 pcw'. [default: the recorded column, else time, day, hour, stage or similar]",
)

#: Order of stages; the command records it with `record_order`.
time_order = click.option(
    "--time-order",
    metavar="LABELS",
    panel=DATA,
    callback=lambda *given: None if given[-1] is None else _split_labels(given[-1]),
    help="Names of stages in the order of time, separated by commas: early,mid,late. Names with "
    "commas are quoted. [default: the recorded order, else numbers in the labels]",
)

output = functools.partial(click.option, "--output", type=PATH, required=True, panel=DATA)

#: Formats of cells, for help messages; the ending decides.
CELLS = ".h5ad, .zarr or .zarr.zip"

table = output(metavar="TABLE", help="Table to write: .csv or .tsv.")

figure = output(metavar="FIGURE", help="Figure to write: .png, .pdf or .svg.")

force = click.option("--force", is_flag=True, panel=DATA, help="Overwrite the output if it exists.")

use_rep = click.option(
    "--use-rep",
    metavar="KEY",
    shell_complete=complete_embedding,
    panel=SPACE,
    help="Use this obsm key, such as X_pca, instead of embedding the expression matrix.",
)
n_dims = functools.partial(
    click.option, "--n-dims", type=click.IntRange(min=1), metavar="N", panel=SPACE
)
whiten = functools.partial(click.option, "--whiten/--no-whiten", panel=SPACE)
layer = click.option(
    "--layer",
    metavar="NAME",
    panel=SPACE,
    help="Layer with the expression matrix, or raw. [default: X]",
)
expression = compose(
    layer,
    click.option(
        "--kind",
        type=click.Choice(list(EXPRESSION_KINDS)),
        default="auto",
        show_default=True,
        panel=SPACE,
        help="Kind of expression values; " + describe_choices(EXPRESSION_KINDS) + ".",
    ),
)

color = click.option(
    "--color",
    metavar="COLUMN",
    shell_complete=complete_column,
    panel=DATA,
    help="Column of obs to colour by.",
)
start = click.option(
    "--start",
    type=click.Choice(list(STARTS)),
    default="both",
    show_default=True,
    panel=DATA,
    help="Cells to predict from; " + describe_choices(STARTS) + ".",
)
n_neighbors = functools.partial(
    click.option,
    "--n-neighbors",
    type=click.IntRange(min=1),
    show_default=True,
    metavar="K",
    panel=FIT,
)

#: Options of the representation, with the defaults of `pp.embed`.
space = compose(
    use_rep,
    n_dims(help="Number of dimensions to keep. [default: all of --use-rep, else up to 50]"),
    whiten(default=False, show_default=True, help="Scale each dimension to unit variance."),
    expression,
)

cluster = click.option(
    "--cluster",
    metavar="ADDRESS",
    panel=SPACE,
    help="Address of a dask.distributed scheduler, such as tcp://host:8786; its workers must "
    "see FILE under the same path. [default: threads of this process]",
)


def parts(*names: str) -> Callable[[Command], Command]:
    """Return options that replace these parts of the method."""
    known = {
        "coupling": "Coupling of cells of consecutive time points",
        "path": "Conditional path between two coupled cells",
        "objective": "Objective to train on",
    }
    return compose(
        *(
            click.option(
                f"--{name}",
                metavar="NAME",
                panel=FIT,
                help=f"{known[name]}; cellflow methods lists the names. [default: the method's]",
            )
            for name in names
        )
    )


growth = click.option(
    "--growth",
    type=click.Choice(list(GROWTH_EVIDENCE)),
    panel=FIT,
    help="Evidence of the growth of populations, for methods default and wfr-fm; "
    + describe_choices(GROWTH_EVIDENCE)
    + ". [default: the method's]",
)


method = functools.partial(
    click.option,
    "--method",
    type=click.Choice(list(PRESETS)),
    panel=FIT,
)
sigma = functools.partial(
    click.option, "--sigma", type=click.FloatRange(min=0), metavar="S", panel=FIT
)
n_steps = click.option(
    "--n-steps",
    type=click.IntRange(min=1),
    metavar="N",
    panel=FIT,
    help="Number of training steps. [default: the recipe's]",
)
prior = click.option(
    "--prior",
    type=PATH,
    metavar="FLOW",
    panel=FIT,
    help="Folder of an earlier flow, required by coupling acceleration and method oat-fm.",
)

#: Options of fine-tuning, with the defaults of `tl.finetune`.
tuning = compose(
    click.option(
        "--alpha",
        "oat_alpha",
        type=click.FloatRange(min=0, max=1, min_open=True),
        metavar="A",
        panel=FIT,
        help="Weight of the displacement relative to the end velocities; only 0.8 keeps the "
        "predicted cells in place. [default: 0.8]",
    ),
    click.option(
        "--target",
        "oat_target",
        type=click.Choice(["linear", "hermite"]),
        panel=FIT,
        help="Conditional paths to learn: straight (with --alpha) or cubic. [default: linear]",
    ),
    sigma(help="Noise of the path. [default: the flow's if its path is straight, else 0]"),
    click.option(
        "--copy-every",
        "oat_copy_every",
        type=click.IntRange(min=1),
        metavar="N",
        panel=FIT,
        help="Copy the net to the target net, which gives the end velocities, every N steps. "
        "[default: the target net is a running average]",
    ),
    click.option(
        "--tolerance",
        "oat_tolerance",
        type=click.FloatRange(min=0, min_open=True),
        metavar="FRACTION",
        panel=FIT,
        help="Stop if the spread of predicted cells changes by more than this. [default: 0.05]",
    ),
    click.option(
        "--n-steps",
        type=click.IntRange(min=1),
        metavar="N",
        panel=FIT,
        help="Number of training steps. [default: those of the flow]",
    ),
    click.option(
        "--learning-rate",
        type=click.FloatRange(min=0, min_open=True),
        metavar="RATE",
        panel=FIT,
        help="Learning rate. [default: that of the flow]",
    ),
)

_method = compose(
    method(
        help="Named combination of coupling, path and objective; cellflow methods describes them. "
        "[default: default, or ot-cfm if a part is given]"
    ),
    parts("coupling", "path", "objective"),
    growth,
    sigma(help="Noise of the path, relative to the spread of the cells. [default: the method's]"),
    click.option(
        "--config",
        type=PATH,
        metavar="FILE.yaml",
        panel=FIT,
        help="Settings of method and recipe; options for single settings override it.",
    ),
)
side_columns = compose(
    click.option(
        "--condition-key",
        "condition_keys",
        metavar="COLUMN",
        shell_complete=complete_column,
        multiple=True,
        panel=DATA,
        help="Column of obs that the velocity depends on; repeatable. Cells of different "
        "categories are not coupled.",
    ),
    click.option(
        "--label-key",
        metavar="COLUMN",
        shell_complete=complete_column,
        panel=DATA,
        help="Column of obs, such as donor; only cells with the same value are coupled.",
    ),
    click.option(
        "--lineage-key",
        metavar="KEY",
        panel=DATA,
        help="Column of obs with clone names, or obsm key with a matrix of cells by clones; "
        "cells of one clone are coupled at a lower cost.",
    ),
    click.option(
        "--cost-rep",
        metavar="KEY",
        shell_complete=complete_embedding,
        panel=DATA,
        help="The obsm key that coupling costs are computed in. [default: the representation]",
    ),
    click.option(
        "--allowed-transitions",
        type=PATH,
        metavar="TABLE",
        panel=DATA,
        help="Table (.csv, .tsv) of the transitions between groups that are known, with columns "
        "source, target and, optionally, weight from 0 to 1; others cost more.",
    ),
    click.option(
        "--group-key",
        metavar="COLUMN",
        shell_complete=complete_column,
        panel=DATA,
        help="Column of obs with the groups that --allowed-transitions names.",
    ),
    click.option(
        "--growth-key",
        metavar="COLUMN",
        shell_complete=complete_column,
        panel=DATA,
        help="Column of obs with the growth rate of each cell, births minus deaths per unit of "
        "time, for --growth rates. [default: that of cellflow growth]",
    ),
)
_recipe = compose(
    click.option(
        "--recipe",
        type=click.Choice(list(RECIPES)),
        panel=FIT,
        help="Settings of net and training; " + describe_choices(RECIPES) + ". [default: default]",
    ),
    n_steps,
)
time_axis = functools.partial(
    click.option, "--time-axis", type=click.Choice(list(TIME_AXES)), panel=FIT
)
#: Settings of `evaluation.held_out.HeldOut`.
held_out = compose(
    time_key,
    click.option(
        "--time",
        "times",
        metavar="TIME",
        multiple=True,
        panel=DATA,
        callback=lambda *given: given[-1] or None,
        help="Time point to hold out; repeatable, one fold each. [default: all but first and last]",
    ),
    use_rep,
    n_dims(
        help="Number of dimensions to fit and score in. [default: those of the flow or the "
        "recorded embedding, else 5, or all if fewer]"
    ),
    whiten(
        default=None,
        help="Scale each dimension to unit variance. [default: as in the flow or the recorded "
        "embedding, else whiten]",
    ),
    expression,
    click.option(
        "--protocol",
        type=click.Choice(list(PROTOCOLS)),
        default="strict",
        show_default=True,
        panel=FIT,
        help="Rules of the evaluation; "
        + describe_choices({name: protocol.summary for name, protocol in PROTOCOLS.items()})
        + ".",
    ),
    click.option(
        "--start",
        type=click.Choice(list(HELD_OUT_STARTS)),
        panel=FIT,
        help="Cells to predict from; "
        + describe_choices(HELD_OUT_STARTS)
        + ". [default: the protocol's]",
    ),
    time_axis(
        help="Flow time between time points; "
        + describe_choices(TIME_AXES)
        + ". [default: the flow's or the protocol's]"
    ),
    side_columns,
    click.option(
        "--replicate-key",
        metavar="COLUMN",
        shell_complete=complete_column,
        panel=DATA,
        help="Column of obs with the replicate of each cell, such as donor or batch; the distance "
        "between replicates of a held-out time is reported beside the reference.",
    ),
    click.option(
        "--max-cells",
        type=click.IntRange(min=4),
        metavar="N",
        panel=FIT,
        help="Score on at most N predicted and N measured cells, drawn once. [default: all]",
    ),
)
_seed = functools.partial(
    click.option,
    "--seed",
    type=click.IntRange(min=0),
    metavar="N",
    show_default=True,
    panel=FIT,
)
seed = _seed(default=0, help="Seed of all random numbers; the same seed gives the same result.")
seeds = _seed(
    "seeds",
    default=[0],
    multiple=True,
    help="Seed of all random numbers; repeatable, one fit each.",
)
device = click.option(
    "--device",
    default="auto",
    metavar="NAME",
    show_default=True,
    panel=FIT,
    help="Device to compute on: auto (a GPU if there is one), cpu, cuda, cuda:1, ...",
)


checkpoint = compose(
    click.option(
        "--checkpoint",
        type=PATH,
        metavar="FILE",
        panel=RUN,
        help="Save the state of the training to this file.",
    ),
    click.option(
        "--checkpoint-every",
        type=click.IntRange(min=1),
        default=500,
        show_default=True,
        metavar="STEPS",
        panel=RUN,
        help="Number of steps between checkpoints.",
    ),
    click.option(
        "--resume",
        is_flag=True,
        panel=RUN,
        help="Continue from the checkpoint if it exists.",
    ),
)


def take_checkpoint(
    settings: dict[str, Any],
    output: Path,
    *,
    force: bool,
    inputs: Iterable[str | Path | None],
) -> None:
    """Replace the three options of a checkpoint by one `Checkpoint`, or None.

    `inputs` are files and folders that the command reads, which a checkpoint must not replace, nor
    take the place of the `output`.

    Raises
    ------
    click.UsageError
        For --resume without --checkpoint.
    FileError
        If the file cannot be written, or exists and neither --resume nor --force is given.
    """
    path, every, resume = (
        settings.pop(name) for name in ("checkpoint", "checkpoint_every", "resume")
    )
    settings["checkpoint"] = None
    if path is not None:
        from cellflow import Checkpoint
        from cellflow._files import (
            check_apart,
            check_distinct,
            check_file_target,
            check_not_named,
        )
        from cellflow.cli.outputs import reserve

        check_distinct(output, path, "the checkpoint")
        check_not_named(path, "a checkpoint")
        check_apart(path, inputs)
        check_file_target(path, overwrite=force or resume)
        reserve(path)
        settings["checkpoint"] = Checkpoint(path, every, resume)
    elif resume:
        raise click.UsageError("--resume needs --checkpoint FILE to continue from")


def run_options(command: Command) -> Command:
    """Add `--quiet` and `--verbose`; the command gets `progress` instead of them."""

    @functools.wraps(command)
    def run(*args: Any, quiet: bool, verbose: bool, **kwargs: Any) -> Any:
        if quiet and verbose:
            raise click.UsageError("give --quiet or --verbose, not both")
        # Of the processes that torchrun starts, only the first prints.
        quiet = quiet or os.environ.get("RANK", "0") != "0"
        _route_messages(quiet=quiet, verbose=verbose)
        if "progress" in command.__annotations__:
            kwargs["progress"] = not quiet
        return command(*args, **kwargs)

    return compose(
        click.option("--quiet", is_flag=True, panel=RUN, help="Print errors only."),
        click.option(
            "--verbose",
            is_flag=True,
            panel=RUN,
            help="Print tracebacks, and warnings of other packages.",
        ),
    )(run)


def _split_labels(text: str) -> list[str]:
    from cellflow._quoting import split_values

    return split_values(text)


def record_order(adata: Any, time_key: str | None, order: list[str] | None) -> None:
    """Record the order of the labels of the time column, if one is given."""
    if order is not None:
        from cellflow import pp
        from cellflow.io import time_key_of

        pp.time_points(adata, time_key_of(adata, time_key), order=order)


def _load_flow(path: Path) -> Any:
    from cellflow import Flow

    return Flow.load(path)


def fit_options(command: Command) -> Command:
    """Add the options of method and recipe; the command gets complete `method` and `recipe`.

    With a `flow` to score, options change its method and recipe; both are None if none is given.
    """

    @functools.wraps(command)
    def run(
        *args: Any,
        config: Path | None,
        method: str | None,
        recipe: str | None,
        n_steps: int | None,
        **kwargs: Any,
    ) -> Any:
        from cellflow.methods.config import read_config
        from cellflow.methods.method import method_of
        from cellflow.methods.recipes import recipe_of

        base: Any
        numbers: Any
        read = None if config is None else read_config(config)
        for name, given in (("method", method), ("recipe", recipe)):
            if read is not None and given is not None and name in read.named:
                raise click.UsageError(
                    f"--{name} {given} would replace the {name} of {config} with all of its "
                    f"settings; leave one of them out"
                )
        parts = {name: kwargs.pop(name) for name in _PARTS}
        changes = {} if n_steps is None else {"n_steps": n_steps}
        flow = kwargs.get("flow")
        if flow is not None:
            base, numbers = method, recipe
            if read is not None:
                base = base or (read.method if "method" in read.named else None)
                numbers = numbers or (read.recipe if "recipe" in read.named else None)
            changed = base is not None or any(part is not None for part in parts.values())
            return command(
                *args,
                method=method_of(base or flow.method, **parts) if changed else None,
                recipe=recipe_of(numbers or flow.recipe, **changes) if numbers or changes else None,
                **kwargs,
            )
        base = method or (read.method if read else None)
        numbers = recipe or (read.recipe if read else "default")
        return command(
            *args,
            method=method_of(base, **parts),
            recipe=recipe_of(numbers, **changes),
            **kwargs,
        )

    return compose(_method, _recipe)(run)


def _route_messages(*, quiet: bool, verbose: bool) -> None:
    """Send messages to stdout; stderr is for progress bars and the error line."""
    from cellflow import _log

    _log.show(logging.ERROR if quiet else logging.INFO, "stdout")

    def show(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        if issubclass(category, CellflowWarning) or verbose:
            _log.logger.warning("warning: %s", message)

    warnings.showwarning = show
    warnings.simplefilter("default" if verbose else "ignore")
    warnings.simplefilter("once", CellflowWarning)
