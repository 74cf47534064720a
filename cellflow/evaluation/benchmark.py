"""Benchmarks: every method with every seed at every held-out time, in one table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from numbers import Integral
from pathlib import Path
from typing import Any

import pandas as pd

from cellflow._checks import check_positive
from cellflow._errors import InputError
from cellflow._files import temporary_folder
from cellflow._log import log_info, progress_bar
from cellflow._random import resolve_seed
from cellflow.evaluation.benchmark_plan import BenchmarkPlan, DataSet
from cellflow.evaluation.external import check_installed
from cellflow.evaluation.named_methods import ExternalMethod
from cellflow.evaluation.results import ResultsFolder
from cellflow.evaluation.runs import Run, Runner, RunResult, open_workers
from cellflow.io import check_growth_key
from cellflow.metrics import BASELINES, REFERENCES

#: Columns, in order.
COLUMNS = (
    "data", "published", "protocol", "start", "time_axis", "n_dims", "whiten", "max_cells",
    "representation_may_have_seen_held_out", "time_unit", "time", "method", "role", "seed",
    "w1", "w1_error", "w1_excess", "w1_reference", "w1_reference_sd", "w1_half", "reference",
    "w1_replicates", "n_replicates", "energy", "mean_error", "cov_error", "var_ratio",
    "gap_closed", "gap_closed_best", "rival", "w1_uniform", "w2", "mmd",
    "seconds", "n_predicted", "n_true", "error",
)  # fmt: skip

_WHOLE = ("n_dims", "max_cells", "seed", "n_replicates", "n_predicted", "n_true")
#: Columns of data sets with `replicate_key`.
_OF_REPLICATES = ("w1_replicates", "n_replicates")

_TEXT = ("published", "time_unit", "rival", "error")

#: Roles whose best method is the `rival`.
_RIVALS = ("baseline", "external")


def run_benchmark(
    plan: BenchmarkPlan,
    *,
    folder: str | Path | None = None,
    jobs: int = 1,
    part: tuple[int, int] | None = None,
    force: bool = False,
    device: str = "auto",
    progress: bool = True,
) -> pd.DataFrame:
    """Score every method of a plan with every seed at every held-out time.

    Parameters and table are those of `tl.benchmark`.
    """
    for method in plan.methods:
        if isinstance(method, ExternalMethod):
            check_installed(method)
    seeds = _check_seeds(plan.seeds)
    check_positive(jobs, "jobs")
    own_part = _slice_part(part)
    with _open_folder(folder) as results:
        runner = Runner(plan.data, results, device)
        baselines, shared = [], {}
        reads_rates = any(method.needs_growth_rates for method in plan.methods)
        for data in plan.data:
            check_growth_key(data.settings.growth_key, reads_rates=reads_rates)
            runner.check(data.name, growth_rates=reads_rates)
        for data in plan.data:
            baselines += runner.baseline_runs(data.name)
            shared[data.name] = _make_shared_columns(runner, data, plan)
        fits = [
            runner.fit_run(run, method, seed)
            for run in baselines[own_part]
            for method in plan.methods
            for seed in seeds
        ]
        results.make()
        found = _find_results(runner, fits, jobs=jobs, force=force, progress=progress)
    return make_table(list(_make_rows(fits, shared, found)))


def _slice_part(part: tuple[int, int] | None) -> slice:
    """Return the held-out times of a part."""
    if part is None:
        return slice(None)
    k, n = part
    if not 1 <= k <= n:
        raise InputError(f"part {k} of {n} does not exist; parts are counted from 1 to {n}")
    return slice(k - 1, None, n)


def _check_seeds(seeds: Sequence[int]) -> list[int]:
    for seed in seeds:
        if isinstance(seed, bool) or not isinstance(seed, Integral) or seed < 0:
            raise InputError(f"seeds must be whole numbers from 0, got {seed!r}")
    if not (numbers := [resolve_seed(int(seed)) for seed in dict.fromkeys(seeds)]):
        raise InputError("seeds is empty; give one seed or more")
    return numbers


@contextmanager
def _open_folder(folder: str | Path | None) -> Iterator[ResultsFolder]:
    if folder is not None:
        yield ResultsFolder.at(folder)
        return
    with temporary_folder() as temporary:
        yield ResultsFolder.at(temporary)


def _make_shared_columns(runner: Runner, data: DataSet, plan: BenchmarkPlan) -> dict[str, Any]:
    """Return the columns that all rows of a data set share."""
    evaluation = runner.evaluation(data.name)
    return {
        "data": data.name,
        "published": data.published,
        "time_unit": evaluation.time_unit,
        "protocol": data.settings.protocol,
        "start": evaluation.protocol.start,
        "time_axis": evaluation.time_axis,
        "whiten": evaluation.settings.whiten,
        "max_cells": data.settings.max_cells,
        "representation_may_have_seen_held_out": evaluation.may_have_seen_held_out(
            growth_rates=any(method.needs_growth_rates for method in plan.methods)
        ),
    }


def _find_results(
    runner: Runner, fits: Sequence[Run], *, jobs: int, force: bool, progress: bool
) -> dict[Any, RunResult]:
    """Read the results of fits and their baselines from the folder, and compute the others."""
    baselines = list({run.baselines.id: run.baselines for run in fits if run.baselines}.values())
    found = {}
    for run in [] if force else [*baselines, *fits]:
        scores = runner.results.read(run.kind, run.key, run.needed)
        if scores is not None:
            found[run.id] = RunResult(run, scores)
    if n_found := sum(run.id in found for run in fits):
        log_info(f"{n_found} of {len(fits)} fits are in the folder already")
    phases = [[run for run in runs if run.id not in found] for runs in (baselines, fits)]
    total = sum(map(len, phases))
    with (
        progress_bar(total, "benchmark", "fit", shown=progress, at_once=True) as bar,
        open_workers(runner, jobs) as compute,
    ):
        for runs in phases:
            # Without baselines a fit cannot be scored.
            ready = [run for run in runs if not (run.baselines and found[run.baselines.id].error)]
            for result in compute(ready):
                found[result.run.id] = result
                bar.set_postfix_str(str(result.run))
                bar.update()
    return found


def _make_rows(
    fits: Sequence[Run], shared: Mapping[str, Mapping[str, Any]], found: Mapping[Any, RunResult]
) -> Iterator[dict[str, Any]]:
    """Yield the rows of the table: at each held-out time the baselines, then the fits."""
    for (data, time), runs in groupby(fits, key=lambda run: (run.data, run.time)):
        baselines = found[data, time, None, None]
        scores = baselines.scores
        columns = {
            **shared[data],
            "time": time,
            **{
                name: scores.get(name)
                for name in ("n_dims", "n_true", *REFERENCES, *_OF_REPLICATES)
            },
        }
        for name in BASELINES if scores else ():
            yield {
                **columns,
                "method": name,
                "role": "baseline",
                **_score_columns(scores, name),
            }
        for run in runs:
            result = found.get(run.id, RunResult(run, {}, baselines.error))
            assert run.method is not None
            yield {
                **columns,
                "method": run.method.name,
                "role": run.method.role,
                "seed": run.seed,
                **result.scores,
                "error": result.error,
            }


def _score_columns(scores: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the columns of one baseline, with the share of the gap that it closes."""
    own, midpoint = scores["baselines"][name], scores["baselines"]["midpoint"]["w1_half"]
    gap = midpoint - scores["reference"]
    return {**own, "gap_closed": (midpoint - own["w1_half"]) / gap if gap else None}


