"""What an objective is, and what objectives have in common."""

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
    """A loss to minimise over the weights of a net, of the kind that the objective knows."""

    def loss(self, net: Any, pairs: Pairs, generator: torch.Generator) -> Scalar:
        """Loss of one batch."""
        ...


#: Draws a time for each pair, inside its interval.
TimeLaw = Callable[[Pairs, torch.Generator], Rows]


def uniform_times(pairs: Pairs, generator: torch.Generator) -> Rows:
    """One time for each pair, uniform over its interval."""
    t0 = pairs.t0
    return t0 + uniform_like(t0, generator) * (pairs.t1 - t0)


@dataclass(frozen=True)
class LogitNormal:
    """Times whose logits, as shares of their intervals, are normal.

    Attributes
    ----------
    mean, std
        Of the logits; a mean over 0 draws late times more often.
    """

    mean: float
    std: float

    def __call__(self, pairs: Pairs, generator: torch.Generator) -> Rows:
        """One time for each pair."""
        t0 = pairs.t0
        z = normal_like(t0, generator)
        return t0 + torch.sigmoid(self.mean + self.std * z) * (pairs.t1 - t0)


def precise(like: Tensor) -> torch.autocast:
    """Where nothing is computed in brain floats, which are for the nets of a flow alone."""
    return torch.autocast(like.device.type, enabled=False)


def on_path(path: Path, pairs: Pairs, t: Rows, generator: torch.Generator) -> PathSample:
    """Points of a path, in whole precision."""
    with precise(t):
        return path.sample(pairs, t, generator)


def condition_at(pairs: Pairs, t: Rows) -> Condition | None:
    """Covariates on the way: those of the source turn into those of the target in proportion."""
    if pairs.c0 is None or pairs.c1 is None:
        return None
    s = ((t - pairs.t0) / (pairs.t1 - pairs.t0))[:, None]
    return (1 - s) * pairs.c0 + s * pairs.c1


def weighted_mean(values: Rows, weight: Rows | None) -> Scalar:
    """Mean over rows, each counting as much as its weight where there is one."""
    return values.mean() if weight is None else (weight * values).mean()
