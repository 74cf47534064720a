"""The verb `tl.holdout`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from cellflow._checks import check_keywords, format_number
from cellflow._errors import InputError
from cellflow._keys import FIT, HOLDOUT, read_record, write_record
from cellflow._log import log_info
from cellflow._random import RNG, resolve_seed
from cellflow._versions import versions
from cellflow.evaluation.cautions import (
    check_score_settings,
    check_scores,
    flow_settings,
    record_cautions,
    recorded_settings,
    representation_settings,
)
from cellflow.evaluation.evaluation import Evaluation
from cellflow.evaluation.fold import Fold
from cellflow.evaluation.held_out import HeldOut, make_held_out, show_held_out
from cellflow.evaluation.named_methods import NamedMethod, name_method
from cellflow.evaluation.predict import describe_row, fit_fold, make_row, score_method
from cellflow.evaluation.replicates import MIN_REPLICATE_CELLS, describe_scores
from cellflow.flow import Flow, check_flow
from cellflow.io import check_growth_key, name_time, time_key_of
from cellflow.methods.method import Method
from cellflow.methods.recipes import Recipe
from cellflow.training import check_side_columns, resolve_device


@check_keywords
@show_held_out
def holdout(
    adata: AnnData,
    *,
    hold_out: str = "time",
    values: float | Sequence[float] | None = None,
    flow: Flow | None = None,
    method: str | Method | None = None,
    growth: str | None = None,
    recipe: str | Recipe | None = None,
    prior_method: str | Method | None = None,
    rng: RNG | Sequence[int] = 0,
    device: str = "auto",
    progress: bool = True,
    key_added: str = HOLDOUT,
    **held_out: Any,
) -> pd.DataFrame:
    """Hold out one time, replicate or dose after the other, predict its cells, and score them.

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
    hold_out
        What a fold holds out. `time`: all cells of a time, predicted by a flow of the other times.
        `replicate`: one replicate of `replicate_key` at all times; a flow is fitted to the other
        replicates, and moves the replicate's own cells of its neighbouring times to the held-out
        one. That is the question whether a flow holds for a new donor or batch. The flow knows the
        others at that time, as the midpoint does not; the rivals are `others`, their cells of that
        time, and `others_shifted`, these moved by the replicate's mean difference from them at its
        neighbouring times.
        `condition`: one value of the first numeric column of `condition_keys`, such as a dose, at
        all times. A flow is fitted to the other values, and moves the value's own cells of the
        first time, which it was not fitted to, with that value to each later time (`times`), the
        last one included. That is the question whether a flow holds for a dose that was not
        measured. The rivals are of that time: `nearest`, the cells of the nearer of the two
        neighbouring values; `mixture`, the cells of both, each weighted by how near it is; and
        `midpoint`, both coupled by optimal transport. Only values between two others are held out.
    values
        With `hold_out="condition"`: value to hold out, or several; None uses every one that has
        four cells or more at the first time and a later one.
    flow
        Flow whose settings are scored: its representation, method, recipe, clock, and the keys
        that it was fitted with. In each fold a flow with these settings is fitted to the training
        cells; the weights of this one, which saw all cells, are not used. What is given beside it
        takes precedence.
    method, growth, recipe
        As in `tl.fit`; None uses those of `flow`, or else the defaults.
    prior_method
        Method of the flow that coupling `acceleration` needs and `oat-fm` fine-tunes; in each fold
        it is fitted first, to the same cells and with the same recipe. None uses `ot-cfm`. A
        fine-tuning by name takes the noise of its path.
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
    `n_replicates`, `w1_replicates`
        With `replicate_key`, of a held-out time: number of its replicates with enough cells, and
        the mean W1 of each from the others, brought to the size of `w1` and thus comparable with it
        and with `w1_reference`, below which it is not. So far is a repeat of the experiment. A
        prediction can be nearer if the training cells are of the same replicates, whose differences
        it then carries; if every time has replicates of its own, no method can be expected to be.
        NaN with fewer than two replicates, where the reference is that of halves alone.
    `replicate`, `{score}_others`, `{score}_others_shifted`
        With `hold_out="replicate"`: the held-out replicate, and scores of the other replicates'
        cells of that time as its prediction, as they are and shifted.
    `condition`, `below`, `above`, `share`
        With `hold_out="condition"`: the held-out value, the neighbouring ones, and its share of the
        way between them, by logarithms if values are spaced by factors. `{score}_nearest` and
        `{score}_mixture` are there instead of `previous`, `next` and the shrunken midpoints.
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
        held-out time, a value that is not between two others, missing keys, or unknown names; for a
        flow that was not fitted to cells, or was fine-tuned, which does not record the fit before.

    Notes
    -----
    The distances of two representations have different units and floors, so a score says something
    on a flow only if both share one: a file that `pp.embed` or `tl.fit` has written to is scored in
    that embedding, and `flow` settles it for any flow. `settings` records what was used.

    A representation that came with the data (`use_rep`, `cost_rep`) and growth rates of cells
    (`pp.growth`, `growth_key`), which were computed with all cells, may depend on the held-out
    cells under either protocol; `settings["representation_may_have_seen_held_out"]` says so.
    """
    if flow is not None:
        check_flow(flow)
    named = _name_method(flow, method, recipe, prior_method, growth)
    target = resolve_device(device)
    given = make_held_out(held_out)
    _check_side_columns(given, named)
    evaluation = Evaluation(adata, given, flow)
    seeds = [resolve_seed(one) for one in (rng if isinstance(rng, Sequence) else [rng])]
    if not seeds:
        raise InputError("rng is empty; give one seed or more")
    parts = evaluation.find_parts(hold_out, values)
    evaluation.check_columns(parts[0], growth_rates=named.needs_growth_rates)
    evaluation.read_matrices()
    rows: list[dict[str, Any]] = []
    flows: dict[tuple[str | None, float | None, int], Flow] = {}
    for part in parts:
        fold = evaluation.make_fold(part, growth_rates=named.needs_growth_rates)
        if not rows:
            log_info(_describe_space(evaluation, fold))
        baselines = fold.score_baselines(evaluation.baseline_axis, progress=progress)
        own = _columns_of_fold(evaluation, fold, baselines.w1_reference)
        for seed in seeds:
            # All times of a replicate or value share the training cells, and so the flow.
            key = part.replicate, part.value, seed
            if not part.is_time and key not in flows:
                flows[key] = fit_fold(
                    evaluation, fold, named, seed=seed, device=target, progress=progress
                )
            scores = score_method(
                evaluation,
                fold,
                baselines,
                named,
                seed=seed,
                device=target,
                flow=flows.get(key),
                progress=progress,
            )
            rows.append({**make_row(part.time, seed, scores, baselines), **own})
            when = name_time(part.time, evaluation.time_unit)
            log_info(f"{when}{_describe_part(fold)} held out: {describe_row(rows[-1])}")
    table = pd.DataFrame(rows)
    times = [float(time) for time in table["time"].unique()]
    settings = {
        **evaluation.settings.model_dump(),
        "time_key": time_key_of(adata, evaluation.settings.time_key),
        "time_unit": evaluation.time_unit,
        "times": np.array(times),
        **representation_settings(fold.representation),
        "representation": fold.representation.describe(),
        "start": "first" if hold_out == "condition" else evaluation.protocol.start,
        "time_axis": evaluation.time_axis,
        "condition_keys": list(evaluation.settings.condition_keys),
        "hold_out": hold_out,
        **({"held_out_condition": fold.condition.key} if fold.condition else {}),
        "flow_id": None if flow is None else flow.fingerprint,
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
    # The table alone is what figures and reports are given; arrays in attrs break pandas.concat.
    table.attrs["settings"] = {**settings, "times": times}
    for sentence in describe_scores(table):
        log_info(sentence)
    fitted = read_record(adata.uns, FIT)
    of_settings = []
    if flow is not None:
        of_settings = check_score_settings(settings, flow_settings(flow))
    elif fitted is not None:
        of_settings = check_score_settings(settings, recorded_settings(fitted))
    # Cautions on the scores are those of the rows at hand, which users select.
    table.attrs["cautions"] = of_settings
    cautions = check_scores(table) + of_settings
    entry = {
        "scores": table,
        "settings": settings,
        "versions": versions(),
        "cautions": record_cautions(cautions),
    }
    write_record(adata.uns, key_added, entry)
    return table


def _describe_part(fold: Fold) -> str:
    """Describe the held-out replicate or value of a fold; empty if a time is held out."""
    if fold.condition is not None:
        return f" of {fold.condition.key} {format_number(fold.condition.value)}"
    return "" if fold.part.replicate is None else f" of replicate {fold.part.replicate}"


def _columns_of_fold(evaluation: Evaluation, fold: Fold, reference: float) -> dict[str, Any]:
    """Return the columns on what is held out, and log if replicates cannot be compared."""
    if fold.condition is not None:
        return fold.condition.columns()
    if fold.part.replicate is not None:
        return {"replicate": fold.part.replicate}
    if evaluation.replicates is None:
        return {}
    columns = fold.score_replicates(reference)
    if columns["n_replicates"] < 2:
        log_info(
            f"of obs[{evaluation.replicates.key!r}], {columns['n_replicates'] or 'none'} has "
            f"{MIN_REPLICATE_CELLS} cells or more at time {format_number(fold.time)}, so "
            "replicates cannot be compared there and the reference is that of halves alone"
        )
    return columns


def _check_side_columns(given: HeldOut, named: NamedMethod) -> None:
    """Check that the method uses the columns of the cells that are given."""
    check_growth_key(given.growth_key, reads_rates=named.needs_growth_rates)
    for method in filter(None, (named.method, named.prior)):
        check_side_columns(
            method,
            clones=given.lineage_key is not None,
            features=given.cost_rep is not None,
            transitions=bool(given.allowed_transitions),
        )


def _name_method(
    flow: Flow | None,
    method: str | Method | None,
    recipe: str | Recipe | None,
    prior_method: str | Method | None,
    growth: str | None,
) -> NamedMethod:
    """Return the method to score: that of the flow unless another is given."""
    if flow is not None and method is None:
        if flow.method.objective.fine_tunes:
            raise InputError(
                "the flow was fine-tuned and does not record the fit before, so its score cannot "
                "be measured from it alone: give method 'oat-fm', and prior_method and recipe of "
                "the fit before"
            )
        method = flow.method
    if recipe is None:
        recipe = "default" if flow is None else flow.recipe
    return name_method(method, recipe=recipe, prior_method=prior_method, growth=growth)


def _describe_space(evaluation: Evaluation, fold: Fold) -> str:
    """Describe the representation of the scores, and where it comes from."""
    origin = f" (as recorded in {evaluation.origin})" if evaluation.origin else ""
    return f"scored in {fold.representation.describe()}{origin}"
