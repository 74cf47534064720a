"""Exact optimal transport between two equally many, equally heavy points: an assignment."""

from __future__ import annotations

import lap
import numpy as np

from cellflow._errors import InputError


def assign(cost: np.ndarray) -> np.ndarray:
    """Return the column that each row is matched to, at least total cost.

    With uniform weights an optimal plan is a permutation divided by n (Birkhoff), so this is the
    exact plan of the network simplex in less time: Jonker-Volgenant, by lapx.

    Parameters
    ----------
    cost
        Square matrix (n, n) of finite numbers, float32 or float64.

    Returns
    -------
    Column indices, shape (n,), a permutation.
    """
    if cost.ndim != 2 or cost.shape[0] != cost.shape[1]:
        raise InputError(f"an assignment needs a square cost matrix, got shape {cost.shape}")
    if not np.isfinite(cost).all():
        raise InputError("the cost matrix has NaN or infinite entries")
    _, columns = lap.lapjvh(np.ascontiguousarray(cost), return_cost=False)
    return columns
