"""Distances between weighted point clouds: Wasserstein, energy, MMD, and of mean and covariance."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cellflow._checks import check_choice
from cellflow.metrics.cloud import Cloud
from cellflow.transport import distances, exact_plan

#: Gaussian bandwidths of the MMD, in units of the mean distance within the second cloud.
BANDWIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)

#: Arrays of the rows of two clouds.
Sides = tuple[np.ndarray, np.ndarray]

_CHUNK = 1024


def wasserstein(x: Cloud, y: Cloud, *, power: int = 1) -> float:
    """Compute the exact Wasserstein distance W1 or W2 (`power`), Euclidean, in units of the points.

    The plan is proven optimal (`cellflow.transport.exact_plan`). Time and memory grow slightly
    faster than n times m: 8,000 points per side take about 6 s and 1.5 GB
    (docs/benchmarks/performance.md).

    Raises
    ------
    SolverError
        If optimality cannot be proven.
    """
    check_choice(str(power), ("1", "2"), "power")
    plan = exact_plan(distances(x.points, y.points) ** power, x.weights, y.weights)
    return max(plan.cost, 0.0) ** (1 / power)


def midpoint(
    x: Cloud,
    y: Cloud,
    fraction: float,
    *,
    labels: Sides | None = None,
    beside: Sides | None = None,
) -> Cloud:
    """Compute the displacement interpolation of two clouds (McCann 1997).

    Each entry (i, j) of the optimal plan for squared Euclidean cost becomes a point at
    (1 - fraction) x_i + fraction y_j, with its mass.

    Parameters
    ----------
    x, y
        The clouds.
    fraction
        Share of the way from `x` to `y`.
    labels
        Label of each point of both, within which they are coupled; a label's mass is the mean of
        both sides', and points of labels that one side lacks are left out, unless there are no
        others.
    beside
        Further coordinates of costs of both, shapes (n, k) and (m, k).
    """
    atoms, masses = [], []
    for rows, columns in _common_blocks(labels):
        sources, targets = x.weights[rows], y.weights[columns]
        costs = distances(x.points[rows], y.points[columns]) ** 2
        if beside is not None:
            costs += distances(beside[0][rows], beside[1][columns]) ** 2
        plan = exact_plan(costs, sources, targets)
        share = 1.0 if labels is None else (sources.sum() + targets.sum()) / 2
        starts, ends = x.points[rows][plan.rows], y.points[columns][plan.columns]
        atoms.append((1 - fraction) * starts + fraction * ends)
        masses.append(np.maximum(plan.mass, 0) * share)
    return Cloud.of(np.concatenate(atoms), np.concatenate(masses))


def _common_blocks(
    labels: Sides | None,
) -> list[tuple[slice | np.ndarray, slice | np.ndarray]]:
    """Return the rows of two clouds of each label that both have; all rows without one."""
    everything: list[tuple[slice | np.ndarray, slice | np.ndarray]] = [(slice(None), slice(None))]
    if labels is None:
        return everything
    blocks: list[tuple[slice | np.ndarray, slice | np.ndarray]] = [
        (np.flatnonzero(labels[0] == label), np.flatnonzero(labels[1] == label))
        for label in np.intersect1d(*labels)
    ]
    return blocks or everything


def energy_distance(x: Cloud, y: Cloud) -> float:
    """Compute the energy distance 2 E|X - Y| - E|X - X'| - E|Y - Y'|, in units of the points.

    Szekely and Rizzo 2013, equation 5, as a V-statistic: 0 if and only if the clouds are equal.
    """
    across = _expectation(x, y, _identity)
    return 2 * across - _expectation(x, x, _identity) - _expectation(y, y, _identity)


def mmd(x: Cloud, y: Cloud) -> float:
    """Compute the maximum mean discrepancy: root of the biased (V-statistic) MMD^2, unitless.

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
    """Compute the mean of a function of |X - Y|, in chunks of rows of the distance matrix."""
    total = 0.0
    for start in range(0, len(x), _CHUNK):
        part = slice(start, start + _CHUNK)
        values = of(distances(x.points[part], y.points))
        total += float(x.weights[part] @ values @ y.weights)
    return total


def mean_error(x: Cloud, y: Cloud) -> float:
    """Compute the Euclidean distance of the means, in units of the points."""
    return float(np.linalg.norm(x.mean - y.mean))


def cov_error(x: Cloud, y: Cloud) -> float:
    """Compute the Frobenius distance of the covariances, in squared units of the points."""
    return float(np.linalg.norm(x.covariance - y.covariance))


def var_ratio(x: Cloud, y: Cloud) -> float:
    """Compute the total variance of `x` divided by that of `y`; NaN if all of `y` coincide."""
    real = float(np.trace(y.covariance))
    return float(np.trace(x.covariance)) / real if real else float("nan")
