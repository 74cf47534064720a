"""The verb `tl.interpolate`."""

from __future__ import annotations

import numpy as np
import torch
from anndata import AnnData

from cellflow._batch import Batch
from cellflow._checks import check_choice
from cellflow._keys import INTERPOLATE, START_TIME, TIME, WEIGHT, write_record
from cellflow._random import RNG, resolve_seed, torch_generator
from cellflow.flow import Flow
from cellflow.flow.carry import carry
from cellflow.io import flow_times_of
from cellflow.methods.names import STARTS
from cellflow.representation import cells_of, from_context
from cellflow.tl._predicted import predicted_cells
from cellflow.tl._provenance import made_by


def interpolate(
    adata: AnnData,
    flow: Flow,
    time: float | str,
    *,
    time_key: str | None = None,
    start: str = "both",
    rng: RNG = 0,
) -> AnnData:
    """Predict the cells of any time inside the range of a flow.

    Observed cells of the neighbouring times are carried to `time` along the flow.

    Parameters
    ----------
    adata
        The time course, with what the flow's representation needs: the same genes, or the
        same `obsm` key.
    flow
        The fitted flow.
    time
        Elapsed time in the unit of the course, or a label such as `day 3`. At a time that the flow
        was fitted to, the answer is its own cells; cells of other times are left aside.
    time_key
        Column of `obs` with the times; None takes the one that the flow was fitted to.
    start
        `both` carries the cells of the time before forward and those of the time after backward;
        each side weighs as much as it is near. `previous` carries the cells before only.
    rng
        Seed, or a numpy generator that one is drawn from, of how far each cell is ahead of the
        clock, for methods in which cells do not share one (`Method.asynchrony`).

    Returns
    -------
    A new AnnData, one predicted cell for each cell carried:

    `X`, `var_names`
        Decoded expression, float32, on the scale that the representation works on (counts: after
        normalisation and log1p); no genes where the representation has no way back.
    `obsm["X_cellflow"]`
        Predicted points, float32.
    `obs["cellflow_time"]`, `obs["cellflow_weight"]`
        The time asked for, and how much each cell counts; weights sum to one.
    `obs["start_cell"]`, `obs["start_time"]`
        The cell that each comes from, and its time.
    `uns["cellflow"]`
        The time, the flow by its id and the cells that it was fitted to by their checksum, seed,
        device and versions, and the map of the representation.

    Raises
    ------
    InputError
        If `time` is outside the range of the flow, or genes or keys are missing.

    Examples
    --------
    >>> import cellflow as cf
    >>> adata = cf.datasets.semrau2017()
    >>> adata = adata[adata.X.getnnz(axis=1) > 0].copy()
    >>> cf.pp.embed(adata, n_dims=3)
    >>> short = cf.recipe("default", n_steps=10, net={"width": 16})
    >>> flow = cf.tl.fit(adata, time_key="time", recipe=short, progress=False)
    >>> cf.tl.interpolate(adata, flow, 30, time_key="time").shape
    (621, 41)
    """
    check_choice(start, STARTS, "start")
    representation = from_context(flow.context)
    points = flow_times_of(adata, flow, time_key)
    moment = points.moment(time)
    neighbours = points.around(moment, flow.axis.times)
    used = np.isin(points.elapsed, neighbours)
    cells, elapsed = cells_of(adata, flow.context, used), points.elapsed[used]

    def cells_at(time: float) -> Batch:
        return cells[torch.as_tensor(np.flatnonzero(elapsed == time))]

    seed = resolve_seed(rng)
    generator = torch_generator(seed)
    carried = carry(flow, cells_at, neighbours, moment, start=start, generator=generator)
    names = np.concatenate(
        [adata.obs_names[points.elapsed == t] for t in dict.fromkeys(carried.starts)]
    )
    columns = {TIME: moment, WEIGHT: carried.weights, START_TIME: carried.starts}
    result = predicted_cells(representation, carried.points, names, columns)
    entry = {
        "time": moment,
        "start": start,
        "unit": points.unit,
        **made_by(flow, seed),
    }
    write_record(result.uns, INTERPOLATE, entry)
    return result
