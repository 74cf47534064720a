"""The verb `tl.interpolate`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from anndata import AnnData

from cellflow._checks import check_choice
from cellflow._keys import INTERPOLATE, START_TIME, TIME, WEIGHT, write_record
from cellflow._random import RNG, resolve_seed
from cellflow.flow import Flow
from cellflow.methods.names import STARTS
from cellflow.tl._prediction import check_extras, predict_population, predicted_cells
from cellflow.tl._time_course import TimeCourse


def interpolate(
    adata: AnnData,
    flow: Flow,
    time: float | str,
    *,
    time_key: str | None = None,
    start: str = "both",
    obs_keys: str | Sequence[str] = (),
    basis: str | None = None,
    rng: RNG = 0,
) -> AnnData:
    """Predict the cells of any time inside the range of a flow.

    Observed cells of the neighbouring time points are moved to `time` along the flow.

    Parameters
    ----------
    adata
        Annotated data matrix of the time course, with what the representation of the flow requires:
        the same genes, or the same `obsm` key.
    flow
        The fitted flow.
    time
        Elapsed time in the unit of the course, or a label such as `day 3`. At a time point that the
        flow was fitted to, the prediction is its own cells; cells of other times are not used.
    time_key
        Column of `obs` with the times; None uses the column that the flow was fitted to.
    start
        `both` moves the cells before `time` forward and those after it backward; the nearer
        side has more weight. `previous` moves the cells before `time` only.
    obs_keys
        Columns of `obs`, such as `("donor", "cell_type")`, that each predicted cell takes from the
        cell at which its path starts, with the colours of their categories.
    basis
        `obsm` key of `adata`, with or without `X_`, such as `umap`, in which to place the predicted
        cells. The place is the exact image if the embedding is an affine map of the representation,
        else a weighted mean of the places of the 15 nearest measured cells: an illustration.
    rng
        Seed, or a numpy generator to draw one from, of the offset of each cell from the clock, for
        methods whose cells do not share one (`Method.asynchrony`).

    Returns
    -------
    A new AnnData, one predicted cell for each cell moved:

    `X`, `var`
        Decoded expression, float32, on the scale of the representation (for counts: after
        normalisation and log1p), and `adata.var` of its genes, with the symbols if there are any.
        There are no genes if the representation has no map back to them.
    `obsm["X_cellflow"]`
        Predicted points, float32.
    `obsm["X_pca"]`, or the `use_rep` given
        The same points under the key that the flow was fitted in, in the units of that key, if
        `use_rep` was given to `tl.fit` or `pp.embed`.
    `obs["cellflow_time"]`, `obs["cellflow_weight"]`
        The predicted time, and the weight of each cell; weights sum to one.
    `obs["start_cell"]`, `obs["start_time"]`
        The cell at which its path starts, and the time of that cell.
    `obsm["X_umap"]`, or the `basis` given
        Places of the predicted cells in it, float32.
    `obs` columns of `obs_keys`
        Values of the start cell, which the path may have left behind.
    `uns["cellflow"]`
        The time, the id of the flow and the checksum of the cells it was fitted to, seed, device
        and versions, and the map of the representation.

    Raises
    ------
    InputError
        If `time` is outside the range of the flow, genes or keys are missing, or predicted cells
        have a column named in `obs_keys` of their own.

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
    target = course.time_points.to_elapsed(time)
    keys = check_extras(adata, obs_keys, basis)
    return interpolate_course(course, target, start=start, seed=seed, obs_keys=keys, basis=basis)


def interpolate_course(
    course: TimeCourse, target: float, *, start: str = "both", seed: int = 0, **options: Any
) -> AnnData:
    """Predict the cells of an elapsed time; options as in `predicted_cells`."""
    prediction, rows = predict_population(course, target, start=start, seed=seed)
    result = predicted_cells(
        course,
        prediction.points,
        rows,
        {TIME: target, WEIGHT: prediction.weights, START_TIME: prediction.start_times},
        **options,
    )
    entry = {"time": target, "start": start, **course.provenance(seed)}
    write_record(result.uns, INTERPOLATE, entry)
    return result
