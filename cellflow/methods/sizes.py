"""What nets are made of: their sizes, by kind."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveFloat, PositiveInt

_Share = Annotated[float, Field(ge=0, lt=1)]
_Some = Annotated[tuple[PositiveInt, ...], Field(min_length=1)]


class _Sizes(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    @property
    def numbers(self) -> dict[str, Any]:
        """Arguments of the net, without its kind."""
        return self.model_dump(exclude={"kind"})


class MLPSizes(_Sizes):
    """Sizes of `cellflow.nets.MLP`, for points of up to some hundred dimensions.

    Attributes
    ----------
    width, depth, residual, activation, time_features
        Units of a hidden layer, hidden layers, whether each adds its input, nonlinearity, and
        periods of flow time that the net sees as waves.
    """

    kind: Literal["mlp"] = "mlp"
    width: PositiveInt = 128
    depth: PositiveInt = 3
    residual: bool = False
    activation: Literal["selu", "silu", "relu"] = "silu"
    time_features: NonNegativeInt = 4


class UNetSizes(_Sizes):
    """Sizes of `cellflow.nets.UNet`, for points on a grid; the defaults are those for CIFAR-10.

    Attributes
    ----------
    channels, multipliers, blocks
        Channels, their multiple at each level, residual blocks a level.
    attention, head_width
        Heights at which the net attends, and channels of a head.
    dropout
        Share of the activations that training drops.
    """

    kind: Literal["unet"] = "unet"
    channels: PositiveInt = 128
    multipliers: _Some = (1, 2, 2, 2)
    blocks: PositiveInt = 2
    attention: tuple[PositiveInt, ...] = (16,)
    head_width: PositiveInt = 64
    dropout: _Share = 0.1


class DenoiserSizes(_Sizes):
    """Sizes of `cellflow.nets.Denoiser`, the net of EDM; the defaults are those for CIFAR-10.

    Attributes
    ----------
    sigma_data
        Standard deviation of the data; 0.5 for pixels from -1 to 1.
    variant
        `ncsnpp` or `ddpmpp`.
    augment_dim
        Numbers that tell the net how an image was augmented: 9, with which training on images
        augments, or 0.
    channels, multipliers, blocks, attention, dropout
        As those of `UNetSizes`.
    """

    kind: Literal["edm"] = "edm"
    sigma_data: PositiveFloat = 0.5
    variant: Literal["ncsnpp", "ddpmpp"] = "ncsnpp"
    augment_dim: Literal[0, 9] = 0
    channels: PositiveInt = 128
    multipliers: _Some = (2, 2, 2)
    blocks: PositiveInt = 4
    attention: tuple[PositiveInt, ...] = (16,)
    dropout: _Share = 0.13


Sizes = Annotated[MLPSizes | UNetSizes | DenoiserSizes, Field(discriminator="kind")]
