"""A weighted point cloud, which every metric compares."""

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
        Masses, shape (n,); uniform where made by `Cloud.of` without any.
    """

    points: np.ndarray
    weights: np.ndarray

    @classmethod
    def of(cls, points: np.ndarray, weights: np.ndarray | None = None) -> Cloud:
        """Make a cloud of any numbers; weights are normalised."""
        points = np.asarray(points, dtype=np.float64)
        if points.ndim != 2 or not len(points):
            raise InputError(f"a cloud needs points of shape (n, d), got {points.shape}")
        return cls(points, normalise_masses(weights, len(points)))

    def __len__(self) -> int:
        return len(self.points)

    @property
    def is_uniform(self) -> bool:
        """Whether all points weigh the same."""
        return bool(np.ptp(self.weights) == 0)

    @property
    def mean(self) -> np.ndarray:
        """Weighted mean, shape (d,)."""
        return self.weights @ self.points

    @property
    def covariance(self) -> np.ndarray:
        """Weighted covariance with divisor one, shape (d, d)."""
        centred = self.points - self.mean
        return (centred * self.weights[:, None]).T @ centred

    def uniform(self) -> Cloud:
        """The same points, equally heavy."""
        return Cloud.of(self.points)

    def shrunken(self, factor: float) -> Cloud:
        """Points moved towards the mean: `factor` 1 leaves them, 0 collapses them."""
        return Cloud(self.mean + factor * (self.points - self.mean), self.weights)

    def drawn(self, n: int, rng: np.random.Generator) -> Cloud:
        """`n` equally heavy points drawn by mass; all points where there are no more than `n`.

        Systematic resampling in random order: a point of mass w is drawn n w times, rounded up
        or down at random, so points are distinct as long as none weighs more than 1 / n.
        """
        if self.is_uniform and n >= len(self):
            return self
        order = rng.permutation(len(self))
        ends = np.cumsum(self.weights[order])
        marks = (np.arange(n) + rng.random()) / n * ends[-1]
        # The last mark can round up to the end of the line.
        places = np.searchsorted(ends, marks, side="right").clip(max=len(self) - 1)
        return Cloud.of(self.points[order[places]])
