"""Shapes of tensors in signatures, and the protocols that the packages of the engine share.

Axes: `n` rows (cells), `m` rows of another cloud, `d` dimensions, `c` covariates, `t` time points.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

Points = Float[Tensor, "n d"]
OtherPoints = Float[Tensor, "m d"]
#: One of several sets of points, which need not be of one size.
Cloud = Float[Tensor, "_ d"]
Condition = Float[Tensor, "n c"]
Costs = Float[Tensor, "n m"]
Paths = Float[Tensor, "t n d"]
Rows = Float[Tensor, " n"]
Scalar = Float[Tensor, ""]
#: Times for all rows, or each row's own.
Times = Sequence[float] | Float[Tensor, "t n"]


@runtime_checkable
class VelocityField(Protocol):
    """A velocity `v(t, x)`; `t` has one entry a row of `x`."""

    def __call__(self, t: Rows, x: Points) -> Points: ...
