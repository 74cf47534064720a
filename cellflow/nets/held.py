"""Fields that stay as they are at the ends of a span of time."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from cellflow._typing import Condition, Points, Rows
from cellflow.nets.fields import Fields


class HeldFields(Fields):
    """Nets of a flow, asked before and after a span of flow time as at its ends.

    Nets know nothing of times that they were not fitted to, and their waves of time would let them
    answer anything there.

    Parameters
    ----------
    nets
        Those of a `Fields`, shared with it.
    span
        First and last flow time at which they are asked.
    """

    def __init__(self, nets: Mapping[str, nn.Module], span: tuple[float, float]) -> None:
        super().__init__(nets)
        self.span = span

    def velocity(self, t: Rows, x: Points, condition: Condition | None = None) -> Points:
        """Velocity, that of the nearer end outside the span."""
        return super().velocity(t.clamp(*self.span), x, condition)

    def average(self, t: Rows, r: Rows, x: Points, condition: Condition | None = None) -> Points:
        """Average velocity between two times, each moved into the span."""
        return super().average(t.clamp(*self.span), r.clamp(*self.span), x, condition)

    def score(self, t: Rows, x: Points, condition: Condition | None = None) -> Points:
        """Scaled score, that of the nearer end outside the span."""
        return super().score(t.clamp(*self.span), x, condition)

    def growth(self, t: Rows, x: Points, condition: Condition | None = None) -> Rows:
        """Growth rate, that of the nearer end outside the span."""
        return super().growth(t.clamp(*self.span), x, condition)
