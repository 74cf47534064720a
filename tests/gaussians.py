"""Gaussian marginals in one dimension, and the velocity fields known for them in closed form."""

from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Normal:
    """N(mean, std^2), sampled in float64."""

    mean: float = 0.0
    std: float = 1.0

    def sample(self, n, generator):
        noise = torch.randn((n, 1), generator=generator, dtype=torch.float64)
        return self.mean + self.std * noise


def independent_velocity(t, x, m, s):
    """Marginal velocity of I-CFM between N(0, 1) and N(m, s^2), no noise."""
    return m + (t * s**2 - (1 - t)) / (t**2 * s**2 + (1 - t) ** 2) * (x - t * m)


def optimal_velocity(t, x, m, s):
    """Marginal velocity of OT-CFM between N(0, 1) and N(m, s^2), no noise."""
    return m + (s - 1) / (1 - t + t * s) * (x - t * m)


def regress(coupling, path, objective_time, n, generator):
    """Least-squares line of conditional velocities on positions: (intercept, slope)."""
    pairs = coupling.sample(n, generator)
    t = torch.full((len(pairs),), objective_time, dtype=torch.float64)
    sample = path.sample(pairs, t, generator)
    x, u = sample.x[:, 0].numpy(), sample.u[:, 0].numpy()
    slope, intercept = np.polyfit(x, u, 1)
    return intercept, slope
