"""Populations predicted at any time of a course, and predicted cells as an AnnData."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from anndata.utils import make_index_unique

from cellflow._batch import Batch
from cellflow._checks import check_choice
from cellflow._errors import InputError
from cellflow._keys import REPRESENTATION, START_CELL, START_TIME, TIME, TRAJECTORY, WEIGHT
from cellflow._log import log_info, progress_bar
from cellflow._random import torch_generator
from cellflow.flow import Prediction, predict_cells
from cellflow.integrate import count_steps
from cellflow.representation import Placement, Representation, find_basis, write_map
from cellflow.representation.expression import read_embedding, reindex_genes
from cellflow.tl._time_course import TimeCourse

#: Cells that are decoded at a time.
_CHUNK = 8_192

#: Columns of `obs` that predicted cells have of their own.
_OWN = (TIME, WEIGHT, START_CELL, START_TIME, TRAJECTORY)


def predict_populations(
    course: TimeCourse,
    times: Sequence[float],
    *,
    start: str = "both",
    seed: int = 0,
    rows_at: Callable[[float], np.ndarray] | None = None,
    steps_per_unit: float | None = None,
) -> Iterator[tuple[Prediction, np.ndarray]]:
    """Predict the cells of each time; yield also the row of the cell at which each path starts.

    Cells pass all times of an interval on one trajectory. With the same seed, a cell has the same
    offset from the clock at all times.

    Parameters
    ----------
    course
        The measured cells, and their flow.
    times
        Elapsed times to predict, increasing.
    start
        As in `predict_cells`.
    seed
        Seed of the offsets from the clock.
    rows_at
        Function from a time point to the rows of the cells to move; None moves all.
    steps_per_unit
        Steps per unit of flow time; None uses those of the solver.
    """
    rows_at = course.rows_at if rows_at is None else rows_at
    flow, among = course.flow, course.flow.axis.times

    def around(time: float) -> tuple[float, float]:
        return course.time_points.around(time, among)

    def cells_at(time: float) -> Batch:
        return course.read_cells(rows_at(time))

    with progress_bar(len(times), "predict", "time") as bar:
        for neighbours, group in groupby(times, key=around):
            inside = list(group)
            n_steps = None
            if steps_per_unit is not None and not flow.is_mean_flow:  # one step is what it learned
                clock = [
                    flow.axis.to_flow(time) for time in (neighbours[0], *inside, neighbours[1])
                ]
                n_steps = count_steps("rk4", float(np.diff(clock).max()), steps_per_unit)
            predictions = predict_cells(
                flow,
                cells_at,
                neighbours,
                inside,
                start=start,
                generator=torch_generator(seed),
                n_steps=n_steps,
            )
            for prediction in predictions:
                origins = dict.fromkeys(prediction.start_times.tolist())
                bar.update()
                yield prediction, np.concatenate([rows_at(origin) for origin in origins])


def predict_population(
    course: TimeCourse, time: float, *, start: str = "both", seed: int = 0
) -> tuple[Prediction, np.ndarray]:
    """Predict the cells of a time; also return the row of the cell at which each path starts."""
    return next(predict_populations(course, [time], start=start, seed=seed))


def check_extras(adata: AnnData, obs_keys: str | Sequence[str], basis: str | None) -> list[str]:
    """Check what predicted cells are to take from measured ones; return the columns of `obs`.

    Raises
    ------
    InputError
        For unknown columns, columns that predicted cells have of their own, or an unknown basis.
    """
    keys = [obs_keys] if isinstance(obs_keys, str) else [str(key) for key in obs_keys]
    for key in keys:
        check_choice(key, [str(name) for name in adata.obs], "obs column")
        if key in _OWN:
            raise InputError(
                f"obs[{key!r}] cannot be an obs key: predicted cells have a column of this name; "
                "rename yours"
            )
    if basis is not None and find_basis(adata, basis) == REPRESENTATION:
        raise InputError(f"predicted cells have their points in obsm[{REPRESENTATION!r}] already")
    return list(dict.fromkeys(keys))


def predicted_cells(
    course: TimeCourse,
    points: np.ndarray,
    origins: np.ndarray,
    columns: Mapping[str, Any],
    *,
    obs_keys: Sequence[str] = (),
    basis: str | None = None,
    names: Sequence[str] | np.ndarray | None = None,
    decode: bool = True,
) -> AnnData:
    """Make an AnnData of predicted points.

    Parameters
    ----------
    course
        The measured cells, and the representation of the points.
    points
        Coordinates, shape (n, d).
    origins
        Row of the cell at which each path starts, shape (n,).
    columns
        Columns of `obs`, one value for each cell or one for all; that of the time is required.
    obs_keys
        Columns of `obs` to copy from the origins, with the colours of their categories.
    basis
        Embedding of the measured cells in which to place the predicted ones.
    names
        Names of the cells without the time; None uses the origins.
    decode
        Decode expression if the representation has a map back to genes.
    """
    adata, representation = course.adata, course.representation
    times = np.broadcast_to(np.asarray(columns[TIME], dtype=np.float64), len(points))
    starts = adata.obs_names[origins].to_numpy(dtype=object)
    stems = starts if names is None else names
    index = pd.Index([f"{name}@{time:.10g}" for name, time in zip(stems, times, strict=True)])
    linear = representation.linear if decode else None
    expression = None if linear is None else _decode(representation, points)
    obs = pd.DataFrame({**columns, START_CELL: starts})
    for key in obs_keys:
        obs[key] = adata.obs[key].iloc[origins].array
    obs.index = make_index_unique(index)
    result = AnnData(
        X=expression,
        obs=obs,
        var=_annotate_genes(course.gene_table, () if linear is None else linear.genes),
        obsm={REPRESENTATION: points.astype(np.float32, copy=False)},
    )
    for key in obs_keys:
        if (colours := adata.uns.get(f"{key}_colors")) is not None:
            result.uns[f"{key}_colors"] = colours
    _write_named_points(course, result)
    if basis is not None and (key := find_basis(adata, basis)) not in result.obsm:
        _write_places(course, result, key)
    write_map(result, representation, REPRESENTATION)
    return result


def _decode(representation: Representation, points: np.ndarray) -> np.ndarray:
    """Return decoded expression, float32, computed in chunks of rows."""
    found = np.empty((len(points), len(representation.require_linear().genes)), dtype=np.float32)
    for start in range(0, len(points), _CHUNK):
        part = slice(start, start + _CHUNK)
        found[part] = representation.decode(points[part].astype(np.float64))
    return found


def _annotate_genes(var: pd.DataFrame, genes: Sequence[str]) -> pd.DataFrame:
    """Return the annotation of genes, in that order; missing for genes that the data lack."""
    if list(genes) == list(var.index):
        return var.copy()
    if not var.index.is_unique:
        return pd.DataFrame(index=list(genes))
    return reindex_genes(var, genes)


def _write_named_points(course: TimeCourse, result: AnnData) -> None:
    """Write the points in the `obsm` key that the flow was fitted in, in the units of that key."""
    representation, points = course.representation, result.obsm[REPRESENTATION]
    source = representation.source
    # A slash in a key would be a group in a file.
    if representation.kind == "obsm" and source != REPRESENTATION and "/" not in source:
        values = points * representation.spread + representation.centre
        result.obsm[source] = values.astype(np.float32)
    key = course.flow.inputs.use_rep
    if key is not None and "/" not in key and key not in result.obsm:
        result.obsm[key] = points.copy()
        write_map(result, representation, key)


def _write_places(course: TimeCourse, result: AnnData, key: str) -> None:
    """Write the places of predicted cells in an embedding, and report how they were found."""
    measured = course.cells.x.cpu().numpy()
    placement = Placement.fit(measured, read_embedding(course.adata, key))
    result.obsm[key] = placement.place(result.obsm[REPRESENTATION]).astype(np.float32)
    if placement.matrix is None:
        log_info(
            f"obsm[{key!r}] of predicted cells: means of the places of their nearest measured "
            "cells, an illustration"
        )
