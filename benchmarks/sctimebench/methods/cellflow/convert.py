"""Conversions between cellflow's results and the outputs of a scTimeBench method."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
from scipy import sparse


def to_dense(x: np.ndarray | sparse.spmatrix) -> np.ndarray:
    """Return expression as an array, shape (cells, genes)."""
    return x.toarray() if sparse.issparse(x) else np.asarray(x)


def fill_next(
    times: np.ndarray, width: int, predict: Callable[[float, float, np.ndarray], np.ndarray]
) -> np.ndarray:
    """Predict the next time from the cells of each time.

    Parameters
    ----------
    times
        Time of each cell, shape (n,).
    width
        Number of columns of a prediction.
    predict
        Function of a time, the next one and the mask of the cells of the first, shape (n,), that
        returns a row for each of these cells.

    Returns
    -------
    Predictions, shape (n, width), float32; NaN for cells of the last time.
    """
    result = np.full((len(times), width), np.nan, dtype=np.float32)
    for time, following in pairwise(np.unique(times)):
        at = times == time
        result[at] = predict(float(time), float(following), at)
    return result


def draw_rows(weights: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw `n` rows of a weighted population, each within one of its expected number.

    Systematic sampling: one random offset and equal steps along the summed weights. scTimeBench
    scores unweighted cells, as many as there are cells at the time before.
    """
    edges = np.cumsum(weights / np.sum(weights))
    steps = (np.arange(n) + rng.random()) / n
    return np.minimum(np.searchsorted(edges, steps, side="right"), len(weights) - 1)


def to_graph(table: pd.DataFrame, cell_types: Sequence[str]) -> np.ndarray:
    """Average the intervals of `tl.transitions` to one graph of the cell types.

    Intervals count by the source cells that they have, as scTimeBench counts cells.

    Returns
    -------
    Probabilities from rows to columns, shape (k, k), in the order of `cell_types`; rows sum to
    one, or to zero for a type that is never followed.
    """
    number = table["probability"] * table["n_source"]
    counts = number.groupby([table["source"].astype(str), table["target"].astype(str)]).sum()
    wide = counts.unstack(fill_value=0.0).reindex(index=cell_types, columns=cell_types)
    graph = wide.fillna(0.0).to_numpy(float)
    sums = graph.sum(axis=1, keepdims=True)
    return np.divide(graph, sums, out=np.zeros_like(graph), where=sums > 0)


def clip_expression(x: np.ndarray) -> np.ndarray:
    """Bring expression to the range of log1p of 10,000 counts, which CellTypist requires."""
    return np.clip(x, 0.0, np.log1p(10_000))
