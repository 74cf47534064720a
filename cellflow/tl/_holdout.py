"""The verb `tl.holdout`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from time import perf_counter
from typing import Any

import pandas as pd
import torch
from anndata import AnnData

from cellflow._checks import check_choice
from cellflow._errors import InputError
from cellflow._keys import HOLDOUT, record
from cellflow._log import tell
from cellflow._random import RNG, seed_of, torch_generator
from cellflow._versions import versions
from cellflow.flow import Flow
from cellflow.io import SideColumns, populations, time_key_of, time_points_of
from cellflow.marginals import Marginals, TimeAxis, fit_axis
from cellflow.methods.method import Method, method_of
from cellflow.methods.protocols import PROTOCOLS, Protocol
from cellflow.methods.recipes import Recipe, recipe_of
from cellflow.metrics import Yardstick, make_baselines
from cellflow.representation import Settings
from cellflow.tl._carry import Carried, carry
from cellflow.tl._folds import SCORING_SEED, Fold, interior_times, make_fold
from cellflow.training import fit_flow, resolve_device, settings_after, sigma_after

#: Dimensions that published single-cell benchmarks score in.
_BENCHMARK_DIMS = 5


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
        Exact scores of 8,000 cells take minutes, of 2,000 seconds.
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
    `mean_error`, `cov_error`, `var_ratio`
        Distance of means, Frobenius distance of covariances, total variance over the real one.
    `w1_half`, `reference`, `gap_closed`
        W1 with as many cells as half of the real ones; one real half against the other; and how
        much of the way from the midpoint to it the prediction goes, all at that size; it says
        little where the midpoint is near the reference already.
    `{score}_{baseline}`
        `w1`, `w1_half`, `energy`, `mean_error`, `cov_error`, `var_ratio` of `previous`, `next`,
        `midpoint`, `midpoint_0.7`, `midpoint_0.8`, `midpoint_0.9`.
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
    check_choice(protocol, PROTOCOLS, "protocol")
    rules = PROTOCOLS[protocol]
    clock = rules.flow_axis if time_axis is None else time_axis
    chosen = method_of(
        method, coupling=coupling, path=path, objective=objective, growth=growth, sigma=sigma
    )
    before = _prior(chosen, prior_method)
    recipe = recipe_of(recipe)
    target = resolve_device(device)
    points = time_points_of(adata, time_key)
    asked = Settings(
        use_rep=use_rep,
        layer=layer,
        kind=kind,
        n_dims=n_dims,
        max_dims=_BENCHMARK_DIMS,
        whiten=whiten,
    )
    keys = [condition_keys] if isinstance(condition_keys, str) else condition_keys
    known = SideColumns(label_key, lineage_key, cost_rep, growth=chosen.growth == "gene-sets")
    seeds = [seed_of(one) for one in (rng if isinstance(rng, Sequence) else [rng])]
    if not seeds:
        raise InputError("rng is empty; give one seed or more")
    if isinstance(times, str | float | int):
        times = [times]

    rows = []
    for time in interior_times(points, times):
        fold = make_fold(
            adata,
            points,
            time,
            asked,
            known,
            condition_keys=keys,
            fit_to_all=rules.representation_sees_held_out,
            max_cells=max_cells,
        )
        # Baselines have the protocol's clock where the flow learns its own, to be the same for all.
        plain = TimeAxis(rules.time_axis if clock == "learned" else clock, points.times)
        yardstick = _yardstick(fold, plain, progress=progress)
        axis = fit_axis(clock, points.times, fold.cells.x, fold.elapsed)
        marginals = populations(fold.cells, fold.elapsed, fold.kept, axis)
        for seed in seeds:
            started = perf_counter()
            flow = _fitted(
                marginals,
                axis,
                chosen,
                before,
                by_name=isinstance(method, str) and sigma is None,
                recipe=recipe,
                seed=seed,
                device=target,
                progress=progress,
            )
            predicted = _predict(flow, fold, rules, torch_generator(seed))
            seconds = perf_counter() - started
            cloud = fold.cloud(predicted.points, predicted.weights)
            row = {
                "time": time,
                "seed": seed,
                "n_predicted": len(predicted.points),
                "n_true": len(yardstick.real),
                **asdict(yardstick.measure(cloud, progress=progress)),
                **_columns(yardstick),
                "seconds": seconds,
            }
            rows.append(row)
            tell(
                f"time {time:g} held out: w1 {row['w1']:.3f}, midpoint {row['w1_midpoint']:.3f}, "
                f"previous {row['w1_previous']:.3f}"
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
        "time_axis": clock,
        "method": chosen.model_dump(),
        "prior_method": None if before is None else before.model_dump(),
        "condition_keys": list(keys),
        "label_key": label_key,
        "lineage_key": lineage_key,
        "cost_rep": cost_rep,
        "max_cells": max_cells,
        "recipe": recipe.model_dump(),
        "seeds": seeds,
        "device": str(target),
        "representation_may_have_seen_held_out": (
            rules.representation_sees_held_out
            or use_rep is not None
            or cost_rep is not None
            or known.growth
        ),
    }
    record(adata.uns, key_added, {"scores": scores, "settings": settings, "versions": versions()})
    return scores


def _prior(method: Method, prior: str | Method | None) -> Method | None:
    """Method of the flow that this one needs fitted before, if it needs one."""
    if method.coupling != "acceleration":
        if prior is not None:
            raise InputError(
                f"coupling {method.coupling!r} asks no flow fitted before, so prior_method has no "
                "effect; 'acceleration' does"
            )
        return None
    before = method_of("ot-cfm" if prior is None else prior)
    if before.coupling == "acceleration":
        raise InputError(
            "prior_method must need no flow itself, and coupling 'acceleration' does; take ot-cfm"
        )
    if method.objective == "oat" and (before.objective != "velocity" or before.path == "target"):
        raise InputError(
            f"oat-fm goes on from a velocity alone between populations; prior_method learns "
            f"{before.objective!r} on path {before.path!r}"
        )
    return before


def _fitted(
    marginals: Marginals,
    axis: TimeAxis,
    method: Method,
    before: Method | None,
    *,
    by_name: bool,
    recipe: Recipe,
    **options: Any,
) -> Flow:
    """A flow of the kept cells, and before it the one that it needs."""
    if before is None:
        return fit_flow(marginals, axis, method=method, recipe=recipe, **options)
    prior = fit_flow(marginals, axis, method=before, recipe=recipe, **options)
    if method.objective == "oat":
        changes = {"sigma": sigma_after(prior)} if by_name else {}
        method, recipe = settings_after(prior, method, None, changes, {})
    return fit_flow(marginals, axis, method=method, recipe=recipe, prior=prior, **options)


def _predict(flow: Flow, fold: Fold, rules: Protocol, generator: torch.Generator) -> Carried:
    # Average velocities are learned to get there in one step.
    way = {} if flow.leaps else {"solver": rules.solver, "n_steps": rules.n_steps}
    return carry(
        flow,
        fold.at,
        (fold.before, fold.after),
        fold.time,
        start=rules.start,
        generator=generator,
        **way,
    )


def _yardstick(fold: Fold, axis: TimeAxis, *, progress: bool) -> Yardstick:
    previous, following = (fold.observed(time) for time in (fold.before, fold.after))
    baselines = make_baselines(previous, following, fold.fraction(axis))
    real = fold.observed(fold.time)
    return Yardstick.make(real, baselines, SCORING_SEED, progress=progress)


def _columns(yardstick: Yardstick) -> dict[str, float]:
    """Reference and baselines as columns of the table."""
    columns = {"reference": yardstick.reference}
    for name, baseline in yardstick.baselines.items():
        columns |= {f"{metric}_{name}": value for metric, value in asdict(baseline).items()}
    return columns
