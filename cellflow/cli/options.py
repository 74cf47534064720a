"""Options that commands share, so that they read and mean the same everywhere."""

from __future__ import annotations

import functools
import logging
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import rich_click as click

from cellflow._errors import CellflowWarning
from cellflow.methods.names import COUPLINGS, EXPRESSION_KINDS, RECIPES, TIME_AXES

Command = Callable[..., Any]

DATA, SPACE, FIT, RUN = "Data", "Representation", "Fit", "Run"

#: A path that the command itself checks, with errors that name the file.
PATH = click.Path(path_type=Path)


def explained(summaries: Mapping[str, str]) -> str:
    """Choices with what each is, as a part of a sentence."""
    return "; ".join(f"{name}: {summary}" for name, summary in summaries.items())


def together(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Apply options in the order in which they are given."""

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

time_key = click.option(
    "--time-key",
    metavar="COLUMN",
    panel=DATA,
    help="Column of obs with the times: numbers, or labels such as 'day 3', 'E12.5', '24h'. "
    "Without it, the recorded one or a column of a usual name is used.",
)

output = functools.partial(click.option, "--output", type=PATH, required=True, panel=DATA)

force = click.option("--force", is_flag=True, panel=DATA, help="Overwrite what stands there.")

use_rep = click.option(
    "--use-rep",
    metavar="KEY",
    panel=SPACE,
    help="Work in this obsm key, such as X_pca, instead of embedding the expression matrix.",
)
n_dims = functools.partial(
    click.option, "--n-dims", type=click.IntRange(min=1), metavar="N", panel=SPACE
)
whiten = functools.partial(click.option, "--whiten/--no-whiten", panel=SPACE)
expression = together(
    click.option(
        "--layer", metavar="NAME", panel=SPACE, help="Layer with the expression. [default: X]"
    ),
    click.option(
        "--kind",
        type=click.Choice(list(EXPRESSION_KINDS)),
        default="auto",
        show_default=True,
        panel=SPACE,
        help="What the expression is; " + explained(EXPRESSION_KINDS) + ".",
    ),
)

#: How a representation is made, with the defaults of `pp.embed`.
space = together(
    use_rep,
    n_dims(help="Dimensions to keep. [default: all of --use-rep, else up to 50]"),
    whiten(default=False, show_default=True, help="Scale each dimension to variance one."),
    expression,
)

coupling = click.option(
    "--coupling",
    type=click.Choice(list(COUPLINGS)),
    default="ot",
    show_default=True,
    panel=FIT,
    help="How cells of consecutive times are paired: " + explained(COUPLINGS) + ".",
)
recipe = together(
    click.option(
        "--recipe",
        type=click.Choice(list(RECIPES)),
        default="default",
        show_default=True,
        panel=FIT,
        help="Every number of the fit; " + explained(RECIPES) + ".",
    ),
    click.option(
        "--n-steps",
        type=click.IntRange(min=1),
        metavar="N",
        panel=FIT,
        help="Training steps. [default: the recipe's]",
    ),
)
time_axis = functools.partial(
    click.option, "--time-axis", type=click.Choice(list(TIME_AXES)), panel=FIT
)
_seed = functools.partial(
    click.option, "--seed", type=click.IntRange(min=0), show_default=True, panel=FIT
)
seed = _seed(default=0, help="Source of all randomness: same seed, same result.")
seeds = _seed(
    "seeds",
    default=[0],
    multiple=True,
    help="Source of all randomness: same seed, same result. Repeatable, a fit for each.",
)
device = click.option(
    "--device",
    default="auto",
    show_default=True,
    panel=FIT,
    help="Where to compute: auto (a GPU where there is one), cpu, cuda, cuda:1, ...",
)


def run_options(command: Command) -> Command:
    """Add `--quiet` and `--verbose`; the command gets `progress` instead of them."""

    @functools.wraps(command)
    def run(*args: Any, quiet: bool, verbose: bool, **kwargs: Any) -> Any:
        if quiet and verbose:
            raise click.UsageError("--quiet and --verbose exclude each other")
        _route_messages(quiet=quiet, verbose=verbose)
        if "progress" in command.__annotations__:
            kwargs["progress"] = not quiet
        return command(*args, **kwargs)

    return together(
        click.option("--quiet", is_flag=True, panel=RUN, help="Say nothing but errors."),
        click.option(
            "--verbose", is_flag=True, panel=RUN, help="Show warnings of other packages too."
        ),
    )(run)


def recipe_from(name: str, n_steps: int | None) -> Any:
    """The recipe of that name, with another number of steps where one is given."""
    from cellflow.methods.recipes import recipe_of

    return recipe_of(name) if n_steps is None else recipe_of(name, n_steps=n_steps)


def _route_messages(*, quiet: bool, verbose: bool) -> None:
    """Messages go to stdout, so that stderr holds progress and the line of an error only."""
    from cellflow import _log

    _log.show(logging.ERROR if quiet else logging.INFO, "stdout")

    def show(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        if issubclass(category, CellflowWarning) or verbose:
            _log.logger.warning("warning: %s", message)

    warnings.showwarning = show
    warnings.simplefilter("default" if verbose else "ignore")
    warnings.simplefilter("once", CellflowWarning)
