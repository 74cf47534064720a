"""The verb `tl.holdout`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from math import isnan
from typing import Any

import pandas as pd
from anndata import AnnData

from cellflow._errors import InputError
from cellflow._keys import HOLDOUT, write_record
from cellflow._log import log_info
from cellflow._random import RNG, resolve_seed
from cellflow._versions import versions
from cellflow.evaluation.digest import digest_of
from cellflow.evaluation.folds import interior_times
from cellflow.evaluation.named_methods import contestant_of
from cellflow.evaluation.predict import (
    Evaluation,
    Result,
    Trial,
    evaluated_together,
    yardstick_of,
)
from cellflow.io import time_key_of
from cellflow.methods.method import Method
from cellflow.methods.recipes import Recipe
from cellflow.training import resolve_device


def holdout(
    adata: AnnData,
    *,
    time_key: str | None = None,
    times: float | str | Sequence[float | str] | None = None,
    use_rep: str | None = None,
    layer: str | None = None,
    kind: str = "auto",
    n_dims: int | None = None,
    whiten: bool = True,
    protocol: str = "strict",
    time_axis: str | None = None,
    method: str | Method | None = None,
    coupling: str | None = None,
    path: str | None = None,
    objective: str | None = None,
    growth: str | None = None,
    sigma: float | None = None,
    prior_method: str | Method | None = None,
    condition_keys: str | Sequence[str] = (),
    label_key: str | None = None,
    lineage_key: str | None = None,
    cost_rep: str | None = None,
    recipe: str | Recipe = "default",
    max_cells: int | None = None,
    rng: RNG | Sequence[int] = 0,
    device: str = "auto",
    progress: bool = True,
    key_added: str = HOLDOUT,
) -> pd.DataFrame:
    """Hold out one time after the other, predict its cells, and score them.

    Each fold fits a flow without the cells of one interior time, carries kept cells to that time,
    and compares them with the real ones by exact Wasserstein distance. What needs
    no model (the neighbours, the optimal transport midpoint, shrunken midpoints) and the distance
    of one half of the real cells from the other stand beside every score.

    Parameters
    ----------
    adata
        Cells of three or more times.
    time_key
        Column of `obs` with the times; None takes the one that `pp.time_points` recorded, or one
        of a usual name (`time`, `day`, ...).
    times
        Interior time to hold out, or several, each a fold of its own; None takes every one that
        has four cells or more.
    use_rep, layer, kind
        The representation, as in `pp.embed`; expression is embedded where `use_rep` is None.
    n_dims
        Dimensions to fit and score in; None takes 5, as published benchmarks do, or as many as
        there are.
    whiten
        Scale each dimension to variance one.
    protocol
        `strict`: nothing of the held-out cells enters; scaling and principal components are
        fitted to the kept cells, and cells of both neighbouring times are carried, the nearer
        with more weight. `paper`: as published; the representation is fitted to all cells, and
        those of the time before are carried by 100 Euler steps.
    time_axis
        Clock of the flow, as in `tl.fit`; None takes the protocol's, learned for `strict` and index
        for `paper`. Where it is learned, the midpoint has the protocol's.
    method, coupling, path, objective, growth, sigma
        As in `tl.fit`.
    prior_method
        Method of the flow that coupling `acceleration` asks and `oat-fm` fine-tunes; in each fold
        it is fitted first, to the same cells and with the same recipe. None takes `ot-cfm`. A
        fine-tuning by name takes the noise of its path, and a recipe slower and shorter, as in
        `tl.finetune`.
    condition_keys, label_key, lineage_key, cost_rep, recipe
        As in `tl.fit`; of the held-out cells none of them is used.
    max_cells
        Score this many cells a side at most, of the real ones, the predicted ones and the
        baselines alike, drawn once and by weight (so `w1_uniform` is `w1`); None scores all.
        Exact scores of 8,000 cells take minutes, of 2,000 seconds. Scores are estimates then;
        `w1_error` and `w1_excess` say how good ones.
    rng
        Seed of the fits, or a numpy generator that one is drawn from; several seeds give several
        fits a fold, measured with the same splits and baselines.
    device, progress
        As in `tl.fit`.
    key_added
        Name of the record in `uns`.

    Returns
    -------
    One row a fold and seed, distances in the units of the all-cell whitening (of the
    representation where `whiten` is off):

    `time`, `seed`, `n_predicted`, `n_true`
        The held-out time, the seed of the fit, and cells on both sides.
    `w1`, `w1_uniform`, `w2`, `mmd`, `energy`
        Of all predicted cells, with the model's weights, against all real ones; `w1_uniform` with
        equal weights.
    `w1_error`, `w1_excess`
        With `max_cells`, where some cells are left out: standard error of `w1`, from its spread
        over random halves of the sample; and by how much it lies above the W1 of all cells at most,
        on average, since fewer cells are farther apart: what W1 gained from half size to this,
        for each doubling of `max_cells` that would be needed to score all. NaN otherwise.
    `mean_error`, `cov_error`, `var_ratio`
        Distance of means, Frobenius distance of covariances, total variance over the real one.
    `w1_half`, `reference`, `gap_closed`
        W1 with as many cells as half of the real ones; one real half against the other; and how
        much of the way from the midpoint to it the prediction goes, all at that size; it says
        little where the midpoint is near the reference already.
    `{score}_{baseline}`
        `w1`, `w1_half`, `energy`, `mean_error`, `cov_error`, `var_ratio`, `w1_error`, `w1_excess`
        of `previous`, `next`, `midpoint`, `midpoint_0.7`, `midpoint_0.8`, `midpoint_0.9`.
    `seconds`
        Wall time of fit and prediction.

    Written is:

    `uns["cellflow"][key_added]`
        `scores`, this table; `settings`; `versions`.

    Raises
    ------
    InputError
        For a time that is not an interior one, fewer than three times, fewer than four cells at a
        held-out time, missing keys, or unknown names.

    Notes
    -----
    A representation that came with the data (`use_rep`, `cost_rep`) and growth rates by gene sets,
    which are scored against all cells, may have seen the held-out cells whatever the protocol;
    `settings["representation_may_have_seen_held_out"]` says so.
    """
    contestant = contestant_of(
        method,
        recipe=recipe,
        prior_method=prior_method,
        coupling=coupling,
        path=path,
        objective=objective,
        growth=growth,
        sigma=sigma,
    )
    target = resolve_device(device)
    evaluation = Evaluation.of(
        adata,
        time_key=time_key,
        use_rep=use_rep,
        layer=layer,
        kind=kind,
        n_dims=n_dims,
        whiten=whiten,
        protocol=protocol,
        time_axis=time_axis,
        condition_keys=condition_keys,
        label_key=label_key,
        lineage_key=lineage_key,
        cost_rep=cost_rep,
        max_cells=max_cells,
    )
    seeds = [resolve_seed(one) for one in (rng if isinstance(rng, Sequence) else [rng])]
    if not seeds:
        raise InputError("rng is empty; give one seed or more")
    trials = []
    for time in interior_times(evaluation.points, times):
        fold = evaluation.fold(time, contestant)
        yardstick = yardstick_of(fold, evaluation.axis, progress=progress)
        trials += [Trial(fold, yardstick, seed) for seed in seeds]
    results = evaluated_together(evaluation, trials, contestant, device=target, progress=progress)
    rows = []
    for trial, result in zip(trials, results, strict=True):
        rows.append(_row(trial, result))
        baselines = trial.yardstick.baselines
        log_info(
            f"time {trial.fold.time:g} held out: w1 {_estimate(result)}, "
            f"midpoint {baselines['midpoint'].w1:.3f}, previous {baselines['previous'].w1:.3f}"
        )
    scores = pd.DataFrame(rows)
    settings = {
        "time_key": time_key_of(adata, time_key),
        "times": scores["time"].unique(),
        "use_rep": use_rep or "",
        "layer": layer or "",
        "kind": kind,
        "n_dims": fold.cells.x.shape[1],
        "representation": fold.space,
        "whiten": whiten,
        "protocol": protocol,
        "time_axis": evaluation.clock,
        "method": contestant.method.model_dump(),
        "prior_method": None if contestant.prior is None else contestant.prior.model_dump(),
        "condition_keys": list(evaluation.condition_keys),
        "label_key": label_key,
        "lineage_key": lineage_key,
        "cost_rep": cost_rep,
        "max_cells": max_cells,
        "recipe": contestant.recipe.model_dump(),
        "seeds": seeds,
        "device": str(target),
        "data": digest_of(evaluation),
        "representation_may_have_seen_held_out": evaluation.may_have_seen([contestant]),
    }
    write_record(
        adata.uns, key_added, {"scores": scores, "settings": settings, "versions": versions()}
    )
    return scores


def _estimate(result: Result) -> str:
    """W1, and how good it is where it is of a sample."""
    score = result.score
    if isnan(score.w1_error):
        return f"{score.w1:.3f}"
    bounds = f"± {score.w1_error:.3f}, up to {score.w1_excess:.3f} above that of all cells"
    return f"{score.w1:.3f} (of a sample: {bounds})"


def _row(trial: Trial, result: Result) -> dict[str, Any]:
    """One row of the table: reference and baselines stand beside the score as columns."""
    row, yardstick = result.row, trial.yardstick
    seconds = row.pop("seconds")
    return {
        "time": trial.fold.time,
        "seed": trial.seed,
        "n_predicted": row.pop("n_predicted"),
        "n_true": len(yardstick.real),
        **row,
        "reference": yardstick.reference,
        **{
            f"{metric}_{name}": value
            for name, baseline in yardstick.baselines.items()
            for metric, value in asdict(baseline).items()
        },
        "seconds": seconds,
    }
