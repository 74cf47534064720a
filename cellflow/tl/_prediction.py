"""Populations predicted at any time of a course, and predicted cells as an AnnData."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from anndata.utils import make_index_unique

from cellflow._batch import Batch
from cellflow._checks import check_choice
from cellflow._errors import InputError
from cellflow._keys import REPRESENTATION, START_CELL, START_TIME, TIME, TRAJECTORY, WEIGHT
from cellflow._log import log_info
from cellflow._random import torch_generator
from cellflow.flow import Prediction, predict_cells
from cellflow.representation import Placement, find_basis, write_map
from cellflow.representation.expression import read_embedding, reindex_genes
from cellflow.tl._time_course import TimeCourse

#: Columns of `obs` that predicted cells have of their own.
_OWN = (TIME, WEIGHT, START_CELL, START_TIME, TRAJECTORY)


def predict_population(
    course: TimeCourse,
    time: float,
    *,
    start: str = "both",
    seed: int = 0,
    n_steps: int | None = None,
) -> tuple[Prediction, np.ndarray]:
    """Predict the cells of a time; also return the row of the cell at which each path starts.

    With the same seed, a cell has the same offset from the clock at all times. `n_steps` is that of
    `Flow.trajectory`.
    """
    neighbours = course.time_points.around(time, course.flow.axis.times)

    def cells_at(time: float) -> Batch:
        return course.read_cells(course.rows_at(time))

    generator = torch_generator(seed)
    prediction = predict_cells(
        course.flow, cells_at, neighbours, time, start=start, generator=generator, n_steps=n_steps
    )
    rows = [course.rows_at(origin) for origin in dict.fromkeys(prediction.start_times)]
    return prediction, np.concatenate(rows)


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
    expression = None if linear is None else representation.decode(points.astype(np.float64))
    obs = pd.DataFrame({**columns, START_CELL: starts})
    for key in obs_keys:
        obs[key] = adata.obs[key].iloc[origins].array
    obs.index = make_index_unique(index)
    result = AnnData(
        X=None if expression is None else expression.astype(np.float32),
        obs=obs,
        var=_annotate_genes(course.gene_table, () if linear is None else linear.genes),
        obsm={REPRESENTATION: points.astype(np.float32)},
    )
    for key in obs_keys:
        if (colours := adata.uns.get(f"{key}_colors")) is not None:
            result.uns[f"{key}_colors"] = colours
    _write_named_points(course, result)
    if basis is not None and (key := find_basis(adata, basis)) not in result.obsm:
        _write_places(course, result, key)
    write_map(result, representation, REPRESENTATION)
    return result


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
