"""The interface of conditional paths, and functions that paths share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from cellflow._batch import Columns, Pairs
from cellflow._random import normal_like
from cellflow._typing import Points, Rows


@dataclass(frozen=True)
class PathSample(Columns):
    """Points x_t on conditional paths, with their velocities u_t.

    Attributes
    ----------
    x
        Positions x_t, shape (n, d).
    u
        Conditional velocities u_t, per unit of flow time, shape (n, d).
    noise
        Standard normal noise of x_t, shape (n, d), if the path has a score.
    ratio
        2 sigma_t / g^2, shape (n,), if the path has a score: `ratio` times the scaled score
        (g^2 / 2) grad log p_t(x_t | x0, x1) is -`noise`.
    growth
        Growth rate d log m / dt of the mass on the path, shape (n,), if the mass changes.
    weight
        Mass m_t on the path, shape (n,), in units of the mass that the pair was drawn with.
    """

    x: Points
    u: Points
    noise: Points | None = None
    ratio: Rows | None = None
    growth: Rows | None = None
    weight: Rows | None = None


@runtime_checkable
class Path(Protocol):
    """A conditional probability path between the ends of a pair."""

    def sample(self, pairs: Pairs, t: Rows, generator: torch.Generator) -> PathSample:
        """Draw x_t and its velocity for each pair, at flow times `t`, shape (n,), in [t0, t1]."""
        ...


def unit_time(pairs: Pairs, t: Rows) -> tuple[Tensor, Tensor]:
    """Return s = (t - t0) / (t1 - t0) and t1 - t0, both of shape (n, 1)."""
    length = pairs.t1 - pairs.t0
    return ((t - pairs.t0) / length)[:, None], length[:, None]


def add_noise(x: Points, sigma: float, generator: torch.Generator) -> Points:
    """Add normal noise of standard deviation `sigma`; 0 draws none."""
    return x + sigma * normal_like(x, generator) if sigma else x


def exponential_growth(pairs: Pairs, t: Rows) -> dict[str, Any]:
    """Return the columns `growth` and `weight` of exponential growth; empty without masses.

    m_t = m0 (m1 / m0)^s and d log m / dt = log(m1 / m0) / (t1 - t0).
    """
    if pairs.m0 is None or pairs.m1 is None:
        return {}
    rate = torch.log(pairs.m1 / pairs.m0) / (pairs.t1 - pairs.t0)
    return {"growth": rate, "weight": pairs.m0 * torch.exp(rate * (t - pairs.t0))}
