"""Tensor shapes in signatures, and protocols shared by several packages.

Axes: `n` points (cells), `m` points of another set, `d` dimensions, `c` covariates, `t` times.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

Points = Float[Tensor, "n d"]
OtherPoints = Float[Tensor, "m d"]
#: One of several point sets of different sizes.
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
    """A velocity v(t, x); `t` has one entry per row of `x`."""

    def __call__(self, t: Rows, x: Points) -> Points: ...
