"""Distances between two point sets."""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial.distance import cdist

from cellflow._typing import Costs, OtherPoints, Points


def squared_distances(x: Points, y: OtherPoints) -> Costs:
    """Return squared Euclidean distances, shape (n, m), with device and dtype of the points.

    They are computed from inner products of centred points, so that points far from the origin do
    not lose precision.
    """
    centre = y.mean(dim=0)
    x, y = x - centre, y - centre
    # In place: matrices of costs are the largest there are.
    costs = torch.addmm(y.square().sum(dim=1), x, y.T, alpha=-2)
    return costs.add_(x.square().sum(dim=1)[:, None]).clamp_(min=0)


def distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return Euclidean distances, shape (n, m), in float64, from direct differences."""
    return cdist(x.astype(np.float64), y.astype(np.float64))


def scale_jointly(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Centre and scale two point sets jointly to a mean squared distance of one.

    Returns
    -------
    Scaled coordinates, shapes (n, d) and (m, d), float64, and the former mean squared distance.
    """
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    centre = x.mean(axis=0)
    x, y = x - centre, y - centre
    unit = float(x.var(axis=0).sum() + y.var(axis=0).sum() + np.square(y.mean(axis=0)).sum()) or 1.0
    return x / np.sqrt(unit), y / np.sqrt(unit), unit
