"""Distances from pairwise comparisons: energy distance and maximum mean discrepancy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cellflow.metrics.cloud import Cloud
from cellflow.transport import distances

#: Gaussian bandwidths of the MMD, as multiples of the mean distance within the second cloud.
BANDWIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)

_CHUNK = 1024


def energy_distance(x: Cloud, y: Cloud) -> float:
    """2 E|X - Y| - E|X - X'| - E|Y - Y'|, in units of the points.

    Szekely and Rizzo 2013, equation 5, as a V-statistic: zero if and only if the clouds are equal.
    """
    across = _expectation(x, y, _identity)
    return 2 * across - _expectation(x, x, _identity) - _expectation(y, y, _identity)


def mmd(x: Cloud, y: Cloud) -> float:
    """Maximum mean discrepancy, the root of its biased (V-statistic) square, without unit.

    The kernel is the mean of Gaussians exp(-|x - y|^2 / (2 h^2)) over bandwidths h of 1/4 to 4
    times the mean distance within `y` (Gretton et al. 2012, equation 5).
    """
    spread = _expectation(y, y, _identity)
    widths = [factor * spread for factor in BANDWIDTHS] if spread > 0 else [1.0]

    def kernel(distance: np.ndarray) -> np.ndarray:
        square = distance**2
        return np.mean([np.exp(square / (-2 * width**2)) for width in widths], axis=0)

    square = (
        _expectation(x, x, kernel) + _expectation(y, y, kernel) - 2 * _expectation(x, y, kernel)
    )
    return float(np.sqrt(max(square, 0.0)))


def _identity(distance: np.ndarray) -> np.ndarray:
    return distance


def _expectation(x: Cloud, y: Cloud, of: Callable[[np.ndarray], np.ndarray]) -> float:
    """E of a function of |X - Y|, rows in chunks so that memory stays at chunk times m."""
    total = 0.0
    for start in range(0, len(x), _CHUNK):
        part = slice(start, start + _CHUNK)
        values = of(distances(x.points[part], y.points))
        total += float(x.weights[part] @ values @ y.weights)
    return total
