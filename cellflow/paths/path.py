"""What a path gives, and what paths have in common."""

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
    """Points on conditional paths.

    Attributes
    ----------
    x
        Positions x_t, shape (n, d).
    u
        Conditional velocities u_t, per unit of flow time, shape (n, d).
    noise
        Standard normal noise in x_t, shape (n, d), of paths whose score is known.
    ratio
        2 sigma_t / g^2, shape (n,): what the scaled score is multiplied by to be compared with
        the noise.
    growth
        Growth rate of the mass on the path, d log m / dt, shape (n,), where mass changes.
    weight
        Mass on the path, shape (n,), in units of that by which the pair was drawn.
    """

    x: Points
    u: Points
    noise: Points | None = None
    ratio: Rows | None = None
    growth: Rows | None = None
    weight: Rows | None = None


@runtime_checkable
class Path(Protocol):
    """A conditional probability path between the endpoints of a pair."""

    def sample(self, pairs: Pairs, t: Rows, generator: torch.Generator) -> PathSample:
        """Draw x_t for each pair at flow time `t`, with t0 <= t <= t1, and its velocity."""
        ...


def progress(pairs: Pairs, t: Rows) -> tuple[Tensor, Tensor]:
    """Share of the interval that is over and length of the interval, both of shape (n, 1)."""
    length = pairs.t1 - pairs.t0
    return ((t - pairs.t0) / length)[:, None], length[:, None]


def blurred(x: Points, sigma: float, generator: torch.Generator) -> Points:
    """Points with noise of standard deviation `sigma`; for 0 none is drawn."""
    return x + sigma * normal_like(x, generator) if sigma else x


def steady_growth(pairs: Pairs, t: Rows) -> dict[str, Any]:
    """Columns `growth` and `weight` of a mass that grows at a constant rate; none without masses.

    That is m_t = m0 (m1 / m0)^s, so d log m / dt = log(m1 / m0) / (t1 - t0).
    """
    if pairs.m0 is None or pairs.m1 is None:
        return {}
    rate = torch.log(pairs.m1 / pairs.m0) / (pairs.t1 - pairs.t0)
    return {"growth": rate, "weight": pairs.m0 * torch.exp(rate * (t - pairs.t0))}
