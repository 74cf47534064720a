"""`cellflow benchmark`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click
from click.core import ParameterSource

from cellflow.cli import options
from cellflow.methods.names import RECIPES

if TYPE_CHECKING:
    from cellflow.evaluation.plan import Benchmark

#: Endings of a file that says what to compare.
_YAML = (".yaml", ".yml")

#: Options that go with such a file.
_BESIDE = ("files", "output", "jobs", "part", "force", "device", "quiet", "verbose")


@click.command()
@click.argument("files", type=options.PATH, nargs=-1, required=True, metavar="PLAN.yaml|FILE...")
@options.output(metavar="FOLDER", help="Where everything goes; the same folder goes on.")
@options.time_key
@click.option(
    "--time",
    "times",
    metavar="TIME",
    multiple=True,
    panel=options.DATA,
    help="Time to hold out, repeatable. [default: every interior time]",
)
@click.option(
    "--force", is_flag=True, panel=options.DATA, help="Compute again what the folder has."
)
@options.use_rep
@options.n_dims(help="Dimensions to fit and score in. [default: 5, or as many as there are]")
@options.whiten(default=True, show_default=True, help="Scale each dimension to variance one.")
@options.expression
@options.protocol
@options.time_axis(help="[default: the protocol's]")
@click.option(
    "--method",
    "methods",
    metavar="NAME",
    multiple=True,
    default=["default"],
    show_default=True,
    panel=options.FIT,
    help="Method to compare, repeatable: those of cellflow methods, and torchcfm:ot-cfm and "
    "torchcfm:i-cfm, where that package is installed.",
)
@click.option(
    "--recipe",
    type=click.Choice(list(RECIPES)),
    default="default",
    show_default=True,
    panel=options.FIT,
    help="Every number of the fits; " + options.explained(RECIPES) + ".",
)
@click.option(
    "--n-steps",
    type=click.IntRange(min=1),
    metavar="N",
    panel=options.FIT,
    help="Training steps of all methods, other packages' too. [default: the recipe's]",
)
@options.max_cells
@options.seeds
@options.device
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    metavar="N",
    panel=options.RUN,
    help="Processes; each takes the memory of an exact transport problem, 4 GB at 8,000 cells "
    "against 16,000. [default: as many as there are cores]",
)
@click.option(
    "--part",
    metavar="K/N",
    callback=lambda *given: _part(given[-1]),
    panel=options.RUN,
    help="Do the K-th of N parts of the held-out times and write no table: processes on several "
    "machines share one FOLDER so, and a run without this gathers the table in the end.",
)
@options.run_options
def benchmark(
    files: tuple[Path, ...],
    output: Path,
    jobs: int | None,
    part: tuple[int, int] | None,
    force: bool,
    device: str,
    progress: bool,
    **settings: Any,
) -> int:
    """Compare methods on held-out times: data sets, times, methods and seeds in one table.

    A YAML file says what to compare (docs/benchmark.md); or give files of cells, and options for
    all of them. FOLDER gets benchmark.csv, benchmark.md and benchmark.png, and a small file for
    each finished fit, so that a run that was stopped goes on, and methods, seeds and data can be
    added. Fits that failed are named in the end, and the exit code is then 1.
    """
    from cellflow import tl
    from cellflow.evaluation.plan import read_benchmark
    from cellflow.evaluation.summary import failures, write_benchmark

    if any(file.suffix in _YAML for file in files):
        _check_alone(files)
        plan = read_benchmark(files[0])
    else:
        plan = _plan(files, **settings)
    table = tl.benchmark(
        plan.files,
        methods=plan.methods,
        seeds=plan.seeds,
        each=plan.settings,
        folder=output,
        jobs=jobs or _cores(),
        part=part,
        force=force,
        device=device,
        progress=progress,
    )
    if part is None:
        write_benchmark(table, output)
        _draw(table, output)
        if progress:
            _show(table, output)
    failed = failures(table)
    for line in failed:
        click.echo(f"cellflow: failed: {line}", err=True)
    return 1 if failed else 0


def _part(text: str | None) -> tuple[int, int] | None:
    """Read K/N."""
    if text is None:
        return None
    k, _, n = text.partition("/")
    if not (k.isdecimal() and n.isdecimal()):
        raise click.BadParameter(f"{text!r} is no part such as 2/8")
    return int(k), int(n)


def _check_alone(files: tuple[Path, ...]) -> None:
    """Refuse what would contradict a file that says everything."""
    ctx = click.get_current_context()
    assert ctx is not None
    if len(files) > 1:
        raise click.UsageError("one YAML file, or files of cells: not both, and not several")
    for parameter in ctx.command.params:
        name = str(parameter.name)
        given = ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if given and name not in _BESIDE:
            raise click.UsageError(f"{parameter.opts[0]} does not go with {files[0]}: say it there")


def _plan(
    files: tuple[Path, ...],
    *,
    methods: tuple[str, ...],
    recipe: str,
    n_steps: int | None,
    seeds: tuple[int, ...],
    times: tuple[str, ...],
    **settings: Any,
) -> Benchmark:
    """What files and options ask for."""
    from cellflow.evaluation.named_methods import contestants_of
    from cellflow.evaluation.plan import Benchmark, add_file, held_out_of
    from cellflow.methods.recipes import recipe_of

    named: dict[str, Path] = {}
    for file in files:
        add_file(named, file.stem, file)
    values: Mapping[str, Any] = {**settings, "times": times or None}
    steps = {} if n_steps is None else {"n_steps": n_steps}
    return Benchmark(
        named,
        {name: held_out_of(name, values) for name in named},
        contestants_of([{"method": name, **steps} for name in methods], recipe_of(recipe)),
        seeds,
    )


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _draw(table: Any, output: Path) -> None:
    from cellflow import pl
    from cellflow.cli.figures import draw
    from cellflow.evaluation.summary import FIGURE

    # A figure needs scores; where every fit of all data failed there may be none.
    if table["w1_half"].notna().any():
        draw(output / FIGURE, lambda: pl.benchmark(table, show=False), force=True)


def _show(table: Any, output: Path) -> None:
    from cellflow._log import log_info
    from cellflow.cli.tables import print_benchmark
    from cellflow.evaluation.summary import SUMMARY, TABLE

    print_benchmark(table)
    log_info(f"wrote {output}: {TABLE}, {SUMMARY}")
