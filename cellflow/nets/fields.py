"""The fields of one flow: nets that train together and are saved together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from cellflow._checks import check_choice, format_list
from cellflow._errors import InputError
from cellflow._typing import Cloud, Condition, Points, Rows
from cellflow.nets.denoiser import Denoiser
from cellflow.nets.mlp import MLP
from cellflow.nets.unet import UNet

#: Nets by name.
KINDS: dict[str, type[nn.Module]] = {"mlp": MLP, "unet": UNet, "edm": Denoiser}

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
    def make(
        cls,
        roles: Sequence[str],
        shape: Sequence[int],
        *,
        kind: str = "mlp",
        condition_dim: int = 0,
        condition_shape: Sequence[int] | None = None,
        generator: torch.Generator | None = None,
        **sizes: Any,
    ) -> Fields:
        """Untrained nets of one kind and equal sizes.

        Parameters
        ----------
        roles
            What they are to the flow.
        shape
            That of one point: (d,), or (channels, height, width) of a grid.
        kind
            One of `KINDS`.
        condition_dim
            Number of covariates.
        condition_shape
            Channels, height and width of the grid that the first of them are, if they are one;
            only nets of kind `unet` tell it from a row of numbers.
        generator
            Source of the initial weights.
        **sizes
            Of that kind.

        Raises
        ------
        InputError
            If nets of that kind do not take such points or such a role.
        """
        check_choice(kind, KINDS, "net")
        space = {"dim": math.prod(shape)} if kind == "mlp" else {"shape": tuple(shape)}
        common = {**space, "condition_dim": condition_dim, **sizes, "generator": generator}
        if kind == "unet":
            common["condition_shape"] = condition_shape
        if kind != "mlp" and "growth" in roles:
            raise InputError(f"net {kind!r} gives no growth rate; take net 'mlp'")
        if kind == "edm" and tuple(roles) != ("velocity",):
            raise InputError(
                f"net 'edm' gives a velocity alone, no {format_list(roles)}; take 'unet'"
            )
        special: dict[str, dict[str, Any]] = {
            "average": {"condition_dim": condition_dim + 1},
            "growth": {"out_dim": 1, "in_units": False},
        }
        return cls({role: KINDS[kind](**{**common, **special.get(role, {})}) for role in roles})

    @classmethod
    def from_settings(cls, settings: Mapping[str, Mapping[str, Any]]) -> Fields:
        """Untrained nets of the kinds and sizes that `settings` of other ones say."""
        return cls({role: _net(**sizes) for role, sizes in settings.items()})

    @property
    def settings(self) -> dict[str, dict[str, Any]]:
        """Kinds and sizes of the nets, by role."""
        kinds = {each: kind for kind, each in KINDS.items()}
        return {
            role: {"net": kinds[type(net)], **net.settings}  # type: ignore[dict-item]
            for role, net in self.nets.items()
        }

    @property
    def dim(self) -> int:
        """Dimensions of the points."""
        sizes = next(iter(self.settings.values()))
        return int(sizes["dim"]) if "dim" in sizes else math.prod(sizes["shape"])

    @property
    def units(self) -> tuple[Tensor, float]:
        """Centre, shape (d,), and scale that the nets know of the points; 0 and 1 for others."""
        net = next(iter(self.nets.values()))
        if not hasattr(net, "centre"):
            return next(net.parameters()).new_zeros(self.dim), 1.0
        return net.centre, float(net.scale)  # type: ignore[return-value, arg-type]

    @property
    def condition_dim(self) -> int:
        """Number of covariates."""
        role, sizes = next(iter(self.settings.items()))
        return int(sizes["condition_dim"]) - (role == "average")

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

    def standardise(self, *clouds: Cloud) -> None:
        """Let all nets work in units of all these points."""
        for net in self.nets.values():
            net.standardise(*clouds)  # type: ignore[operator]


class ExtrapolatedFields(Fields):
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


def _net(net: str, **sizes: Any) -> nn.Module:
    return KINDS[net](**sizes)
