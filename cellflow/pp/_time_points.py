"""The verb `pp.time_points`."""

from __future__ import annotations

import numpy as np
from anndata import AnnData

from cellflow._keys import TIME, TIME_POINTS, write_record
from cellflow._log import log_info
from cellflow.io import time_points_of


def time_points(adata: AnnData, time_key: str, *, copy: bool = False) -> AnnData | None:
    """Read the elapsed time of each cell from a column of `obs`.

    Parameters
    ----------
    adata
        Annotated data matrix.
    time_key
        Column of `obs`: numbers, an ordered categorical, or text with a number and a unit
        (`day 3`, `d3`, `E12.5`, `24h`, `72hr`). Units may differ within the column; all are
        converted to the smallest. An ordered categorical without numbers counts 0, 1, 2, ...
    copy
        Return an annotated copy instead of writing to `adata`.

    Returns
    -------
    None, or the copy. Written are:

    `obs["cellflow_time"]`
        Elapsed time of each cell, float64, in the unit of the column.
    `uns["cellflow"]["time_points"]`
        `time_key`, `unit`, and for each time point `times`, `labels` and `counts` of cells.

    Raises
    ------
    InputError
        For a missing column, missing or infinite values, values that are not times, two labels
        for one time, a single time, or a time with fewer than two cells.

    Examples
    --------
    >>> import cellflow as cf
    >>> adata = cf.datasets.semrau2017()
    >>> cf.pp.time_points(adata, "time")
    >>> adata.uns["cellflow"]["time_points"]["times"]
    array([ 0.,  6., 12., 24., 36., 48., 60., 72., 96.])
    """
    adata = adata.copy() if copy else adata
    points = time_points_of(adata, time_key)
    adata.obs[TIME] = points.elapsed
    entry = {
        "time_key": time_key,
        "unit": points.unit,
        "times": np.array(points.times),
        "labels": np.array(points.labels, dtype=object),
        "counts": np.array(points.counts),
    }
    write_record(adata.uns, TIME_POINTS, entry)
    log_info(f"times from obs[{time_key!r}]: {points.describe()}")
    return adata if copy else None
