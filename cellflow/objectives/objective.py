"""The interface of objectives, and functions that objectives share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from cellflow._batch import Pairs
from cellflow._random import normal_like, uniform_like
from cellflow._typing import Condition, Rows, Scalar
from cellflow.paths import Path, PathSample


@runtime_checkable
class Objective(Protocol):
    """A loss that is minimised over the weights of a network."""

    def loss(self, net: Any, pairs: Pairs, generator: torch.Generator) -> Scalar:
        """Return the loss of one batch of pairs, a scalar."""
        ...


#: Draws one flow time per pair, within its interval.
TimeSampler = Callable[[Pairs, torch.Generator], Rows]


def uniform_times(pairs: Pairs, generator: torch.Generator) -> Rows:
    """Draw one time per pair, uniform over its interval, shape (n,)."""
    t0 = pairs.t0
    return t0 + uniform_like(t0, generator) * (pairs.t1 - t0)


@dataclass(frozen=True)
class LogitNormal:
    """Times with normal logit(s), s = (t - t0) / (t1 - t0) (Esser et al. 2024, arXiv 2403.03206).

    Attributes
    ----------
    mean, std
        Mean and standard deviation of logit(s); a mean above 0 draws late times more often.
    """

    mean: float
    std: float

    def __call__(self, pairs: Pairs, generator: torch.Generator) -> Rows:
        """Draw one time per pair, shape (n,)."""
        t0 = pairs.t0
        z = normal_like(t0, generator)
        return t0 + torch.sigmoid(self.mean + self.std * z) * (pairs.t1 - t0)


def disable_autocast(like: Tensor) -> torch.autocast:
    """Return a context that disables bf16 autocast: only networks run in bf16."""
    return torch.autocast(like.device.type, enabled=False)


def sample_path(path: Path, pairs: Pairs, t: Rows, generator: torch.Generator) -> PathSample:
    """Sample a path without autocast."""
    with disable_autocast(t):
        return path.sample(pairs, t, generator)


def condition_at(pairs: Pairs, t: Rows) -> Condition | None:
    """Interpolate covariates linearly between source and target, shape (n, c); None without any."""
    if pairs.c0 is None or pairs.c1 is None:
        return None
    s = ((t - pairs.t0) / (pairs.t1 - pairs.t0))[:, None]
    return (1 - s) * pairs.c0 + s * pairs.c1


def weighted_mean(values: Rows, weight: Rows | None) -> Scalar:
    """Return the mean of `values` times `weight`; None is weight 1."""
    return values.mean() if weight is None else (weight * values).mean()
