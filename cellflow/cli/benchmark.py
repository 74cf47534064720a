"""`cellflow benchmark`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click
from click.core import ParameterSource

from cellflow.cli import options
from cellflow.methods.names import RECIPES

if TYPE_CHECKING:
    from cellflow.evaluation.benchmark_plan import BenchmarkPlan

#: Endings of a plan.
_YAML = (".yaml", ".yml")

#: Options that may be given with a plan.
_WITH_PLAN = ("files", "output", "jobs", "part", "force", "device", "quiet", "verbose")


@click.command(panel=options.SCORE)
@click.argument("files", type=options.PATH, nargs=-1, required=True, metavar="PLAN.yaml|FILE...")
@options.output(
    metavar="FOLDER",
    help="Folder of table, figure and finished fits; with the same folder a benchmark is resumed.",
)
@click.option(
    "--force", is_flag=True, panel=options.DATA, help="Compute scores again that are in the folder."
)
@options.held_out
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
@options.growth
@click.option(
    "--recipe",
    type=click.Choice(list(RECIPES)),
    default="default",
    show_default=True,
    panel=options.FIT,
    help="Every number of the fits; " + options.describe_choices(RECIPES) + ".",
)
@click.option(
    "--n-steps",
    type=click.IntRange(min=1),
    metavar="N",
    panel=options.FIT,
    help="Training steps of all methods, other packages' too. [default: the recipe's]",
)
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
    callback=lambda *given: _parse_part(given[-1]),
    panel=options.RUN,
    help="Compute the K-th of N parts of the held-out times and write no table: for processes on "
    "several machines with one FOLDER; a run without this writes the table in the end.",
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

    Give a YAML file with a plan (docs/guide/benchmarking.md), or files of cells and options for all
    of them. FOLDER gets benchmark.csv, benchmark.md and benchmark.png, and a small file for each
    finished fit, so that a benchmark that was stopped can be resumed, and methods, seeds and data
    can be added. Fits that failed are reported at the end, and the exit code is then 1.
    """
    from cellflow.cli.outputs import reserve
    from cellflow.evaluation.benchmark import run_benchmark
    from cellflow.evaluation.benchmark_plan import read_plan
    from cellflow.evaluation.summary import describe_failures, write_benchmark

    if any(file.suffix in _YAML for file in files):
        _check_plan_options(files)
        plan = read_plan(files[0])
    else:
        plan = _make_plan(files, **settings)
    if part is None:
        reserve(output)
    table = run_benchmark(
        plan,
        folder=output,
        jobs=jobs or _count_cores(),
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
    failed = describe_failures(table)
    for line in failed:
        click.echo(f"cellflow: failed: {line}", err=True)
    return 1 if failed else 0


def _parse_part(text: str | None) -> tuple[int, int] | None:
    """Parse the option `--part K/N` to (K, N)."""
    if text is None:
        return None
    k, _, n = text.partition("/")
    if not (k.isdecimal() and n.isdecimal()):
        raise click.BadParameter(f"{text!r} is not a part such as 2/8")
    return int(k), int(n)


def _check_plan_options(files: tuple[Path, ...]) -> None:
    """Raise a usage error for files or options that have no effect with a plan."""
    ctx = click.get_current_context()
    assert ctx is not None
    if len(files) > 1:
        raise click.UsageError("give one plan in YAML, or files of cells, not both")
    for parameter in ctx.command.params:
        name = str(parameter.name)
        given = ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if given and name not in _WITH_PLAN:
            raise click.UsageError(
                f"{parameter.opts[0]} has no effect with a plan; write it in {files[0]}"
            )


def _make_plan(
    files: tuple[Path, ...],
    *,
    methods: tuple[str, ...],
    growth: str | None,
    recipe: str,
    n_steps: int | None,
    seeds: tuple[int, ...],
    **held_out: Any,
) -> BenchmarkPlan:
    """Make a plan from files and options."""
    from cellflow.evaluation.benchmark_plan import BenchmarkPlan, DataSet
    from cellflow.evaluation.held_out import make_held_out
    from cellflow.evaluation.named_methods import name_methods
    from cellflow.methods.recipes import recipe_of

    given = {"n_steps": n_steps, "growth": growth}
    changes = {name: value for name, value in given.items() if value is not None}
    return BenchmarkPlan(
        tuple(DataSet(file.stem, file, make_held_out(held_out, file.stem)) for file in files),
        name_methods([{"method": name, **changes} for name in methods], recipe_of(recipe)),
        seeds,
    )


def _count_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _draw(table: Any, output: Path) -> None:
    from cellflow.cli.outputs import write_figure
    from cellflow.evaluation.summary import FIGURE

    # If every fit failed there may be no scores to draw.
    if table["w1"].notna().any():
        write_figure("benchmark", table, output=output / FIGURE, force=True)


def _show(table: Any, output: Path) -> None:
    from cellflow._log import log_info
    from cellflow.cli.terminal import print_benchmark
    from cellflow.evaluation.summary import SUMMARY, TABLE

    print_benchmark(table)
    log_info(f"wrote {output}: {TABLE}, {SUMMARY}")
