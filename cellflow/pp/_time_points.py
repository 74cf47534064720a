"""The verb `pp.time_points`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from anndata import AnnData

from cellflow._checks import check_choice
from cellflow._errors import InputError
from cellflow._keys import TIME, TIME_POINTS, write_record
from cellflow._log import log_info
from cellflow.io import TimePoints, time_points_of
from cellflow.io.time_points import UNIT_OF_WORD, UNITS


def time_points(
    adata: AnnData, time_key: str, *, unit: str | None = None, copy: bool = False
) -> AnnData | None:
    """Read the elapsed time of each cell from a column of `obs`.

    Parameters
    ----------
    adata
        Annotated data matrix.
    time_key
        Column of `obs`: numbers, an ordered categorical, or text with a number and a unit
        (`day 3`, `d3`, `E12.5`, `24h`, `72hr`). Units may differ within the column; all are
        converted to the smallest. An ordered categorical without numbers counts 0, 1, 2, ...
    unit
        Unit of plain numbers: `minute`, `hour`, `day`, `week`, `month`, `year`, or short as in
        labels. None takes that of the labels, or the one recorded before.
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
        for one time, a single time, or a time with fewer than two cells; for an unknown unit, or
        one that differs from that of the labels.

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
    if unit is not None:
        points = _set_unit(points, unit, time_key)
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


def _set_unit(points: TimePoints, unit: str, time_key: str) -> TimePoints:
    """Give plain numbers a unit; check that of labels."""
    known = UNIT_OF_WORD.get(unit.strip().lower(), unit)
    check_choice(known, [name for name in UNITS if name], "unit of time")
    if points.unit not in ("", known):
        raise InputError(
            f"unit is {unit!r}, but the times in obs[{time_key!r}] are "
            f"{points.unit}s; leave unit out"
        )
    return replace(points, unit=known)
