"""Between the slots of an AnnData and populations in time."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from anndata import AnnData

from cellflow._checks import listed
from cellflow._errors import InputError
from cellflow._keys import TIME_POINTS, recorded
from cellflow.io.times import TimePoints, parse_times
from cellflow.marginals import Marginals, Population, TimeAxis


def time_points_of(adata: AnnData, time_key: str | None = None) -> TimePoints:
    """Read the times of all cells.

    Parameters
    ----------
    adata
        Cells with a time column in `obs`.
    time_key
        That column; where None, the one that `pp.time_points` recorded.

    Raises
    ------
    InputError
        If there is no such column or its values are no times.
    """
    if time_key is None:
        time_key = (recorded(adata.uns, TIME_POINTS) or {}).get("time_key")
        if time_key is None:
            raise InputError(
                f"which obs column holds the times? give time_key; there are: "
                f"{listed(adata.obs.columns) or 'none'}"
            )
    if time_key not in adata.obs:
        raise InputError(
            f"no obs column {time_key!r}; there are: {listed(adata.obs.columns) or 'none'}"
        )
    return parse_times(adata.obs[time_key])


def populations(
    cells: np.ndarray, elapsed: np.ndarray, times: Iterable[float], axis: TimeAxis
) -> Marginals:
    """Split cells (n, d) into float32 populations at the flow times of `times`."""
    points = torch.as_tensor(cells, dtype=torch.float32)
    kept = list(times)
    return Marginals(
        times=tuple(axis.to_flow(time) for time in kept),
        populations=tuple(Population(points[torch.as_tensor(elapsed == time)]) for time in kept),
    )
