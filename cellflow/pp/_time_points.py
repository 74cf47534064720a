"""The verb `pp.time_points`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from anndata import AnnData

from cellflow._checks import check_choice, format_list
from cellflow._errors import InputError
from cellflow._keys import TIME, TIME_POINTS, read_record, write_record
from cellflow.io import TimePoints, time_key_of, time_points_of, unknown_labels
from cellflow.io.time_labels import UNITS, unit_of_name
from cellflow.io.time_points import log_times, rank_labels


def time_points(
    adata: AnnData,
    time_key: str,
    *,
    unit: str | None = None,
    order: Sequence[str] | None = None,
    copy: bool = False,
) -> AnnData | None:
    """Read the elapsed time of each cell from a column of `obs`.

    Parameters
    ----------
    adata
        Annotated data matrix.
    time_key
        Column of `obs`: numbers, dates, durations, an ordered categorical, or text with a number
        and a unit, such as `day 3`, `E12.5`, `24h`, `8 pcw`, `P0`, `TS12`; the guide *Times and
        cells* lists what is read. Units may differ within the column; all are converted to the
        smallest. An ordered categorical without numbers counts 0, 1, 2, ... Suffixes of replicates,
        as in `Day0_rep1`, are left out.
    unit
        Unit of plain numbers: `minute`, `hour`, `day`, `week`, `month`, `year`, or short as in
        labels. None takes that of the labels, or the one recorded before.
    order
        Labels in the order of time, for names of stages: the first has time 0, the next 1, and so
        on, whatever numbers are in them. None takes the order recorded before, if any.
    copy
        Return an annotated copy instead of writing to `adata`.

    Returns
    -------
    None, or the copy. Written are:

    `obs["cellflow_time"]`
        Elapsed time of each cell, float64, in the unit of the column.
    `uns["cellflow"]["time_points"]`
        `time_key`, `unit`, for each time point `times`, `labels` and `counts` of cells, and the
        `order` if one was given.

    Raises
    ------
    InputError
        For a missing column, missing or infinite values, values that are not times, two labels
        for one time, a single time, a time with fewer than two cells, or a continuous column; for
        an unknown unit, or one that differs from that of the labels; for an order that lacks a
        label of the column.

    Examples
    --------
    >>> import cellflow as cf
    >>> adata = cf.datasets.semrau2017()
    >>> cf.pp.time_points(adata, "time")
    >>> adata.uns["cellflow"]["time_points"]["times"]
    array([ 0.,  6., 12., 24., 36., 48., 60., 72., 96.])
    """
    adata = adata.copy() if copy else adata
    time_key = time_key_of(adata, time_key)
    order = _read_order(adata, time_key, order)
    points = time_points_of(adata, time_key, known=rank_labels(order))
    if unit is not None:
        points = _set_unit(points, unit, time_key)
    adata.obs[TIME] = points.elapsed
    entry = {
        "time_key": time_key,
        "unit": points.unit,
        "times": np.array(points.times),
        "labels": np.array(points.labels, dtype=object),
        "counts": np.array(points.counts),
        "order": np.array(order, dtype=object) if order else None,
    }
    write_record(adata.uns, TIME_POINTS, entry)
    log_times(points, time_key)
    return adata if copy else None


def _read_order(adata: AnnData, time_key: str, order: Sequence[str] | None) -> list[str]:
    """Return the order of labels: the given one, checked, or else that recorded of the column."""
    recorded = read_record(adata.uns, TIME_POINTS) or {}
    if order is None:
        known = recorded.get("order", ()) if recorded.get("time_key") == time_key else ()
        return [] if unknown_labels(adata.obs[time_key], known) else list(map(str, known))
    labels = [order] if isinstance(order, str) else [str(label) for label in order]
    if len(labels) < 2 or len(set(labels)) < len(labels):
        raise InputError(
            f"order needs two or more different labels, in the order of time; got "
            f"{format_list(map(repr, labels)) or 'none'}"
        )
    if foreign := unknown_labels(adata.obs[time_key], labels):
        raise InputError(
            f"order (--time-order) lacks values of obs[{time_key!r}]: "
            f"{format_list(map(repr, foreign))}; it has {format_list(map(repr, labels))}"
        )
    return labels


def _set_unit(points: TimePoints, unit: str, time_key: str) -> TimePoints:
    """Give plain numbers a unit; check that of labels."""
    known = unit_of_name(unit.strip()) or unit
    check_choice(known, [name for name in UNITS if name], "unit of time")
    if points.unit not in ("", known):
        raise InputError(
            f"unit is {unit!r}, but the times in obs[{time_key!r}] are "
            f"{points.unit}s; leave unit out"
        )
    return replace(points, unit=known)
