"""The energy of paths in a Riemannian metric."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import nn

from cellflow._batch import Pairs
from cellflow._errors import InputError
from cellflow._typing import Points, Rows, Scalar
from cellflow.objectives.objective import (
    disable_autocast,
    sample_path,
    uniform_times,
    weighted_mean,
)
from cellflow.paths.gaussian_paths import StraightPath
from cellflow.paths.metric_path import MetricPath
from cellflow.paths.path import Path


@runtime_checkable
class MetricField(Protocol):
    """A diagonal metric tensor per interval."""

    def __call__(self, x: Points, t0: Rows) -> Points:
        """Return the diagonal at `x`, shape (n, d), in intervals that start at `t0`, shape (n,)."""
        ...


@dataclass(frozen=True)
class MetricEnergy:
    """Energy E sum_d M_d(x_t) u_td^2 of a `MetricPath`, relative to that of straight paths.

    The network that minimises it makes the paths geodesics of the metric M (Kapuśniak et al. 2024,
    arXiv 2405.14780).

    Attributes
    ----------
    metric
        M, called with x_t and the start of the interval of each row.
    sigma
        Standard deviation of the noise of the path, in units of the points.
    straight
        Energy of straight paths.
    """

    metric: MetricField
    sigma: float = 0.1
    straight: float = 1.0

    @classmethod
    def relative(
        cls, metric: MetricField, sigma: float, pairs: Pairs, generator: torch.Generator
    ) -> MetricEnergy:
        """Build the objective with the energy of straight paths estimated from `pairs`.

        Raises
        ------
        InputError
            If that energy is not positive and finite: the points do not move, or the metric is zero
            or infinite along their paths.
        """
        energy = float(_energy(StraightPath(sigma), metric, pairs, generator))
        if not 0 < energy < float("inf"):
            raise InputError(
                f"the energy of straight paths in the metric must be positive and finite, got "
                f"{energy}: check that the points move, and the length scale of the metric"
            )
        return cls(metric, sigma, energy)

    def loss(self, net: nn.Module, pairs: Pairs, generator: torch.Generator) -> Scalar:
        """Return the relative energy of one batch, with paths corrected by `net`."""
        return _energy(MetricPath(net, self.sigma), self.metric, pairs, generator) / self.straight


def _energy(path: Path, metric: MetricField, pairs: Pairs, generator: torch.Generator) -> Scalar:
    t = uniform_times(pairs, generator)
    sample = sample_path(path, pairs, t, generator)
    with disable_autocast(t):
        diagonal = metric(sample.x, pairs.t0)
    energy = (diagonal * sample.u.square()).sum(dim=1)
    return weighted_mean(energy, sample.weight)
