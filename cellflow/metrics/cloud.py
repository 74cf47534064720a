"""A weighted point cloud, the argument of all distances."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cellflow._errors import InputError
from cellflow.transport.plan import normalise_masses


@dataclass(frozen=True)
class Cloud:
    """Points with masses that sum to one.

    Attributes
    ----------
    points
        Coordinates, shape (n, d), float64.
    weights
        Masses, shape (n,); equal by default in `Cloud.of`.
    """

    points: np.ndarray
    weights: np.ndarray

    @classmethod
    def of(cls, points: np.ndarray, weights: np.ndarray | None = None) -> Cloud:
        """Build a cloud from numbers of any type; weights are normalised, and equal if None."""
        points = np.asarray(points, dtype=np.float64)
        if points.ndim != 2 or not len(points):
            raise InputError(f"a cloud needs points of shape (n, d), got {points.shape}")
        return cls(points, normalise_masses(weights, len(points)))

    def __len__(self) -> int:
        return len(self.points)

    @property
    def is_uniform(self) -> bool:
        """Whether all points have equal mass."""
        return bool(np.ptp(self.weights) == 0)

    @property
    def mean(self) -> np.ndarray:
        """Weighted mean, shape (d,)."""
        return self.weights @ self.points

    @property
    def covariance(self) -> np.ndarray:
        """Weighted covariance sum_i w_i (x_i - mean)(x_i - mean)^T, shape (d, d)."""
        centred = self.points - self.mean
        return (centred * self.weights[:, None]).T @ centred

    def with_equal_weights(self) -> Cloud:
        """Return the same points with equal masses."""
        return Cloud.of(self.points)

    def shrink(self, factor: float) -> Cloud:
        """Return mean + `factor` (x - mean) for all points x."""
        return Cloud(self.mean + factor * (self.points - self.mean), self.weights)

    def resample(self, n: int, rng: np.random.Generator) -> Cloud:
        """Draw `n` points of equal mass by systematic resampling, in random order.

        A point of mass w is drawn n w times, rounded up or down at random, so points are distinct
        if no mass is above 1 / n. Equal masses and n >= len(self) return the cloud itself.
        """
        if self.is_uniform and n >= len(self):
            return self
        return Cloud.of(self.points[self.draw_rows(n, rng)])

    def draw_rows(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Draw `n` rows by mass, as in `resample`, shape (n,)."""
        order = rng.permutation(len(self))
        ends = np.cumsum(self.weights[order])
        positions = (np.arange(n) + rng.random()) / n * ends[-1]
        # The last position can round up to the total mass.
        rows: np.ndarray = order[
            np.searchsorted(ends, positions, side="right").clip(max=len(self) - 1)
        ]
        return rows
