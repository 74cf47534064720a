"""Base classes of the networks of a flow."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from cellflow._errors import InputError
from cellflow._typing import Cloud, Condition, Points, Rows

#: Fields of a flow.
ROLES = ("velocity", "average", "score", "growth")

#: Points whose mean and spread are computed at a time.
_ROWS = 65_536


class Net(nn.Module, ABC):
    """A network of flow time, points and covariates.

    Attributes
    ----------
    settings
        Arguments that construct the network again, as JSON; the weights are in `state_dict`.
    condition_dim
        Number of covariates.
    roles
        Entries of `ROLES` that the network can be trained for.
    """

    roles: ClassVar[tuple[str, ...]] = ROLES
    settings: dict[str, Any]
    condition_dim: int

    @classmethod
    @abstractmethod
    def build(
        cls,
        role: str,
        shape: Sequence[int],
        *,
        condition_dim: int,
        condition_shape: Sequence[int] | None,
        generator: torch.Generator | None,
        **sizes: Any,
    ) -> Net:
        """Build an untrained network for one field of a flow.

        Parameters
        ----------
        role
            Entry of `roles`.
        shape
            Shape of one point: (d,), or (channels, height, width).
        condition_dim
            Number of covariates.
        condition_shape
            Channels, height and width if the first covariates are an image, else None.
        generator
            Source of the initial weights.
        **sizes
            Fields of the sizes model registered under the same name.
        """

    @property
    @abstractmethod
    def dim(self) -> int:
        """Number of dimensions d of a point; images are flat rows."""

    @abstractmethod
    def forward(self, t: Rows, x: Points, condition: Condition | None = None) -> Points:
        """Return the field at flow times `t`, shape (n,), and points `x`, shape (n, d).

        Rows do not interact. `condition` are covariates, shape (n, condition_dim), or None.
        """

    @property
    def units(self) -> tuple[Tensor, float]:
        """Centre, shape (d,), and scale that points are standardised with; by default 0 and 1."""
        return next(self.parameters()).new_zeros(self.dim), 1.0

    def standardise(self, *clouds: Cloud) -> None:  # noqa: ARG002  # for subclasses
        """Set `units` to the mean and the spread of all points in `clouds`.

        Raises
        ------
        InputError
            If the network does not standardise its inputs.
        """
        raise InputError(
            f"{type(self).__name__} does not standardise points; set standardise=False "
            "in the recipe"
        )


class RowNet(Net):
    """A network of points of any dimension, standardised by one centre and one scale.

    `forward` takes the points as (x - centre) / scale, and multiplies its output by `scale` if
    `in_units`. Both are buffers, saved with the weights.

    Parameters
    ----------
    dim
        Number of dimensions d of a point.
    out_dim
        Number of columns of the output; None uses `dim`.
    condition_dim
        Number of covariates.
    in_units
        Whether the output is in units of the points (a velocity) or not (a rate).
    **sizes
        Other arguments of the subclass, for `settings`.
    """

    centre: Tensor
    scale: Tensor

    def __init__(
        self,
        dim: int,
        *,
        out_dim: int | None = None,
        condition_dim: int = 0,
        in_units: bool = True,
        **sizes: Any,
    ) -> None:
        super().__init__()
        self.out_dim = dim if out_dim is None else out_dim
        self.condition_dim, self.in_units = condition_dim, in_units
        self.settings = {
            "dim": dim,
            "out_dim": self.out_dim,
            "condition_dim": condition_dim,
            "in_units": in_units,
            **sizes,
        }
        self.register_buffer("centre", torch.zeros(dim))
        self.register_buffer("scale", torch.ones(()))

    @classmethod
    def build(
        cls,
        role: str,
        shape: Sequence[int],
        *,
        condition_dim: int,
        condition_shape: Sequence[int] | None,  # noqa: ARG003  # images are rows here
        generator: torch.Generator | None,
        **sizes: Any,
    ) -> RowNet:
        """Build an untrained network; a growth rate has one column and no unit of length."""
        rate: dict[str, Any] = {"out_dim": 1, "in_units": False} if role == "growth" else {}
        return cls(
            math.prod(shape), condition_dim=condition_dim, **rate, **sizes, generator=generator
        )

    @property
    def dim(self) -> int:
        """Number of dimensions d of a point."""
        return len(self.centre)

    @property
    def units(self) -> tuple[Tensor, float]:
        """Centre, shape (d,), and scale that points are standardised with."""
        return self.centre, float(self.scale)

    def standardise(self, *clouds: Cloud) -> None:
        """Set centre and scale to the mean and the spread of all points in `clouds`."""
        centre, scale = centre_and_scale(*clouds)
        self.centre.copy_(centre)
        self.scale.copy_(scale)


class GridNet(Net):
    """A network of images, which are flat rows outside of it.

    Attributes
    ----------
    shape
        Channels, height and width of an image.
    """

    roles: ClassVar[tuple[str, ...]] = ("velocity", "average", "score")
    shape: tuple[int, ...]

    @classmethod
    def build(
        cls,
        role: str,  # noqa: ARG003  # all roles have the shape of an image
        shape: Sequence[int],
        *,
        condition_dim: int,
        condition_shape: Sequence[int] | None,  # noqa: ARG003  # embedded as any covariates
        generator: torch.Generator | None,
        **sizes: Any,
    ) -> GridNet:
        """Build an untrained network that embeds all covariates as one row."""
        return cls(tuple(shape), condition_dim=condition_dim, **sizes, generator=generator)

    @property
    def dim(self) -> int:
        """Number of entries of an image."""
        return math.prod(self.shape)


def centre_and_scale(*clouds: Cloud) -> tuple[Tensor, Tensor]:
    """Return the mean of points, shape (d,), and their root mean square deviation per dimension.

    The scale is 1 if all points coincide. Up to 65,536 points are concatenated; more are reduced
    in chunks, without a second copy.
    """
    n = sum(map(len, clouds))
    whole = n <= _ROWS
    chunks = (
        [torch.cat(clouds)] if whole else [p for each in clouds for p in torch.split(each, _ROWS)]
    )
    shares = chunks[0].new_tensor([len(chunk) / n for chunk in chunks])
    centre = shares @ torch.stack([chunk.mean(dim=0) for chunk in chunks])
    squares = torch.stack([(chunk - centre).square().mean() for chunk in chunks])
    spread = (shares @ squares).sqrt()
    return centre, torch.where(spread > 0, spread, torch.ones_like(spread))
