"""The Frechet distance: Wasserstein-2, squared, between the Gaussians with two samples' moments."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cellflow._errors import InputError

_CHUNK = 4096


@dataclass(frozen=True)
class Moments:
    """Count, mean and scatter of a sample, computed in chunks.

    Attributes
    ----------
    n
        Number of points.
    mean
        Shape (d,), float64.
    scatter
        Sum of (x - mean)(x - mean)^T, shape (d, d), float64.
    """

    n: int
    mean: np.ndarray
    scatter: np.ndarray

    @classmethod
    def of(cls, points: np.ndarray) -> Moments:
        """Return the moments of points (n, d), without a float64 copy of all of them."""
        if points.ndim != 2 or not len(points):
            raise InputError(f"moments need points of shape (n, d), got {points.shape}")
        parts = (_moments(points[k : k + _CHUNK]) for k in range(0, len(points), _CHUNK))
        whole = next(parts)
        for part in parts:
            whole = whole.merge(part)
        return whole

    def merge(self, other: Moments) -> Moments:
        """Return the moments of both samples (Chan, Golub and LeVeque 1983, equation 2.1)."""
        n = self.n + other.n
        shift = other.mean - self.mean
        between = np.outer(shift, shift) * (self.n * other.n / n)
        return Moments(n, self.mean + shift * (other.n / n), self.scatter + other.scatter + between)

    @property
    def cov(self) -> np.ndarray:
        """Unbiased covariance, shape (d, d), of two points or more."""
        if self.n < 2:
            raise InputError(f"a covariance needs 2 points or more, got {self.n}")
        return self.scatter / (self.n - 1)


def frechet_distance(
    mean_a: np.ndarray, cov_a: np.ndarray, mean_b: np.ndarray, cov_b: np.ndarray
) -> float:
    """Return the Frechet distance, in squared units of the points.

    It is |mean_a - mean_b|^2 + tr(A + B - 2 (A B)^(1/2)) (Heusel et al. 2017, equation 6). The
    eigenvalues of (A B)^(1/2) are the singular values of F_a^T F_b, with A = F_a F_a^T and
    B = F_b F_b^T: they are real and non-negative, and the factor of a covariance of low rank has as
    few columns. From finite samples it is biased upwards, more so from fewer, so compare at equal
    numbers only.

    Parameters
    ----------
    mean_a, mean_b
        Shape (d,).
    cov_a, cov_b
        Shape (d, d), symmetric and positive semidefinite.
    """
    d = len(mean_a)
    shapes = [array.shape for array in (mean_a, cov_a, mean_b, cov_b)]
    if shapes != [(d,), (d, d), (d,), (d, d)]:
        raise InputError(f"means and covariances must be (d,) and (d, d), got {shapes}")
    shift = np.subtract(mean_a, mean_b, dtype=np.float64)
    roots = np.linalg.svd(_factor(cov_a).T @ _factor(cov_b), compute_uv=False)
    distance = shift @ shift + np.trace(cov_a) + np.trace(cov_b) - 2 * roots.sum()
    return max(float(distance), 0.0)


def _moments(points: np.ndarray) -> Moments:
    points = points.astype(np.float64)
    mean = points.mean(axis=0)
    centred = points - mean
    return Moments(len(points), mean, centred.T @ centred)


def _factor(cov: np.ndarray) -> np.ndarray:
    """Return F of shape (d, rank) with F F^T = cov."""
    values, vectors = np.linalg.eigh(np.asarray(cov, dtype=np.float64))
    # Square roots of rounding errors around zero would add up over many dimensions.
    kept = values > len(values) * np.finfo(np.float64).eps * max(values[-1], 0.0)
    return vectors[:, kept] * np.sqrt(values[kept])
