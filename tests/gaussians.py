"""Gaussian marginals in one dimension, and the velocity fields known for them in closed form."""

from dataclasses import dataclass

import torch

from cellflow._batch import Batch, Marginal


@dataclass(frozen=True)
class Normal(Marginal):
    """The normal distribution N(mean, std^2), sampled in float64."""

    mean: float = 0.0
    std: float = 1.0

    def sample(self, n, generator):
        noise = torch.randn((n, 1), generator=generator, dtype=torch.float64)
        return Batch(self.mean + self.std * noise)


def independent_velocity(t, x, m, s):
    """Return the marginal velocity of I-CFM between N(0, 1) and N(m, s^2), without noise."""
    return m + (t * s**2 - (1 - t)) / (t**2 * s**2 + (1 - t) ** 2) * (x - t * m)


def optimal_velocity(t, x, m, s):
    """Return the marginal velocity of OT-CFM between N(0, 1) and N(m, s^2), without noise."""
    return m + (s - 1) / (1 - t + t * s) * (x - t * m)


def samples(coupling, path, time, n, generator):
    """Return positions and conditional velocities on the path at one time, shape (n,) each."""
    pairs = coupling.sample(n, generator)
    t = torch.full((len(pairs),), time, dtype=torch.float64)
    sample = path.sample(pairs, t, generator)
    return sample.x[:, 0].numpy(), sample.u[:, 0].numpy()
