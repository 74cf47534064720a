"""The verb `tl.holdout`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from anndata import AnnData

from cellflow._checks import check_keywords
from cellflow._errors import InputError
from cellflow._keys import FIT, HOLDOUT, read_record, write_record
from cellflow._log import log_info
from cellflow._random import RNG, resolve_seed
from cellflow._versions import versions
from cellflow.evaluation.cautions import (
    check_score_settings,
    check_scores,
    record_cautions,
    recorded_settings,
)
from cellflow.evaluation.comparison import describe_comparison
from cellflow.evaluation.folds import Evaluation
from cellflow.evaluation.held_out import make_held_out, show_held_out
from cellflow.evaluation.named_methods import name_method
from cellflow.evaluation.predict import describe_row, make_row, score_method
from cellflow.io import check_growth_key, name_time, time_key_of
from cellflow.methods.method import Method
from cellflow.methods.recipes import Recipe
from cellflow.training import resolve_device


@check_keywords
@show_held_out
def holdout(
    adata: AnnData,
    *,
    method: str | Method | None = None,
    growth: str | None = None,
    recipe: str | Recipe = "default",
    prior_method: str | Method | None = None,
    rng: RNG | Sequence[int] = 0,
    device: str = "auto",
    progress: bool = True,
    key_added: str = HOLDOUT,
    **held_out: Any,
) -> pd.DataFrame:
    """Hold out one time after the other, predict its cells, and score them.

    Each fold fits a flow without the cells of one interior time, moves training cells to that
    time, and compares them with the real ones by exact Wasserstein distance. Predictions that need
    no model (the neighbours, the optimal transport midpoint, shrunken midpoints) and the distance
    of one half of the real cells from the other are reported with every score.

    Parameters
    ----------
    adata
        Cells of three or more times.
    **held_out
        The settings of `HeldOut`.
    method, growth, recipe
        As in `tl.fit`.
    prior_method
        Method of the flow that coupling `acceleration` needs and `oat-fm` fine-tunes; in each fold
        it is fitted first, to the same cells and with the same recipe. None uses `ot-cfm`. A
        fine-tuning by name takes the noise of its path, and a recipe slower and shorter, as in
        `tl.finetune`.
    rng
        Seed of the fits, or a numpy generator that one is drawn from; several seeds give several
        fits a fold, measured with the same splits and baselines.
    device, progress
        As in `tl.fit`.
    key_added
        Name of the record in `uns`.

    Returns
    -------
    One row for each fold and seed, distances in the units of the all-cell whitening (of the
    representation where `whiten` is off):

    `time`, `seed`, `n_predicted`, `n_true`
        The held-out time, the seed of the fit, and cells on both sides.
    `w1`, `w1_uniform`, `w2`, `mmd`, `energy`
        Distances of all predicted cells, with the model's weights, from all real ones;
        `w1_uniform` with equal weights.
    `w1_error`, `w1_excess`
        With `max_cells`, where some cells are left out: standard error of `w1`, from its spread
        over random halves of the sample; and an upper bound of its mean excess over the W1 of all
        cells, since fewer cells are farther apart: the decrease of W1 from half size to this, times
        the doublings of `max_cells` to all cells. NaN otherwise.
    `mean_error`, `cov_error`, `var_ratio`
        Distance of means, Frobenius distance of covariances, total variance over the real one.
    `w1_reference`, `w1_reference_sd`
        W1 that as many fresh cells of the same time would have, which compares with `w1`:
        `reference` extrapolated by its ratio to the W1 of quarters; and its standard deviation over
        random splits.
    `w1_half`, `reference`, `gap_closed`
        W1 with as many cells as half of the real ones; W1 of one real half from the other; and
        the share of the gap from the midpoint to it that the prediction closes, all at that size,
        for comparison with each other only. A share of a small gap is uncertain.
    `{score}_{baseline}`
        `w1`, `w1_half`, `energy`, `mean_error`, `cov_error`, `var_ratio`, `w1_error`, `w1_excess`
        of `previous`, `next`, `midpoint`, `midpoint_0.7`, `midpoint_0.8`, `midpoint_0.9`.
    `seconds`
        Wall time of fit and prediction.

    Written is:

    `uns["cellflow"][key_added]`
        `scores`, this table; `settings`; `versions`; and `cautions`, sentences on times at which
        a prediction without a model is nearer, and on settings other than those of the last fit.

    Raises
    ------
    InputError
        For a time that is not an interior one, fewer than three times, fewer than four cells at a
        held-out time, missing keys, or unknown names.

    Notes
    -----
    A representation that came with the data (`use_rep`, `cost_rep`) and growth rates of cells
    (`pp.growth`, `growth_key`), which were computed with all cells, may depend on the held-out
    cells under either protocol; `settings["representation_may_have_seen_held_out"]` says so.
    """
    named = name_method(method, recipe=recipe, prior_method=prior_method, growth=growth)
    target = resolve_device(device)
    evaluation = Evaluation(adata, make_held_out(held_out))
    check_growth_key(evaluation.settings.growth_key, reads_rates=named.needs_growth_rates)
    seeds = [resolve_seed(one) for one in (rng if isinstance(rng, Sequence) else [rng])]
    if not seeds:
        raise InputError("rng is empty; give one seed or more")
    rows = []
    for time in evaluation.find_times():
        fold = evaluation.make_fold(time, growth_rates=named.needs_growth_rates)
        baselines = fold.score_baselines(evaluation.baseline_axis, progress=progress)
        for seed in seeds:
            scores = score_method(
                evaluation, fold, baselines, named, seed=seed, device=target, progress=progress
            )
            rows.append(make_row(time, seed, scores, baselines))
            when = name_time(time, evaluation.time_unit)
            log_info(f"{when} held out: {describe_row(rows[-1])}")
    table = pd.DataFrame(rows)
    settings = {
        **evaluation.settings.model_dump(),
        "time_key": time_key_of(adata, evaluation.settings.time_key),
        "time_unit": evaluation.time_unit,
        "times": table["time"].unique(),
        "n_dims": fold.cells.x.shape[1],
        "representation": fold.representation,
        "time_axis": evaluation.time_axis,
        "condition_keys": list(evaluation.settings.condition_keys),
        "method": named.method.model_dump(),
        "prior_method": None if named.prior is None else named.prior.model_dump(),
        "recipe": named.recipe.model_dump(),
        "seeds": seeds,
        "device": str(target),
        "data": evaluation.digest(),
        "representation_may_have_seen_held_out": evaluation.may_have_seen_held_out(
            growth_rates=named.needs_growth_rates
        ),
    }
    # The table alone is what figures are given; arrays in attrs break pandas.concat.
    table.attrs["settings"] = {**settings, "times": table["time"].unique().tolist()}
    for sentence in describe_comparison(table):
        log_info(sentence)
    cautions = check_scores(table)
    fitted = read_record(adata.uns, FIT)
    if fitted is not None:
        cautions += check_score_settings(settings, recorded_settings(fitted))
    entry = {
        "scores": table,
        "settings": settings,
        "versions": versions(),
        "cautions": record_cautions(cautions),
    }
    write_record(adata.uns, key_added, entry)
    table.attrs["cautions"] = cautions
    return table
