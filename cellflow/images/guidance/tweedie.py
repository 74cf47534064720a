"""Tweedie's formula for straight paths from Gaussian noise: scores and guidance from velocities.

On x_t = (1 - t) x0 + t x1 the velocity v(t, x) = E[x1 - x0 | x_t = x] says where the noise was,
E[x0 | x_t = x] = x - t v. The score of x_t follows, for independent ends and for semidiscrete
couplings alike, and with it the weights of guided trajectories.
"""

from __future__ import annotations

import torch

from cellflow._typing import Points, Rows
from cellflow.couplings.atoms import Features
from cellflow.couplings.dual_potentials import Potentials


def score_from_velocity(
    t: Rows, x: Points, velocity: Points, delta: Points | None = None, *, scale: float = 1.0
) -> Points:
    """Score of x_t, (t v - x + scale^2 delta) / (scale^2 (1 - t)), with noise N(0, scale^2 I).

    Mousavi-Hosseini et al. 2025, arXiv 2509.25519; the score of the noise at fixed x1,
    -x0 / scale^2, is joined by that of the coupling's shares.

    Parameters
    ----------
    t
        Times, shape (n,), below 1.
    x, velocity
        Points, shape (n, d), measured from the mean of the noise, and the velocities there.
    delta
        E[ (x1 - E[x1 | x0]) / epsilon | x_t = x ], shape (n, d), the mean of `entropic_pull` over
        the pairs that pass through x. None where it is zero: without entropy, or between
        independent ends.
    scale
        Standard deviation of the noise.
    """
    t = t[:, None]
    pull = 0.0 if delta is None else scale**2 * delta
    return (t * velocity - x + pull) / (scale**2 * (1 - t))


def barycentre(potentials: Potentials, x0: Features) -> Features:
    """Mean of the atoms that each point goes to, E[x1 | x0], shape (n, f).

    With costs on a basis, of their projections on it.
    """
    if potentials.epsilon == 0:
        return potentials.lifted(potentials.atoms[potentials.assign(x0)])
    means = []
    for rows in potentials.tiles(x0):
        mean = torch.zeros_like(rows)
        for atoms, shares in potentials.shares(rows):
            mean += shares @ potentials.atoms[atoms]
        means.append(mean)
    return potentials.lifted(torch.cat(means))


def entropic_pull(potentials: Potentials, x0: Features, x1: Features) -> Features:
    """Score of the share of x1 in x0's row of the plan, (x1 - E[x1 | x0]) / epsilon.

    A regression of it on (t, x_t) learns the delta of `score_from_velocity`. Zero without entropy.
    With costs on a basis, x1 is projected on it as well.
    """
    if potentials.epsilon == 0:
        return torch.zeros_like(x0)
    if potentials.basis is not None:
        x1 = potentials.lifted(potentials.coordinates(x1))
    return (x1 - barycentre(potentials, x0)) / potentials.epsilon
