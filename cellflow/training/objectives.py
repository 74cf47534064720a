"""Objectives: they draw their own times and turn pairs and a net into a loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch

from cellflow._typing import Scalar, VelocityField
from cellflow.couplings import Pairs
from cellflow.paths import Path


@runtime_checkable
class Objective(Protocol):
    """A loss to minimise over the weights of a net."""

    def loss(self, net: VelocityField, pairs: Pairs, generator: torch.Generator) -> Scalar:
        """Loss of one batch."""
        ...


@dataclass(frozen=True)
class VelocityRegression:
    """Conditional flow matching: E |v(t, x_t) - u_t|^2 with t uniform over each pair's interval.

    The norm is a mean over rows and dimensions (Tong et al. 2024, arXiv 2302.00482, equation 10).

    Attributes
    ----------
    path
        Gives x_t and u_t.
    """

    path: Path

    def loss(self, net: VelocityField, pairs: Pairs, generator: torch.Generator) -> Scalar:
        """Mean squared error of the velocity on one batch."""
        share = torch.rand(
            len(pairs), generator=generator, device=pairs.t0.device, dtype=pairs.t0.dtype
        )
        t = pairs.t0 + share * (pairs.t1 - pairs.t0)
        sample = self.path.sample(pairs, t, generator)
        return (net(t, sample.x) - sample.u).square().mean()
