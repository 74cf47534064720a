"""Sizes of the networks, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    SerializeAsAny,
    ValidationError,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from cellflow._errors import InputError
from cellflow.methods.validation import StrictSettings

_Share = Annotated[float, Field(ge=0, lt=1)]
_Some = Annotated[tuple[PositiveInt, ...], Field(min_length=1)]


class NetSizes(StrictSettings):
    """Name and sizes of a network: what a recipe stores under `net`.

    A subclass gives the field `kind` its name, and one field to each argument of the network.

    Attributes
    ----------
    kind
        Name of the network.
    takes
        `rows` of any dimension, which the network standardises, or images on a `grid`.
    denoises
        Whether the velocity is computed from denoised points, so that the source must be standard
        normal noise and the path straight.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    takes: ClassVar[Literal["rows", "grid"]] = "rows"
    denoises: ClassVar[bool] = False

    kind: str

    @property
    def numbers(self) -> dict[str, Any]:
        """Arguments of the network, without its name."""
        return self.model_dump(exclude={"kind"})


class MLPSizes(NetSizes):
    """Sizes of `cellflow.nets.MLP`, for points of up to a few hundred dimensions.

    Attributes
    ----------
    width, depth, residual, activation, time_features
        Units per hidden layer, number of hidden layers, whether they have skip connections, the
        activation, and the number of periods of the sines and cosines of flow time.
    """

    kind: Literal["mlp"] = "mlp"
    width: PositiveInt = 128
    depth: PositiveInt = 3
    residual: bool = False
    activation: Literal["selu", "silu", "relu"] = "silu"
    time_features: NonNegativeInt = 4


class UNetSizes(NetSizes):
    """Sizes of `cellflow.nets.UNet`, for images; the defaults are those for CIFAR-10.

    Attributes
    ----------
    channels, multipliers, blocks
        Channels, their factor at each level, residual blocks per level.
    attention, head_width
        Heights of the grids with attention, and channels per attention head.
    dropout
        Probability that an activation is dropped during training.
    """

    takes: ClassVar[Literal["rows", "grid"]] = "grid"

    kind: Literal["unet"] = "unet"
    channels: PositiveInt = 128
    multipliers: _Some = (1, 2, 2, 2)
    blocks: PositiveInt = 2
    attention: tuple[PositiveInt, ...] = (16,)
    head_width: PositiveInt = 64
    dropout: _Share = 0.1


class DenoiserSizes(NetSizes):
    """Sizes of `cellflow.nets.Denoiser`, the network of EDM; defaults are those for CIFAR-10.

    Attributes
    ----------
    sigma_data
        Standard deviation of the data; 0.5 for pixels from -1 to 1.
    variant
        `ncsnpp` or `ddpmpp`.
    augment_dim
        Number of covariates that describe the augmentation of an image: 9 for training with
        augmentation, else 0.
    channels, multipliers, blocks, attention, dropout
        As in `UNetSizes`.
    """

    takes: ClassVar[Literal["rows", "grid"]] = "grid"
    denoises: ClassVar[bool] = True

    kind: Literal["edm"] = "edm"
    sigma_data: PositiveFloat = 0.5
    variant: Literal["ncsnpp", "ddpmpp"] = "ncsnpp"
    augment_dim: Literal[0, 9] = 0
    channels: PositiveInt = 128
    multipliers: _Some = (2, 2, 2)
    blocks: PositiveInt = 4
    attention: tuple[PositiveInt, ...] = (16,)
    dropout: _Share = 0.13


#: Models of sizes by name of the network.
SIZES: dict[str, type[NetSizes]] = {
    "mlp": MLPSizes,
    "unet": UNetSizes,
    "edm": DenoiserSizes,
}


def register_sizes(sizes: type[NetSizes]) -> None:
    """Add the sizes of a network; `cellflow.nets.register_net` adds the network too."""
    name = sizes.model_fields["kind"].default
    if not isinstance(name, str):
        raise InputError(f"{sizes.__name__} has no name: give its field `kind` a default")
    if name in SIZES:
        raise InputError(f"the name {name!r} is taken by {SIZES[name].__name__}; choose another")
    SIZES[name] = sizes


def _choose_model(value: Any) -> Any:
    """Validate a mapping by the model of its `kind`."""
    if not isinstance(value, Mapping):
        return value
    kind = value.get("kind")
    if kind not in SIZES:
        names = ", ".join(map(repr, SIZES))
        raise PydanticCustomError("net", f"its kind must be one of {names}, got {kind!r}")
    sizes = [name for name in SIZES[kind].model_fields if name != "kind"]
    refusal = PydanticCustomError("size", f"not a size of net {kind!r}, only {', '.join(sizes)}")
    unknown: list[InitErrorDetails] = [
        {"type": refusal, "loc": (name,), "input": given}
        for name, given in value.items()
        if name not in {"kind", *sizes}
    ]
    if unknown:
        raise ValidationError.from_exception_data(kind, unknown)
    return SIZES[kind].model_validate(value)


#: A field of a model that holds the sizes of any registered network.
Sizes = Annotated[SerializeAsAny[NetSizes], BeforeValidator(_choose_model)]
