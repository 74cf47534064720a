"""The verb `tl.interpolate`."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

from cellflow._errors import InputError
from cellflow._keys import INTERPOLATE, REPRESENTATION, TIME, record
from cellflow.flow import Flow
from cellflow.io import time_points_of
from cellflow.representation import from_context, write_map


def interpolate(
    adata: AnnData, flow: Flow, time: float | str, *, time_key: str | None = None
) -> AnnData:
    """Predict the cells of any time inside the range of a flow.

    The cells of the last time at or before `time` are carried forward along the flow.

    Parameters
    ----------
    adata
        The time course, with what the flow's representation needs: the same genes, or the
        same `obsm` key.
    flow
        The fitted flow.
    time
        Elapsed time in the unit of the course, or a label such as `day 3`; at a time of the course
        the answer is its own cells.
    time_key
        Column of `obs` with the times; None takes the one that `pp.time_points` recorded, or one
        of a usual name (`time`, `day`, ...).

    Returns
    -------
    A new AnnData, one predicted cell for each cell carried:

    `X`, `var_names`
        Decoded expression, float32, on the scale that the representation works on (counts: after
        normalisation and log1p); no genes where the representation has no way back.
    `obsm["X_cellflow"]`
        Predicted points, float32.
    `obs["cellflow_time"]`, `obs["start_cell"]`, `obs["start_time"]`
        The time asked for, and the cell that each comes from with its time.
    `uns["cellflow"]`
        The time, and the map of the representation.

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
    >>> short = cf.recipe("default", n_steps=10)
    >>> flow = cf.tl.fit(adata, time_key="time", recipe=short, progress=False)
    >>> cf.tl.interpolate(adata, flow, 30, time_key="time").shape
    (276, 41)
    """
    points = time_points_of(adata, time_key)
    moment = points.moment(time)
    flow.axis.to_flow(moment)
    earlier = [t for t in points.times if t <= moment]
    if not earlier:
        raise InputError(f"no cells at or before time {time}; times: {points.described()}")
    start = earlier[-1]
    source = adata[points.elapsed == start]
    representation = from_context(flow.context)
    cells = torch.as_tensor(representation.transform(source), dtype=torch.float32)
    predicted = flow.push(cells, start, moment).cpu().numpy()
    expression = representation.decode(predicted.astype(np.float64))
    genes = () if representation.linear is None else representation.linear.genes
    result = AnnData(
        X=None if expression is None else expression.astype(np.float32),
        obs=pd.DataFrame(
            {TIME: moment, "start_cell": source.obs_names, "start_time": start},
            index=[f"{name}@{moment:g}" for name in source.obs_names],
        ),
        var=pd.DataFrame(index=list(genes)),
        obsm={REPRESENTATION: predicted},
    )
    write_map(result, representation, REPRESENTATION)
    record(result.uns, INTERPOLATE, {"time": moment, "start_time": start, "unit": points.unit})
    return result
