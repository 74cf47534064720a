"""The fields of one flow: nets that train together and are saved together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from cellflow._typing import Condition, Points, Rows
from cellflow.nets.mlp import MLP

#: What a field can be to a flow.
ROLES = ("velocity", "average", "score", "growth")


class Fields(nn.Module):
    """Nets by role.

    Every flow has a `velocity` v(t, x) or, in its place, an `average` velocity u(t, r, x) over the
    time from t to r, which is the velocity where r = t. A `score` is (g^2 / 2) grad log p, a
    `growth` the rate d log m / dt.

    Parameters
    ----------
    nets
        One net a role of `ROLES`, each called with (t, x, condition).
    """

    def __init__(self, nets: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.nets = nn.ModuleDict(dict(nets))

    @classmethod
    def of_mlps(
        cls,
        roles: tuple[str, ...],
        dim: int,
        *,
        condition_dim: int = 0,
        generator: torch.Generator | None = None,
        **sizes: Any,
    ) -> Fields:
        """Multilayer perceptrons of equal sizes for points of `dim` dimensions."""
        special: dict[str, dict[str, Any]] = {
            "average": {"condition_dim": condition_dim + 1},
            "growth": {"out_dim": 1, "in_units": False},
        }
        common = {"condition_dim": condition_dim, **sizes, "generator": generator}
        return cls({role: MLP(dim, **{**common, **special.get(role, {})}) for role in roles})

    @classmethod
    def from_settings(cls, settings: Mapping[str, Mapping[str, Any]]) -> Fields:
        """Untrained nets of the sizes that `settings` of another one say."""
        return cls({role: MLP(**sizes) for role, sizes in settings.items()})

    @property
    def settings(self) -> dict[str, dict[str, Any]]:
        """Sizes of the nets, by role."""
        return {role: dict(net.settings) for role, net in self.nets.items()}  # type: ignore[arg-type]

    @property
    def roles(self) -> tuple[str, ...]:
        """The fields that are there."""
        return tuple(self.nets)

    def velocity(self, t: Rows, x: Points, condition: Condition | None = None) -> Points:
        """Velocity at flow times `t`."""
        if "velocity" in self.nets:
            return self.nets["velocity"](t, x, condition)
        return self.average(t, t, x, condition)

    def average(self, t: Rows, r: Rows, x: Points, condition: Condition | None = None) -> Points:
        """Average velocity between `t`, where the points are at `x`, and `r`."""
        span = (r - t)[:, None]
        inputs = span if condition is None else torch.cat([condition, span], dim=1)
        return self.nets["average"](t, x, inputs)

    def score(self, t: Rows, x: Points, condition: Condition | None = None) -> Points:
        """Scaled score (g^2 / 2) grad log p_t(x), in units of a velocity."""
        return self.nets["score"](t, x, condition)

    def growth(self, t: Rows, x: Points, condition: Condition | None = None) -> Rows:
        """Growth rate d log m / dt, shape (n,)."""
        return self.nets["growth"](t, x, condition)[:, 0]

    def standardise(self, points: Points) -> None:
        """Let all nets work in units of `points`."""
        for net in self.nets.values():
            net.standardise(points)  # type: ignore[operator]
