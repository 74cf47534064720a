"""The verb `tl.interpolate`."""

from __future__ import annotations

from anndata import AnnData

from cellflow._checks import check_choice
from cellflow._keys import INTERPOLATE, START_TIME, TIME, WEIGHT, write_record
from cellflow._random import RNG, resolve_seed
from cellflow.flow import Flow
from cellflow.methods.names import STARTS
from cellflow.tl._prediction import predict_population, predicted_cells
from cellflow.tl._time_course import TimeCourse


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

    Observed cells of the neighbouring times are prediction to `time` along the flow.

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
    A new AnnData, one predicted cell for each cell prediction:

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
    course, seed = TimeCourse.read(adata, flow, time_key), resolve_seed(rng)
    target = course.time_points.moment(time)
    prediction, rows = predict_population(course, target, start=start, seed=seed)
    result = predicted_cells(
        course.representation,
        prediction.points,
        adata.obs_names[rows].to_numpy(),
        {TIME: target, WEIGHT: prediction.weights, START_TIME: prediction.start_times},
    )
    entry = {"time": target, "start": start, **course.provenance(seed)}
    write_record(result.uns, INTERPOLATE, entry)
    return result
