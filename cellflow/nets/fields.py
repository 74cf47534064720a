"""The fields of a flow: networks that are trained and saved together, and their registry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from cellflow._checks import check_choice, format_list
from cellflow._errors import InputError
from cellflow._typing import Cloud, Condition, Points, Rows
from cellflow.methods.sizes import NetSizes, register_sizes
from cellflow.nets.denoiser import Denoiser
from cellflow.nets.mlp import MLP
from cellflow.nets.net import Net
from cellflow.nets.unet import UNet

#: Networks by name; the sizes model of each is under the same name in `methods.sizes.SIZES`.
NETS: dict[str, type[Net]] = {"mlp": MLP, "unet": UNet, "edm": Denoiser}


def register_net(net: type[Net], sizes: type[NetSizes]) -> None:
    """Register a custom network, so that recipes accept its name and saved flows load.

    Parameters
    ----------
    net
        The network.
    sizes
        Model of its sizes; the default of its field `kind` is the name.

    Raises
    ------
    InputError
        If another network has this name.
    """
    register_sizes(sizes)
    NETS[sizes.model_fields["kind"].default] = net


class Fields(nn.Module):
    """Networks of a flow, by role.

    `velocity` is v(t, x); mean flows have the `average` velocity u(t, r, x) from t to r instead,
    which equals v for r = t. `score` is (g^2 / 2) grad log p, `growth` the rate d log m / dt.

    Parameters
    ----------
    nets
        Networks by role, entries of `ROLES`; each is called with (t, x, condition).
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
        """Build untrained networks of one kind and equal sizes.

        Parameters
        ----------
        roles
            Entries of `ROLES`.
        shape
            Shape of one point: (d,), or (channels, height, width).
        kind
            Name of the networks, one of `NETS`.
        condition_dim
            Number of covariates.
        condition_shape
            Channels, height and width if the first covariates are an image; only `unet` uses
            this, other networks take the covariates as a row.
        generator
            Source of the initial weights.
        **sizes
            Arguments of the network.

        Raises
        ------
        InputError
            If the network is unknown, or cannot be trained for a role.
        """
        check_choice(kind, NETS, "net")
        for role in roles:
            if role not in NETS[kind].roles:
                names = " or ".join(repr(each) for each, net in NETS.items() if role in net.roles)
                raise InputError(
                    f"net {kind!r} cannot be trained for the field {role!r}, only for "
                    f"{format_list(NETS[kind].roles)}; take net {names}"
                )
        return cls(
            {
                role: NETS[kind].build(
                    role,
                    shape,
                    condition_dim=condition_dim + (role == "average"),
                    condition_shape=condition_shape,
                    generator=generator,
                    **sizes,
                )
                for role in roles
            }
        )

    @classmethod
    def from_settings(cls, settings: Mapping[str, Mapping[str, Any]]) -> Fields:
        """Build untrained networks from `Fields.settings`."""
        return cls({role: _rebuild(**each) for role, each in settings.items()})

    @property
    def settings(self) -> dict[str, dict[str, Any]]:
        """Name and arguments of each network, by role."""
        names = {net: name for name, net in NETS.items()}
        return {role: {"net": names[type(net)], **net.settings} for role, net in self._nets.items()}

    @property
    def dim(self) -> int:
        """Number of dimensions d of a point."""
        return next(iter(self._nets.values())).dim

    @property
    def units(self) -> tuple[Tensor, float]:
        """Centre, shape (d,), and scale that the networks standardise points with."""
        return next(iter(self._nets.values())).units

    @property
    def condition_dim(self) -> int:
        """Number of covariates."""
        role, net = next(iter(self._nets.items()))
        return net.condition_dim - (role == "average")

    @property
    def _nets(self) -> dict[str, Net]:
        return cast("dict[str, Net]", dict(self.nets.items()))

    @property
    def roles(self) -> tuple[str, ...]:
        """Roles of the networks."""
        return tuple(self.nets)

    def velocity(self, t: Rows, x: Points, condition: Condition | None = None) -> Points:
        """Return the velocity at flow times `t`, shape (n, d)."""
        if "velocity" in self.nets:
            return self.nets["velocity"](t, x, condition)
        return self.average(t, t, x, condition)

    def average(self, t: Rows, r: Rows, x: Points, condition: Condition | None = None) -> Points:
        """Return the average velocity from `t`, where points are at `x`, to `r`, shape (n, d)."""
        span = (r - t)[:, None]
        inputs = span if condition is None else torch.cat([condition, span], dim=1)
        return self.nets["average"](t, x, inputs)

    def score(self, t: Rows, x: Points, condition: Condition | None = None) -> Points:
        """Return the scaled score (g^2 / 2) grad log p_t(x), in units of a velocity."""
        return self.nets["score"](t, x, condition)

    def growth(self, t: Rows, x: Points, condition: Condition | None = None) -> Rows:
        """Return the growth rate d log m / dt, shape (n,)."""
        return self.nets["growth"](t, x, condition)[:, 0]

    def standardise(self, *clouds: Cloud) -> None:
        """Set the units of all networks to centre and scale of the points in `clouds`."""
        for net in self._nets.values():
            net.standardise(*clouds)


class ExtrapolatedFields(Fields):
    """Fields that are constant in time before and after the span they were fitted to.

    Networks extrapolate arbitrarily in time, above all by their Fourier features.

    Parameters
    ----------
    nets
        Networks of a `Fields`; the weights are shared with it.
    span
        First and last flow time. Earlier and later times are clamped to it.
    """

    def __init__(self, nets: Mapping[str, nn.Module], span: tuple[float, float]) -> None:
        super().__init__(nets)
        self.span = span

    def velocity(self, t: Rows, x: Points, condition: Condition | None = None) -> Points:
        """Return the velocity at the clamped times."""
        return super().velocity(t.clamp(*self.span), x, condition)

    def average(self, t: Rows, r: Rows, x: Points, condition: Condition | None = None) -> Points:
        """Return the average velocity between the clamped times."""
        return super().average(t.clamp(*self.span), r.clamp(*self.span), x, condition)

    def score(self, t: Rows, x: Points, condition: Condition | None = None) -> Points:
        """Return the scaled score at the clamped times."""
        return super().score(t.clamp(*self.span), x, condition)

    def growth(self, t: Rows, x: Points, condition: Condition | None = None) -> Rows:
        """Return the growth rate at the clamped times."""
        return super().growth(t.clamp(*self.span), x, condition)


def _rebuild(net: str, **settings: Any) -> Net:
    """Construct an untrained network by its name and `Net.settings`."""
    check_choice(net, NETS, "net")
    return NETS[net](**settings)
