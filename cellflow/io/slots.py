"""Between the slots of an AnnData and populations in time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import torch
from anndata import AnnData

from cellflow._batch import Batch
from cellflow._checks import listed
from cellflow._errors import InputError
from cellflow._keys import TIME_POINTS, recorded
from cellflow._log import log_info
from cellflow.io.times import TimePoints, parse_times
from cellflow.marginals import Marginals, Population, TimeAxis

#: Column names that are taken for times where nothing else says which column holds them.
USUAL_TIME_KEYS = (
    "time",
    "day",
    "days",
    "hour",
    "hours",
    "timepoint",
    "time_point",
    "age",
    "stage",
)


def time_key_of(adata: AnnData, time_key: str | None = None) -> str:
    """Name of the `obs` column with the times: the given, the recorded, or one of a usual name.

    Raises
    ------
    InputError
        If there is no such column, or none can be told.
    """
    columns = listed(adata.obs.columns) or "none"
    if time_key is None:
        time_key = (recorded(adata.uns, TIME_POINTS) or {}).get("time_key")
    if time_key is None:
        time_key = next((name for name in USUAL_TIME_KEYS if name in adata.obs), None)
    if time_key is None:
        raise InputError(f"which obs column holds the times? give a time key; there are: {columns}")
    if time_key not in adata.obs:
        raise InputError(f"no obs column {time_key!r}; there are: {columns}")
    return str(time_key)


def time_points_of(adata: AnnData, time_key: str | None = None) -> TimePoints:
    """Read the times of all cells from the column that `time_key_of` finds."""
    points = parse_times(adata.obs[time_key_of(adata, time_key)])
    if points.unit == "rank":
        log_info("the time categories have no numbers: their ranks stand for elapsed time")
    return points


def populations(
    cells: Batch, elapsed: np.ndarray, times: Iterable[float], axis: TimeAxis
) -> Marginals:
    """Split cells into populations at the flow times of `times`.

    Growth rates per unit of elapsed time become rates per unit of flow time, by the length of the
    interval that follows (the last one has none after it).
    """
    kept = list(times)
    moments = [axis.to_flow(time) for time in kept]
    parts = []
    for k, time in enumerate(kept):
        part = cells[_rows(elapsed == time)]
        if part.rate is not None:
            low = min(k, len(kept) - 2)
            pace = (kept[low + 1] - kept[low]) / (moments[low + 1] - moments[low])
            part = replace(part, rate=part.rate * pace)
        parts.append(Population(part))
    return Marginals(tuple(moments), tuple(parts))


def _rows(mask: np.ndarray) -> slice | torch.Tensor:
    """The rows of a mask; a slice, which copies nothing, where they stand together."""
    rows = np.flatnonzero(mask)
    together = len(rows) == rows[-1] - rows[0] + 1
    return slice(rows[0], rows[-1] + 1) if together else torch.as_tensor(rows)
