"""What a path gives, and what it needs to know of a pair."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch

from cellflow._typing import Points, Rows


@runtime_checkable
class Endpoints(Protocol):
    """Pairs of points with their times, as a coupling serves them."""

    @property
    def x0(self) -> Points:
        """Source points."""
        ...

    @property
    def x1(self) -> Points:
        """Target points."""
        ...

    @property
    def t0(self) -> Rows:
        """Flow times of the source points."""
        ...

    @property
    def t1(self) -> Rows:
        """Flow times of the target points."""
        ...


@dataclass(frozen=True)
class PathSample:
    """Points on conditional paths.

    Attributes
    ----------
    x
        Positions x_t, shape (n, d).
    u
        Conditional velocities u_t, per unit of flow time, shape (n, d).
    """

    x: Points
    u: Points


@runtime_checkable
class Path(Protocol):
    """A conditional probability path between the endpoints of a pair."""

    def sample(self, pairs: Endpoints, t: Rows, generator: torch.Generator) -> PathSample:
        """Draw x_t for each pair at flow time `t`, with t0 <= t <= t1, and its velocity."""
        ...
