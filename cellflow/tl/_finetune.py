"""The verb `tl.finetune`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from anndata import AnnData

from cellflow._checks import format_list
from cellflow._errors import InputError
from cellflow._keys import FINETUNE
from cellflow._random import RNG, resolve_seed
from cellflow.flow import Flow
from cellflow.io import Conditions, SideColumns, TimePoints, flow_times_of, populations
from cellflow.methods.method import Method
from cellflow.methods.recipes import Recipe
from cellflow.representation import from_context, points_of
from cellflow.tl._fit import checksum, kept
from cellflow.training import compared, fit_flow, resolve_device, settings_after


def finetune(
    adata: AnnData,
    flow: Flow,
    *,
    time_key: str | None = None,
    method: str | Method = "oat-fm",
    alpha: float | None = None,
    target: str | None = None,
    sigma: float | None = None,
    copy_every: int | None = None,
    tolerance: float | None = None,
    recipe: str | Recipe | None = None,
    n_steps: int | None = None,
    learning_rate: float | None = None,
    rng: RNG = 0,
    device: str = "auto",
    progress: bool = True,
    key_added: str = FINETUNE,
) -> Flow:
    """Fine-tune a fitted flow towards straighter paths: optimal acceleration transport (OAT-FM).

    Cells are paired so that the flow has to bend least, and its net is trained on by the cost of
    what it still has to bend. Path energy, its excess over optimal transport, and W2 to the cells
    are told before and after.

    Parameters
    ----------
    adata
        The time course that the flow was fitted to, with cells at all of its times.
    flow
        Of `tl.fit`, by a method that learns a velocity alone. It decides the representation, the
        times, covariates and labels. It is left as it is.
    time_key
        Column of `obs` with the times; None takes the one that the flow was fitted to.
    method
        `oat-fm`, or a `Method` with objective `oat` and every number.
    alpha
        Weight of the displacement beside the end velocities. None takes 4/5, the only one that
        leaves the populations as they are; 2/3 and 12/13 are of note.
    target
        `linear`, or `hermite` for cubic paths, which leave the populations as they are and have no
        alpha.
    sigma
        Noise of the path; None takes that of the flow where its path is straight, else 0.
    copy_every
        Steps after which the net that gives the end velocities becomes a copy of the trained one;
        None lets it follow by an average with decay 0.9999.
    tolerance
        How much wider or narrower the cells may become that the flow carries, as a share, before
        training stops with a warning; None takes 0.05.
    recipe
        As in `tl.fit`; the net is that of the flow. None takes the recipe of the flow with a tenth
        of the learning rate and a quarter of the steps.
    n_steps, learning_rate
        Instead of the recipe's.
    rng
        Seed, or a numpy generator that one is drawn from.
    device
        `auto`, `cpu`, `cuda`, `cuda:1`, ...
    progress
        Show a progress bar on stderr.
    key_added
        Name of the record in `uns`.

    Returns
    -------
    The flow, whose settings have the numbers before and after under `fine_tuning`. Written is:

    `uns["cellflow"][key_added]`
        As by `tl.fit`; the history has the `ratio` of spreads as well.

    Raises
    ------
    InputError
        For a flow of other nets than a velocity, another net in the recipe, or missing times.

    References
    ----------
    Yue et al. 2025, arXiv 2509.24936. No code of theirs is public; docs/oat.md says which choices
    are ours.

    Examples
    --------
    >>> import cellflow as cf
    >>> adata = cf.datasets.semrau2017()
    >>> adata = adata[adata.X.getnnz(axis=1) > 0].copy()
    >>> cf.pp.embed(adata, n_dims=3)
    >>> short = cf.recipe("default", n_steps=10, net={"width": 16})
    >>> flow = cf.tl.fit(adata, method="i-cfm", time_key="time", recipe=short, progress=False)
    >>> cf.tl.finetune(adata, flow, progress=False).settings["recipe"]["n_steps"]
    3
    """
    representation = from_context(flow.context)
    chosen, numbers = settings_after(
        flow,
        method,
        recipe,
        {
            "oat_alpha": alpha,
            "oat_target": target,
            "sigma": sigma,
            "oat_copy_every": copy_every,
            "oat_tolerance": tolerance,
        },
        {"n_steps": n_steps, "learning_rate": learning_rate},
    )
    points = flow_times_of(adata, flow, time_key)
    used = np.isin(points.elapsed, flow.axis.times)
    _check_times(points, flow)
    conditions = Conditions(tuple(flow.context.settings.get("conditions", ())))
    label_key = flow.settings.get("label_key")
    moved = points_of(adata, representation, used)
    cells = SideColumns(label_key).batch(adata[used], moved, conditions)
    marginals = populations(cells, points.elapsed[used], flow.axis.times, flow.axis)
    tuned = fit_flow(
        marginals,
        flow.axis,
        method=chosen,
        recipe=numbers,
        seed=resolve_seed(rng),
        device=resolve_device(device),
        prior=flow,
        progress=progress,
    )
    settings = {**flow.context.settings, "time_key": time_key or flow.time_key}
    columns = {
        "data": checksum(cells, points.elapsed[used]),
        "use_rep": flow.settings.get("use_rep"),
        "condition_keys": [column["key"] for column in conditions.columns],
        "label_key": label_key,
        "lineage_key": None,
        "cost_rep": None,
        "prior": flow.fingerprint,
    }
    context = replace(flow.context, settings=settings)
    return kept(adata, compared(flow, tuned, marginals), context, columns, key_added)


def _check_times(points: TimePoints, flow: Flow) -> None:
    if missing := sorted(set(flow.axis.times) - set(points.times)):
        raise InputError(
            f"no cells at times {format_list(f'{time:g}' for time in missing)} of the flow; "
            f"times in the data: {points.described()}"
        )
