"""The energy of paths in a metric, which a net that bends them minimises."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import nn

from cellflow._batch import Pairs
from cellflow._errors import InputError
from cellflow._typing import Points, Rows, Scalar
from cellflow.objectives.objective import on_path, precise, uniform_times, weighted_mean
from cellflow.paths.gaussian_paths import StraightPath
from cellflow.paths.metric_path import MetricPath
from cellflow.paths.path import Path


@runtime_checkable
class MetricField(Protocol):
    """A diagonal metric tensor that differs from interval to interval."""

    def __call__(self, x: Points, t0: Rows) -> Points:
        """Diagonal at `x`, shape (n, d), in the intervals that start at `t0`, shape (n,)."""
        ...


@dataclass(frozen=True)
class MetricEnergy:
    """E sum_d M_d(x_t) u_td^2 over bent paths, as a multiple of that over straight ones.

    Minimised over the net of a `MetricPath`, it makes the paths geodesics of the metric M
    (Kapuśniak et al. 2024, arXiv 2405.14780). Straight paths have energy 1.

    Attributes
    ----------
    metric
        Called with x_t and the start of each row's interval.
    sigma
        Noise of the path, in units of the representation.
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
        """In units of the straight paths of some pairs, the more the better.

        Raises
        ------
        InputError
            If that energy is no positive number: the points do not move, or the metric is zero or
            infinite where they pass.
        """
        energy = float(_energy(StraightPath(sigma), metric, pairs, generator))
        if not 0 < energy < float("inf"):
            raise InputError(f"straight paths have energy {energy} in the metric, so none is less")
        return cls(metric, sigma, energy)

    def loss(self, net: nn.Module, pairs: Pairs, generator: torch.Generator) -> Scalar:
        """Relative energy of one batch of paths that `net` bends."""
        return _energy(MetricPath(net, self.sigma), self.metric, pairs, generator) / self.straight


def _energy(path: Path, metric: MetricField, pairs: Pairs, generator: torch.Generator) -> Scalar:
    t = uniform_times(pairs, generator)
    sample = on_path(path, pairs, t, generator)
    with precise(t):
        diagonal = metric(sample.x, pairs.t0)
    energy = (diagonal * sample.u.square()).sum(dim=1)
    return weighted_mean(energy, sample.weight)
