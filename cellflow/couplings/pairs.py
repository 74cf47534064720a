"""What a coupling serves: endpoints, each with its time."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Protocol, runtime_checkable

import torch

from cellflow._typing import Points, Rows


@dataclass(frozen=True)
class Pairs:
    """Coupled endpoints; each row has its own interval, so one batch can span a time course.

    Attributes
    ----------
    x0, x1
        Source and target, shape (n, d).
    t0, t1
        Their flow times, shape (n,), t0 < t1.
    """

    x0: Points
    x1: Points
    t0: Rows
    t1: Rows

    def __len__(self) -> int:
        return len(self.x0)

    def __getitem__(self, rows: slice) -> Pairs:
        return Pairs(*(getattr(self, field.name)[rows] for field in fields(self)))

    @staticmethod
    def cat(parts: list[Pairs]) -> Pairs:
        """Stack batches of pairs."""
        if len(parts) == 1:
            return parts[0]
        return Pairs(
            *(torch.cat([getattr(part, field.name) for part in parts]) for field in fields(Pairs))
        )

    @staticmethod
    def over(interval: tuple[float, float], x0: Points, x1: Points) -> Pairs:
        """Pairs that all span one interval of flow time."""
        start, stop = interval
        return Pairs(x0, x1, x0.new_full((len(x0),), start), x0.new_full((len(x0),), stop))


@runtime_checkable
class Coupling(Protocol):
    """A joint law of endpoints."""

    def sample(self, n: int, generator: torch.Generator) -> Pairs:
        """Draw `n` pairs."""
        ...
