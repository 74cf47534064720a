"""The verb `tl.benchmark`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from numbers import Integral
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
from anndata import AnnData
from tqdm.auto import tqdm

from cellflow._checks import check_choice, check_positive
from cellflow._errors import InputError
from cellflow._log import log_info
from cellflow._random import resolve_seed
from cellflow.evaluation.external import check_peer
from cellflow.evaluation.named_methods import Contestant, Peer, contestants_of
from cellflow.evaluation.plan import HeldOut, held_out_of
from cellflow.evaluation.results import ROWS, YARDSTICKS, BenchmarkFolder
from cellflow.evaluation.runs import DataSet, Desk, Fit, Place, Unit
from cellflow.evaluation.table import table_of
from cellflow.evaluation.workers import Outcome, Workers, workers
from cellflow.io.courses import published
from cellflow.methods.recipes import Recipe, recipe_of
from cellflow.metrics import BASELINES

#: Name of cells that came without one.
_UNNAMED = "data"


def benchmark(
    adata: AnnData | Mapping[str, AnnData | str | Path],
    *,
    methods: Sequence[str | Mapping[str, Any] | Contestant | Peer] = ("default",),
    seeds: Sequence[int] = (0,),
    recipe: str | Recipe = "default",
    time_key: str | None = None,
    times: float | str | Sequence[float | str] | None = None,
    use_rep: str | None = None,
    layer: str | None = None,
    kind: str = "auto",
    n_dims: int | None = None,
    whiten: bool = True,
    protocol: str = "strict",
    time_axis: str | None = None,
    max_cells: int | None = None,
    each: Mapping[str, Mapping[str, Any] | HeldOut] | None = None,
    folder: str | Path | None = None,
    jobs: int = 1,
    part: tuple[int, int] | None = None,
    force: bool = False,
    device: str = "auto",
    progress: bool = True,
) -> pd.DataFrame:
    """Compare methods on held-out times of one data set or several.

    Every interior time of every data set is held out, every method fitted there with every seed,
    and scored as by `tl.holdout`, with the same splits, baselines and reference for all.

    Parameters
    ----------
    adata
        Cells of three times or more; or several data sets by name, as cells or as files: `.h5ad`,
        or the `.npz` of TrajectoryNet, of which `X_pca` is taken where `use_rep` is None.
    methods
        Names; or mappings with `method` and, all optional, `name`, `recipe`, `prior_method` and
        any setting of a method or a recipe, `{"method": "ot-cfm", "sigma": 0.3, "n_steps": 500}`.
        `torchcfm:ot-cfm` and `torchcfm:i-cfm` run that package (extra `torchcfm`) on the same
        arrays, by the recipe of its single-cell runner.
    seeds
        Of the fits.
    recipe
        Of the methods that name none of their own; peers have their own.
    time_key, times, use_rep, layer, kind, n_dims, whiten, protocol, time_axis, max_cells
        As in `tl.holdout`, for all data sets.
    each
        What is different for single data sets, by name: these settings, and `condition_keys`,
        `label_key`, `lineage_key`, `cost_rep`.
    folder
        Where finished scores are kept, made if need be. With the same folder a run that was
        stopped goes on, and methods, seeds, times and data can be added; None keeps nothing.
    jobs
        Processes. With several, a script needs `if __name__ == "__main__":` around its work, and
        each takes the memory of an exact transport problem (4 GB at 8,000 cells against 16,000).
    part
        (k, n) does the k-th of n parts alone, counted from 1: every n-th held-out time with all
        its fits. Several machines share the work so, on one `folder`; with all parts done a run
        without this gathers the table at once.
    force
        Compute again what is kept.
    device
        As in `tl.fit`.
    progress
        Show a progress bar on stderr.

    Returns
    -------
    A row for each fit and each baseline, in the order of data, times, methods and seeds.
    Distances are in the units of `tl.holdout`:

    `data`, `published`
        Name of the data set; whether its file is the one of published scores (`yes`; `no` where
        only its name is; empty for others).
    `protocol`, `time_axis`, `n_dims`, `whiten`, `max_cells`
        How its times were held out.
    `representation_may_have_seen_held_out`
        Whether anything that predictions rest on may have seen the held-out cells.
    `time`, `method`, `role`, `seed`
        The held-out time; name of a method or baseline; `model`, `peer` or `baseline`; the seed.
    `w1`, `energy`, `mean_error`, `cov_error`, `var_ratio`, `w1_uniform`, `w2`, `mmd`
        Scores of all cells; the last three of methods only.
    `w1_error`, `w1_excess`
        With `max_cells`, how far `w1` may be from that of all cells, as in `tl.holdout`.
    `w1_half`, `reference`, `gap_closed`
        At half size, as in `tl.holdout`: W1, that of one real half from the other, and the share
        of the way from the midpoint to it.
    `rival`, `gap_closed_best`
        The baseline or peer of the lowest mean W1 on this data set, and the share of the way from
        its `w1_half` of this time (mean over its seeds) to the reference; NaN where that is at the
        reference or below.
    `seconds`, `n_predicted`, `n_true`
        Wall time of fit and prediction; cells on both sides.
    `error`
        Why a fit failed and has no scores; empty otherwise. A failed fit is tried again in the
        next run.

    Written is, where `folder` is given:

    `folder/yardsticks`, `folder/rows`
        A small JSON file for each held-out time and each fit, named by a digest of all that
        decides it: cells, settings, seed, version and device.

    Raises
    ------
    InputError
        For unknown names and settings, data that cannot be read or held out, and a peer whose
        package is missing, all before the first fit.
    FileError
        If the folder cannot be written to, or holds something else.
    CellflowError
        If a process was ended from outside.
    """
    contestants = contestants_of(methods, recipe_of(recipe))
    for contestant in contestants:
        if isinstance(contestant, Peer):
            check_peer(contestant)
    numbers = _seeds(seeds)
    check_positive(jobs, "jobs")
    mine = _share(part)
    shared = {
        "time_key": time_key,
        "times": times,
        "use_rep": use_rep,
        "layer": layer,
        "kind": kind,
        "n_dims": n_dims,
        "whiten": whiten,
        "protocol": protocol,
        "time_axis": time_axis,
        "max_cells": max_cells,
    }
    courses = _courses(adata, shared, each or {})
    with _opened(folder) as kept:
        settings = (courses, kept, device)
        desk = Desk(*settings)
        units, described = [], {}
        for name in courses:
            units += desk.units(name)
            described[name] = _description(desk, name, contestants)
        fits = [
            Fit(unit, contestant, seed, desk.device.type)
            for unit in units[mine]
            for contestant in contestants
            for seed in numbers
        ]
        kept.make()
        with workers(desk if jobs == 1 else settings, jobs) as crew:
            found = _computed(crew, kept, fits, force=force, progress=progress)
    return table_of(list(_rows(fits, described, found)))


def _share(part: tuple[int, int] | None) -> slice:
    """The held-out times of a part."""
    if part is None:
        return slice(None)
    k, n = part
    if not 1 <= k <= n:
        raise InputError(f"part {k} of {n} does not exist; parts are counted from 1 to {n}")
    return slice(k - 1, None, n)


def _seeds(seeds: Sequence[int]) -> list[int]:
    for seed in seeds:
        if isinstance(seed, bool) or not isinstance(seed, Integral) or seed < 0:
            raise InputError(f"seeds must be whole numbers from 0, got {seed!r}")
    if not (numbers := [resolve_seed(int(seed)) for seed in dict.fromkeys(seeds)]):
        raise InputError("seeds is empty; give one seed or more")
    return numbers


def _courses(
    adata: AnnData | Mapping[str, AnnData | str | Path],
    shared: Mapping[str, Any],
    each: Mapping[str, Mapping[str, Any] | HeldOut],
) -> dict[str, DataSet]:
    sources = {_UNNAMED: adata} if isinstance(adata, AnnData) else dict(adata)
    if not sources:
        raise InputError("there are no data to compare methods on")
    for name in each:
        check_choice(name, sources, "data set in each")
    courses = {}
    for name, source in sources.items():
        own = each.get(name, {})
        settings = own if isinstance(own, HeldOut) else held_out_of(name, {**shared, **own})
        courses[name] = DataSet(
            name, source if isinstance(source, AnnData) else Path(source), settings
        )
    return courses


@contextmanager
def _opened(folder: str | Path | None) -> Iterator[BenchmarkFolder]:
    if folder is not None:
        yield BenchmarkFolder.at(folder)
        return
    with TemporaryDirectory() as temporary:
        yield BenchmarkFolder.at(temporary)


def _description(desk: Desk, name: str, contestants: Sequence[Contestant | Peer]) -> dict[str, Any]:
    """Columns that all rows of a data set share."""
    course, evaluation = desk.courses[name], desk.evaluation(name)
    return {
        "data": name,
        "published": published(course.source) if isinstance(course.source, Path) else "",
        "protocol": course.settings.protocol,
        "time_axis": evaluation.clock,
        "whiten": course.settings.whiten,
        "max_cells": course.settings.max_cells,
        "representation_may_have_seen_held_out": evaluation.may_have_seen(contestants),
    }


def _computed(
    crew: Workers, folder: BenchmarkFolder, fits: Sequence[Fit], *, force: bool, progress: bool
) -> dict[Place, Outcome]:
    """What comes of every unit and fit: read where it is kept, else computed."""
    units = list({fit.unit.place: fit.unit for fit in fits}.values())
    found: dict[Place, Outcome] = {}
    tasks: list[Unit | Fit] = [] if force else [*units, *fits]
    for task in tasks:
        kind = ROWS if isinstance(task, Fit) else YARDSTICKS
        value = folder.read(kind, task.key)
        if value is not None:
            found[task.place] = Outcome(task, value)
    if there := sum(fit.place in found for fit in fits):
        log_info(f"{there} of {len(fits)} fits are there already")
    missing = [unit for unit in units if unit.place not in found]
    todo = [fit for fit in fits if fit.place not in found]
    with tqdm(
        total=len(missing) + len(todo), disable=not progress, desc="benchmark", unit="fit"
    ) as bar:
        for phase in (missing, todo):
            possible = [task for task in phase if _can_be_scored(task, found)]
            for outcome in crew.outcomes(possible):
                found[outcome.task.place] = outcome
                bar.set_postfix_str(str(outcome.task))
                bar.update()
    return found


def _can_be_scored(task: Unit | Fit, found: Mapping[Place, Outcome]) -> bool:
    return isinstance(task, Unit) or not found[task.unit.place].error


def _rows(
    fits: Sequence[Fit],
    described: Mapping[str, Mapping[str, Any]],
    found: Mapping[Place, Outcome],
) -> Iterator[dict[str, Any]]:
    """Rows of the table: of each unit the baselines, then the fits."""
    for place, group in groupby(fits, key=lambda fit: fit.unit.place):
        yardstick = found[place]
        kept = yardstick.value
        shared = {
            **described[str(place[0])],
            "time": place[1],
            **{name: kept.get(name) for name in ("n_dims", "n_true", "reference")},
        }
        for name in BASELINES if kept else ():
            yield {**shared, "method": name, "role": "baseline", **_baseline(kept, name)}
        for fit in group:
            outcome = found.get(fit.place, yardstick)
            yield {
                **shared,
                "method": fit.contestant.name,
                "role": "peer" if isinstance(fit.contestant, Peer) else "model",
                "seed": fit.seed,
                **(outcome.value if fit.place in found else {}),
                "error": outcome.error,
            }


def _baseline(yardstick: Mapping[str, Any], name: str) -> dict[str, Any]:
    scores = yardstick["baselines"]
    start, reference = scores["midpoint"]["w1_half"], yardstick["reference"]
    closed = start - scores[name]["w1_half"]
    gap = start - reference
    return {**scores[name], "gap_closed": closed / gap if gap else None}
