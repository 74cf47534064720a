"""The verb `tl.fit`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

from cellflow._batch import Batch
from cellflow._checks import check_keywords
from cellflow._keys import FIT, HOLDOUT, read_record, write_record
from cellflow._log import log_info
from cellflow._random import RNG, resolve_seed
from cellflow.evaluation.cautions import (
    check_batches,
    check_score_settings,
    check_transitions,
    flow_settings,
    record_cautions,
    representation_settings,
)
from cellflow.flow import Flow, fingerprint
from cellflow.io import (
    KnownTransitions,
    SideColumns,
    TimePoints,
    check_growth_key,
    condition_weight,
    log_times,
    populations,
    time_key_of,
    time_points_of,
    time_points_to_dict,
    transition_penalty,
    unit_of_name,
)
from cellflow.io.matrices import take_cells
from cellflow.marginals import Marginals, TimeAxis, fit_time_axis
from cellflow.methods.method import Method, method_of
from cellflow.methods.recipes import Recipe, recipe_of
from cellflow.representation import current_representation, from_context, points_of, to_context
from cellflow.training import (
    Checkpoint,
    TransitionConflict,
    check_prior_given,
    check_side_columns,
    fit_flow,
    make_checkpoint,
    resolve_device,
    transition_conflicts,
)


@check_keywords
def fit(
    adata: AnnData,
    *,
    time_key: str | None = None,
    use_rep: str | None = None,
    method: str | Method | None = None,
    condition_keys: str | Sequence[str] = (),
    label_key: str | None = None,
    lineage_key: str | None = None,
    cost_rep: str | None = None,
    allowed_transitions: pd.DataFrame | str | Path | None = None,
    group_key: str | None = None,
    growth: str | None = None,
    growth_key: str | None = None,
    leave_out: float | str | Sequence[float | str] | None = None,
    prior: Flow | None = None,
    recipe: str | Recipe = "default",
    time_axis: str = "learned",
    rng: RNG = 0,
    device: str = "auto",
    checkpoint: Checkpoint | str | Path | None = None,
    progress: bool = True,
    key_added: str = FIT,
) -> Flow:
    """Fit a flow to a time course: conditional flow matching between consecutive times.

    Parameters
    ----------
    adata
        Cells of two or more times.
    time_key
        Column of `obs` with the times; None uses the one that `pp.time_points` recorded, or one
        of a usual name (`time`, `day`, ...).
    use_rep
        `obsm` key to fit in. None uses `X_cellflow`, and makes it with the defaults of
        `pp.embed` if it is missing.
    method
        A named combination of coupling, path and objective (`cellflow methods` lists them), or one
        with other parts or settings: `cellflow.method("ot-cfm", coupling="low-rank", rank=20)`.
        None is `default`.
    condition_keys
        `obs` columns that the velocity depends on, categories or numbers. Cells of different
        categories are not coupled, nor cells of different numbers if every value has 20 cells or
        more at every time. Otherwise distances of the numbers' ranks add to the costs of couplings,
        with the method setting `condition_weight`.
    label_key
        `obs` column, such as donor or batch; cells are coupled with cells of the same value only.
    lineage_key
        `obs` column with the clone of each cell, or `obsm` key with a matrix of cells and clones;
        coupling costs less between clonal relatives.
    cost_rep
        `obsm` key of the coordinates of coupling costs; None uses those that are fitted in.
    allowed_transitions
        Transitions between groups of cells that are known: a table, or its file (`.csv`, `.tsv`),
        with columns `source`, `target` and, optionally, `weight`, from 0 (not allowed) to 1. Pairs
        of cells whose transition is not allowed cost more, by the method setting
        `transition_penalty`; staying in a group is allowed.
    group_key
        `obs` column with the groups that `allowed_transitions` names. Cells without a value take
        part in any transition.
    growth
        Evidence of the growth of populations, a setting of methods `default` and `wfr-fm`:
        `relative`, none, so that every time has the same total mass; `counts`, numbers of cells are
        sizes of the population; `rising`, only increases of them are; `rates`, the population grows
        by the rates of its cells. None uses that of the method, which is `relative` for `default`.
        `wfr-fm` bends the rates of single cells, `default` keeps them.
    growth_key
        `obs` column with the net growth rate of each cell, births minus deaths per unit of elapsed
        time, for `growth="rates"` or objective `growth`. None uses the rates of `pp.growth`.
    leave_out
        Time points whose cells the flow is not fitted to, by number or label, one or several. Their
        cells remain in the representation, unless it was made without them.
    prior
        A flow fitted before, for the coupling `acceleration`; to start from its weights, see
        `tl.finetune`.
    recipe
        Settings of net and optimisation: `default`, `torchcfm`, or one with other settings:
        `cellflow.recipe("default", n_steps=500)`.
    time_axis
        Clock of the flow between time points: `learned` from the logarithm of time and how far the
        cells move; `real` in proportion to time; `index` counts time points.
    rng
        Seed, or a numpy generator that one is drawn from. Same seed, same flow on one device.
    device
        `auto`, `cpu`, `cuda`, `cuda:1`, ...
    checkpoint
        File for the state of the training, from which a fit that was stopped continues: a path, or
        a `cellflow.Checkpoint` with the steps between two writings and whether to resume. Ctrl-C
        and SIGTERM save the state before they stop the fit.
    progress
        Show a progress bar on stderr.
    key_added
        Name of the record in `uns`.

    Returns
    -------
    The flow, with the map between genes and its representation. Written is:

    `uns["cellflow"][key_added]`
        Settings, versions, the loss curve (`step`, `loss`), the `flow_id` of the flow, and
        `cautions`, sentences on batches between the times and on transitions. With
        `allowed_transitions` also `transition_conflicts`, for each interval: `unaware`, the share
        of the mass that exact transport would send along transitions that are not allowed if it did
        not know; `paying`, the share that it sends there although it does; and `excess`, the cost
        of the latter plan over that of the former, without penalties. They are of up to 500 cells
        of a time.

    Raises
    ------
    InputError
        For missing keys, invalid times or values, or an unknown name.
    FileError
        If the checkpoint is damaged or cannot be written.

    References
    ----------
    Tong et al. 2024, arXiv 2302.00482, algorithms 3 and 4.

    Examples
    --------
    >>> import cellflow as cf
    >>> adata = cf.datasets.semrau2017()
    >>> adata = adata[adata.X.getnnz(axis=1) > 0].copy()
    >>> cf.pp.embed(adata, n_dims=3)
    >>> short = cf.recipe("default", n_steps=10)
    >>> flow = cf.tl.fit(adata, time_key="time", recipe=short, progress=False)
    >>> flow.dim
    3
    """
    method, recipe = method_of(method, growth=growth), recipe_of(recipe)
    target = resolve_device(device)
    checkpoint = make_checkpoint(checkpoint)
    columns = FitColumns.read(
        adata,
        method,
        time_key=time_key,
        condition_keys=condition_keys,
        label_key=label_key,
        lineage_key=lineage_key,
        cost_rep=cost_rep,
        allowed_transitions=allowed_transitions,
        group_key=group_key,
        growth_key=growth_key,
        prior=prior,
        leave_out=leave_out,
    )
    time_key, points, fitted, used = columns.time_key, columns.points, columns.fitted, columns.used
    side_columns, keys = columns.side_columns, columns.condition_keys
    log_times(points, time_key)
    representation = current_representation(adata, use_rep)
    if not used.all():
        log_info(f"left out of the fit: {int((~used).sum())} of {adata.n_obs} cells")
    measured = adata if used.all() else take_cells(adata, used)
    coordinates = points_of(adata, representation, None if used.all() else used)
    side_columns = side_columns.weigh_transitions(
        measured, coordinates, fitted.elapsed, transition_penalty(method)
    )
    cells, conditions = side_columns.encode(
        measured,
        coordinates,
        fitted.elapsed,
        keys,
        condition_weight(method),
        fitted.names,
    )
    known = side_columns.transitions
    for line in (*conditions.describe(), *(known.describe(measured) if known else ())):
        log_info(line)
    data = digest_inputs(cells, fitted.elapsed)
    marginals, axis = _make_marginals(cells, fitted, time_axis)
    cautions = check_batches(
        measured.obs,
        cells.x.numpy(),
        fitted.elapsed,
        time_key=time_key,
        label_key=label_key,
        time_names=fitted.names,
    )
    seed = resolve_seed(rng)
    conflicts = [] if known is None else transition_conflicts(marginals, seed)
    if conflicts:
        cautions += check_transitions(conflicts, fitted.times, fitted.names)
    # Of a million cells these are a quarter of the memory, and the marginals have their own.
    del cells, coordinates
    flow = fit_flow(
        marginals,
        axis,
        method=method,
        recipe=recipe,
        seed=seed,
        device=target,
        prior=prior,
        checkpoint=checkpoint and checkpoint.with_identity({"data": data, "time_axis": time_axis}),
        progress=progress,
    )
    inputs = replace(
        flow.inputs,
        data=data,
        time_key=time_key,
        use_rep=use_rep,
        condition_keys=tuple(keys),
        label_key=label_key,
        lineage_key=lineage_key,
        cost_rep=cost_rep,
        growth_key=growth_key,
        group_key=group_key,
        allowed_transitions=() if known is None else known.allowed,
        time_unit=points.unit or unit_of_name(time_key) or None,
    )
    context = to_context(
        representation,
        course=time_points_to_dict(points),
        conditions=[dict(c) for c in conditions.columns],
    )
    record = replace(flow.record, transition_penalty=None if known is None else known.penalty)
    flow = replace(flow, inputs=inputs, record=record, context=context)
    record_fit(adata, flow, key_added, cautions, conflicts)
    return flow


@dataclass(frozen=True)
class FitColumns:
    """Times and columns that a fit reads, checked before any matrix is read.

    Attributes
    ----------
    time_key
        Column of `obs` with the times.
    points, fitted
        Times of all cells, and of those that are fitted to.
    used
        Mask of the latter, shape (n,).
    condition_keys
        Columns of the conditions.
    side_columns
        Columns and keys that couplings use.
    """

    time_key: str
    points: TimePoints
    fitted: TimePoints
    used: np.ndarray
    condition_keys: Sequence[str]
    side_columns: SideColumns

    #: Parameters of `fit` that are read.
    SETTINGS: ClassVar = ("method", "time_key", "condition_keys", "label_key", "lineage_key",
                          "cost_rep", "allowed_transitions", "group_key", "growth_key", "prior",
                          "leave_out")  # fmt: skip

    @classmethod
    def read(
        cls,
        adata: AnnData,
        method: Method,
        *,
        time_key: str | None,
        condition_keys: str | Sequence[str],
        label_key: str | None,
        lineage_key: str | None,
        cost_rep: str | None,
        allowed_transitions: pd.DataFrame | str | Path | None,
        group_key: str | None,
        growth_key: str | None,
        prior: Flow | None,
        leave_out: float | str | Sequence[float | str] | None,
    ) -> FitColumns:
        """Read times and check columns, keys and the prior; arguments as in `fit`.

        Raises
        ------
        InputError
            For times, columns, keys or a prior that are missing or invalid.
        """
        check_growth_key(growth_key, reads_rates=method.needs_growth_rates)
        known = KnownTransitions.read(allowed_transitions, group_key)
        check_side_columns(
            method,
            clones=lineage_key is not None,
            features=cost_rep is not None,
            transitions=known is not None,
        )
        check_prior_given(prior, method)
        time_key = time_key_of(adata, time_key)
        points = time_points_of(adata, time_key)
        keys = [condition_keys] if isinstance(condition_keys, str) else condition_keys
        side_columns = SideColumns(
            label_key, lineage_key, cost_rep, method.needs_growth_rates, growth_key, known
        )
        fitted, used = points.leave_out(leave_out)
        measured = adata if used.all() else take_cells(adata, used)
        side_columns.check(measured, fitted.elapsed, keys, fitted.names)
        return cls(time_key, points, fitted, used, keys, side_columns)


def digest_inputs(cells: Batch, elapsed: np.ndarray) -> str:
    """Return a digest of the inputs of a fit: points, times and side columns of the cells."""
    return fingerprint({**cells.columns(), "elapsed": torch.from_numpy(elapsed)})


def _make_marginals(cells: Batch, points: TimePoints, kind: str) -> tuple[Marginals, TimeAxis]:
    """Split the cells into one population per time, and fit the time axis."""
    axis = fit_time_axis(kind, points.times, cells.x, points.elapsed)
    return populations(cells, points.elapsed, points.times, axis), axis


def record_fit(
    adata: AnnData,
    flow: Flow,
    key_added: str,
    cautions: Sequence[str] = (),
    conflicts: Sequence[TransitionConflict] = (),
) -> None:
    """Write method, recipe, inputs, record, loss curve, cautions and conflicts to `uns`."""
    values = flow.as_dict()
    scores = read_record(adata.uns, HOLDOUT)
    if scores is not None:
        # Logged only: scores that are measured later say it themselves.
        record_cautions(check_score_settings(scores["settings"], flow_settings(flow)))
    entry = {
        "method": values["method"],
        "recipe": values["recipe"],
        **values["inputs"],
        **values["record"],
        "n_dims": flow.dim,
        "representation": representation_settings(from_context(flow.context)),
        "time_axis": flow.axis.kind,
        "flow_id": flow.fingerprint,
        "times": np.array(flow.axis.times),
        "history": {name: np.array(values) for name, values in flow.history.items()},
        "cautions": record_cautions(cautions),
    }
    if conflicts:
        columns = pd.DataFrame(map(asdict, conflicts))
        entry["transition_conflicts"] = {name: columns[name].to_numpy() for name in columns}
    write_record(adata.uns, key_added, entry)
