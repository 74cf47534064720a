"""Shapes of tensors in signatures, and the protocols that the packages of the engine share.

Axes: `n` rows (cells), `d` dimensions of the representation, `t` time points; `m` rows of another cloud.
"""

from __future__ import annotations

from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

Points = Float[Tensor, "n d"]
OtherPoints = Float[Tensor, "m d"]
Costs = Float[Tensor, "n m"]
Paths = Float[Tensor, "t n d"]
Rows = Float[Tensor, " n"]
Scalar = Float[Tensor, ""]


class Marginal(Protocol):
    """A law that can be sampled: a time slice, noise, a set of images."""

    def sample(self, n: int, generator: torch.Generator) -> Points:
        """Draw `n` points of the law."""
        ...


class VelocityField(Protocol):
    """A velocity `v(t, x)`; `t` has one entry a row of `x`."""

    def __call__(self, t: Rows, x: Points) -> Points: ...
