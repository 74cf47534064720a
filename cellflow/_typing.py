"""Shapes of tensors in signatures, and the protocols that the packages of the engine share.

Axes: `n` rows (cells), `m` rows of another cloud, `d` dimensions, `t` time points.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

Points = Float[Tensor, "n d"]
OtherPoints = Float[Tensor, "m d"]
Costs = Float[Tensor, "n m"]
Paths = Float[Tensor, "t n d"]
Rows = Float[Tensor, " n"]
Scalar = Float[Tensor, ""]


@runtime_checkable
class Marginal(Protocol):
    """A law that can be sampled: a time slice, noise, a set of images."""

    def sample(self, n: int, generator: torch.Generator) -> Points:
        """Draw `n` points of the law."""
        ...


@runtime_checkable
class VelocityField(Protocol):
    """A velocity `v(t, x)`; `t` has one entry a row of `x`."""

    def __call__(self, t: Rows, x: Points) -> Points: ...
