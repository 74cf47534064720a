"""Ground costs between two sets of points."""

from __future__ import annotations

import numpy as np
from scipy.spatial.distance import cdist

from cellflow._typing import Costs, OtherPoints, Points


def squared_distances(x: Points, y: OtherPoints) -> Costs:
    """Squared Euclidean distances, on the device and in the precision of the points.

    Differences are taken by matrix products of centred points, so that a cloud far from the
    origin does not lose its digits.
    """
    centre = y.mean(dim=0)
    x, y = x - centre, y - centre
    norms = x.square().sum(dim=1)[:, None] + y.square().sum(dim=1)
    return (norms - 2 * x @ y.T).clamp(min=0)


def distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Euclidean distances (n, m) in float64, by direct differences."""
    return cdist(x.astype(np.float64), y.astype(np.float64))


def in_units(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Centred coordinates in float64 whose mean squared distance is one, and what it was."""
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    centre = x.mean(axis=0)
    x, y = x - centre, y - centre
    unit = float(x.var(axis=0).sum() + y.var(axis=0).sum() + np.square(y.mean(axis=0)).sum()) or 1.0
    return x / np.sqrt(unit), y / np.sqrt(unit), unit
