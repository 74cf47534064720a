"""Populations predicted at any time of a course, and predicted cells as an AnnData."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from anndata.utils import make_index_unique

from cellflow._batch import Batch
from cellflow._keys import REPRESENTATION, START_CELL, TIME
from cellflow._random import torch_generator
from cellflow.flow import Prediction, predict_cells
from cellflow.representation import Representation, write_map
from cellflow.tl._time_course import TimeCourse


def predict_population(
    course: TimeCourse, time: float, *, start: str = "both", seed: int = 0
) -> tuple[Prediction, np.ndarray]:
    """Predict the cells of a time; also return the row of the cell at which each path starts.

    With the same seed, a cell has the same offset from the clock at all times.
    """
    neighbours = course.time_points.around(time, course.flow.axis.times)

    def cells_at(time: float) -> Batch:
        return course.read_cells(course.rows_at(time))

    generator = torch_generator(seed)
    prediction = predict_cells(
        course.flow, cells_at, neighbours, time, start=start, generator=generator
    )
    rows = [course.rows_at(origin) for origin in dict.fromkeys(prediction.start_times)]
    return prediction, np.concatenate(rows)


def predicted_cells(
    representation: Representation,
    points: np.ndarray,
    origins: Sequence[str] | np.ndarray,
    columns: Mapping[str, Any],
    *,
    names: Sequence[str] | np.ndarray | None = None,
    decode: bool = True,
) -> AnnData:
    """Make an AnnData of predicted points.

    Parameters
    ----------
    representation
        Representation of the points.
    points
        Coordinates, shape (n, d).
    origins
        Name of the cell at which each path starts, shape (n,).
    columns
        Columns of `obs`, one value for each cell or one for all; that of the time is required.
    names
        Names of the cells without the time; None uses the origins.
    decode
        Decode expression if the representation has a map back to genes.
    """
    times = np.broadcast_to(np.asarray(columns[TIME], dtype=np.float64), len(points))
    stems = origins if names is None else names
    index = pd.Index([f"{name}@{time:.10g}" for name, time in zip(stems, times, strict=True)])
    linear = representation.linear if decode else None
    expression = None if linear is None else representation.decode(points.astype(np.float64))
    obs = pd.DataFrame({**columns, START_CELL: np.asarray(origins, dtype=object)})
    obs.index = make_index_unique(index)
    result = AnnData(
        X=None if expression is None else expression.astype(np.float32),
        obs=obs,
        var=pd.DataFrame(index=[] if linear is None else list(linear.genes)),
        obsm={REPRESENTATION: points.astype(np.float32)},
    )
    write_map(result, representation, REPRESENTATION)
    return result
