"""Predicted cells as an AnnData, the same for every verb that makes some."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from anndata.utils import make_index_unique

from cellflow._keys import REPRESENTATION, START_CELL, TIME
from cellflow.representation import Representation, write_map


def predicted_cells(
    representation: Representation,
    points: np.ndarray,
    origins: Sequence[str] | np.ndarray,
    columns: Mapping[str, Any],
    *,
    names: Sequence[str] | np.ndarray | None = None,
    decode: bool = True,
) -> AnnData:
    """Make an AnnData of points that cells were carried to.

    Parameters
    ----------
    representation
        What the points are in.
    points
        Coordinates, shape (n, d).
    origins
        Name of the cell that each comes from, shape (n,).
    columns
        Columns of `obs`, a value a cell or one for all; that of the time is needed.
    names
        What each is called, before its time; None takes the origins.
    decode
        Whether expression of genes is wanted, where the representation has a way back.
    """
    times = np.broadcast_to(np.asarray(columns[TIME], dtype=np.float64), len(points))
    called = origins if names is None else names
    index = pd.Index([f"{name}@{time:.10g}" for name, time in zip(called, times, strict=True)])
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
