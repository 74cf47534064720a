"""The verb `tl.finetune`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from anndata import AnnData

from cellflow._checks import check_keywords, format_list, format_number
from cellflow._errors import InputError
from cellflow._keys import FINETUNE
from cellflow._random import RNG, resolve_seed
from cellflow.flow import Flow
from cellflow.io import (
    SideColumns,
    TimePoints,
    conditions_of,
    populations,
    time_points_for_flow,
)
from cellflow.io.matrices import take_cells
from cellflow.methods.method import Method
from cellflow.methods.recipes import Recipe
from cellflow.representation import from_context, points_of
from cellflow.tl._fit import digest_inputs, record_fit
from cellflow.training import (
    Checkpoint,
    fit_flow,
    make_checkpoint,
    report_straightness,
    resolve_device,
    resolve_fine_tuning,
)


@check_keywords
def finetune(
    adata: AnnData,
    flow: Flow,
    *,
    time_key: str | None = None,
    method: str | Method = "oat-fm",
    recipe: str | Recipe | None = None,
    n_steps: int | None = None,
    learning_rate: float | None = None,
    rng: RNG = 0,
    device: str = "auto",
    checkpoint: Checkpoint | str | Path | None = None,
    progress: bool = True,
    key_added: str = FINETUNE,
) -> Flow:
    """Fine-tune a fitted flow towards straighter paths: optimal acceleration transport (OAT-FM).

    Cells are paired by the least acceleration between the flow's velocities at both ends, and its
    net is trained further with the acceleration as its loss. Path energy, its excess over optimal
    transport, and W2 to the cells are reported before and after.

    Parameters
    ----------
    adata
        The time course that the flow was fitted to, with cells at all of its times.
    flow
        Flow returned by `tl.fit` with a method that learns only a velocity; it is not changed.
        Its representation, times, covariates and labels are used.
    time_key
        Column of `obs` with the times; None uses the one that the flow was fitted to.
    method
        `oat-fm`, with the noise of the path of the flow if that path is straight, else 0; or a
        method with its own noise and settings, such as
        `cellflow.method("oat-fm", oat_alpha=2 / 3, sigma=0)`.
    recipe
        As in `tl.fit`; the net is that of the flow. None uses that of the flow.
    n_steps, learning_rate
        Replace the values of the recipe.
    rng
        Seed, or a numpy generator that one is drawn from.
    device
        `auto`, `cpu`, `cuda`, `cuda:1`, ...
    checkpoint
        As in `tl.fit`.
    progress
        Show a progress bar on stderr.
    key_added
        Name of the record in `uns`.

    Returns
    -------
    The flow; its `record.fine_tuning` has the measures before and after. Written is:

    `uns["cellflow"][key_added]`
        As by `tl.fit`; the history has the `ratio` of spreads as well.

    Raises
    ------
    InputError
        For a flow of other nets than a velocity, another net in the recipe, or missing times.

    References
    ----------
    Yue et al. 2025, arXiv 2509.24936. No code of theirs is public; docs/methods/oat-fm.md says
    which choices are ours.

    Examples
    --------
    >>> import cellflow as cf
    >>> adata = cf.datasets.semrau2017()
    >>> adata = adata[adata.X.getnnz(axis=1) > 0].copy()
    >>> cf.pp.embed(adata, n_dims=3)
    >>> short = cf.recipe("default", n_steps=10, net={"width": 16})
    >>> flow = cf.tl.fit(adata, method="i-cfm", time_key="time", recipe=short, progress=False)
    >>> cf.tl.finetune(adata, flow, progress=False).recipe.n_steps
    10
    """
    target = resolve_device(device)
    checkpoint = make_checkpoint(checkpoint)
    representation = from_context(flow.context)
    chosen, chosen_recipe = resolve_fine_tuning(
        flow, method, recipe, {}, {"n_steps": n_steps, "learning_rate": learning_rate}
    )
    points = time_points_for_flow(adata, flow, time_key)
    used = np.isin(points.elapsed, flow.axis.times)
    _check_times(points, flow)
    label_key = flow.inputs.label_key
    rows = None if used.all() else used
    x = points_of(adata, representation, rows)
    cells = SideColumns(label_key).batch(take_cells(adata, rows), x, conditions_of(flow))
    marginals = populations(cells, points.elapsed[used], flow.axis.times, flow.axis)
    data = digest_inputs(cells, points.elapsed[used])
    # Of a million cells these are a quarter of the memory, and the marginals have their own.
    del cells, x
    tuned = fit_flow(
        marginals,
        flow.axis,
        method=chosen,
        recipe=chosen_recipe,
        seed=resolve_seed(rng),
        device=target,
        prior=flow,
        checkpoint=checkpoint and checkpoint.with_identity({"data": data}),
        progress=progress,
    )
    inputs = replace(
        tuned.inputs,
        data=data,
        time_key=time_key or flow.time_key,
        use_rep=flow.inputs.use_rep,
        time_unit=flow.inputs.time_unit,
        condition_keys=flow.inputs.condition_keys,
        label_key=label_key,
    )
    tuned = report_straightness(flow, tuned, marginals)
    tuned = replace(tuned, inputs=inputs, context=flow.context)
    record_fit(adata, tuned, key_added)
    return tuned


def _check_times(points: TimePoints, flow: Flow) -> None:
    if missing := sorted(set(flow.axis.times) - set(points.times)):
        raise InputError(
            f"no cells at times {format_list(map(format_number, missing))} of the flow; "
            f"times in the data: {points.describe()}"
        )