def make_table(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Make the table from rows, with the share of the gap to the best rival of each data set."""
    table = pd.DataFrame(rows).reindex(columns=list(COLUMNS))
    for column in _WHOLE:
        table[column] = table[column].astype("Int64")
    for column in _TEXT:
        table[column] = table[column].astype(object).fillna("").astype(str)
    parts = [_add_rival(part.copy()) for _, part in table.groupby("data", sort=False)]
    return pd.concat(parts, ignore_index=True)


def _add_rival(part: pd.DataFrame) -> pd.DataFrame:
    """Fill in `rival` and `gap_closed_best` of one data set."""
    rivals = part[part["role"].isin(_RIVALS)]
    # Means over some of the folds would not compare.
    whole = rivals.groupby("method")["w1"].filter(lambda scores: scores.notna().all())
    means = rivals.loc[whole.index].groupby("method", sort=False)["w1"].mean()
    if means.empty:
        return part
    best = str(means.idxmin())
    start = part["time"].map(part[part["method"] == best].groupby("time")["w1_half"].mean())
    gap = start - part["reference"]
    part["rival"] = best
    # A rival at the reference, or below it where shrinking pays, leaves no gap to close.
    part["gap_closed_best"] = (start - part["w1_half"]) / gap.where(gap > 0)
    return part
