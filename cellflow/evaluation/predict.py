"""Prediction of a held-out time by one method, and its score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from math import isnan
from time import perf_counter
from typing import Any

import numpy as np
import torch

from cellflow._random import torch_generator
from cellflow.evaluation.evaluation import Evaluation
from cellflow.evaluation.external import predict_external
from cellflow.evaluation.fold import Fold
from cellflow.evaluation.named_methods import ExternalMethod, NamedMethod
from cellflow.evaluation.protocols import Protocol
from cellflow.flow import Flow, Prediction, predict_cells
from cellflow.io import condition_weight, populations, transition_penalty
from cellflow.marginals import fit_time_axis
from cellflow.metrics import MIXTURE, NEAREST, Baselines
from cellflow.training import choose_sigma, fit_flow, resolve_fine_tuning


def score_method(
    evaluation: Evaluation,
    fold: Fold,
    baselines: Baselines,
    method: NamedMethod | ExternalMethod,
    *,
    seed: int,
    device: torch.device,
    flow: Flow | None = None,
    progress: bool = False,
    threads: int | None = None,
) -> dict[str, Any]:
    """Fit a method to the training cells, predict the held-out ones, and score the prediction.

    Parameters
    ----------
    evaluation, fold
        The data set and its held-out time.
    baselines
        Baselines and reference of the fold.
    method
        The method.
    seed
        Seed of the fit.
    device
        Where to fit.
    flow
        Flow that was fitted to the same training cells before; None fits one.
    progress
        Show progress bars on stderr.
    threads
        Transport problems that are solved side by side at most; None uses the number of cores.

    Returns
    -------
    `n_predicted`, the scores of `metrics.PredictionScore`, and `seconds`, the wall time of fit and
    prediction.
    """
    started = perf_counter()
    if isinstance(method, ExternalMethod):
        start = evaluation.protocol.start
        prediction = predict_external(method, fold, evaluation.baseline_axis, seed, start=start)
    else:
        if flow is None:
            flow = fit_fold(evaluation, fold, method, seed=seed, device=device, progress=progress)
        prediction = predict_fold(flow, fold, evaluation.protocol, torch_generator(seed))
    seconds = perf_counter() - started
    scores = score_prediction(
        fold,
        baselines,
        prediction.points,
        prediction.weights,
        progress=progress,
        threads=threads,
    )
    return {**scores, "seconds": seconds}


def fit_fold(evaluation: Evaluation, fold: Fold, method: NamedMethod, **options: Any) -> Flow:
    """Fit a flow to the training cells of a fold, after its prior if the method requires one.

    `options` are those of `training.fit_flow`.
    """
    clock = method.time_axis or evaluation.time_axis
    axis = fit_time_axis(clock, evaluation.points.times, fold.cells.x, fold.elapsed)
    chosen, recipe = method.method, method.recipe
    cells = fold.cells.weigh_conditions(condition_weight(chosen)).weigh_penalties(
        transition_penalty(chosen)
    )
    marginals = populations(cells, fold.elapsed, fold.training_times, axis)
    if method.prior is None:
        return fit_flow(marginals, axis, method=chosen, recipe=recipe, **options)
    prior = fit_flow(marginals, axis, method=method.prior, recipe=recipe, **options)
    if chosen.objective.fine_tunes:
        changes = {"sigma": choose_sigma(prior)} if method.sigma_of_prior else {}
        chosen, recipe = resolve_fine_tuning(prior, chosen, recipe, changes, {})
    return fit_flow(marginals, axis, method=chosen, recipe=recipe, prior=prior, **options)


def predict_fold(
    flow: Flow, fold: Fold, protocol: Protocol, generator: torch.Generator
) -> Prediction:
    """Predict the held-out cells from the training cells, with the settings of the protocol."""
    # A mean flow takes one step of average velocity under every protocol.
    solver_options = (
        {} if flow.is_mean_flow else {"solver": protocol.solver, "n_steps": protocol.n_steps}
    )
    (prediction,) = predict_cells(
        flow,
        fold.cells_at,
        fold.neighbours,
        [fold.time],
        start=protocol.start if fold.condition is None else "first",
        first=fold.first,
        generator=generator,
        **solver_options,
    )
    return prediction


def score_prediction(
    fold: Fold, baselines: Baselines, points: np.ndarray, weights: np.ndarray, **options: Any
) -> dict[str, Any]:
    """Return `n_predicted` and the scores of predicted cells; options as in `Baselines.fit`."""
    score = baselines.score(fold.to_cloud(points, weights), **options)
    return {"n_predicted": len(points), **asdict(score)}


def make_row(
    time: float, seed: int, scores: Mapping[str, Any], baselines: Baselines
) -> dict[str, Any]:
    """Make one row of a table of scores, with the reference and each baseline's as columns."""
    of_baselines = {
        f"{metric}_{name}": value
        for name, baseline in baselines.scores.items()
        for metric, value in asdict(baseline).items()
    }
    return {
        "time": time,
        "seed": seed,
        "n_predicted": scores["n_predicted"],
        "n_true": len(baselines.real),
        **{name: value for name, value in scores.items() if name not in ("n_predicted", "seconds")},
        **baselines.references,
        **of_baselines,
        "seconds": scores["seconds"],
    }


def describe_row(row: Mapping[str, Any]) -> str:
    """Describe W1 of one fold beside baselines and reference, all of the same cells."""
    named = ("midpoint", "previous", "next", MIXTURE, NEAREST)
    shown = {"W1": "w1", **{name: f"w1_{name}" for name in named if f"w1_{name}" in row}}
    text = ", ".join(f"{name} {row[column]:.3f}" for name, column in shown.items())
    text = f"{text}, reference {row['w1_reference']:.3f}"
    if isnan(row["w1_error"]):
        return text
    return (
        f"{text} (of a sample: W1 ± {row['w1_error']:.3f}, up to {row['w1_excess']:.3f} above that "
        "of all cells)"
    )
