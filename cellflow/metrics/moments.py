"""Errors of the first two moments."""

from __future__ import annotations

import numpy as np

from cellflow.metrics.cloud import Cloud


def mean_error(x: Cloud, y: Cloud) -> float:
    """Euclidean distance of the means, in units of the points."""
    return float(np.linalg.norm(x.mean - y.mean))


def cov_error(x: Cloud, y: Cloud) -> float:
    """Frobenius distance of the covariances, in squared units of the points."""
    return float(np.linalg.norm(x.covariance - y.covariance))


def var_ratio(x: Cloud, y: Cloud) -> float:
    """Total variance of `x` over that of `y`, under 1 where too narrow; NaN if `y` has none."""
    real = float(np.trace(y.covariance))
    return float(np.trace(x.covariance)) / real if real else float("nan")
