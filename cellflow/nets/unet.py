"""The U-Net of guided diffusion."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from cellflow._checks import check_positive
from cellflow._errors import InputError
from cellflow._typing import Condition, Points, Rows
from cellflow.nets.blocks import Embedding, Grid, LayerFactory, Upsample
from cellflow.nets.hourglass import Hourglass, check_condition, check_unet_sizes
from cellflow.nets.net import GridNet


class UNet(GridNet):
    """U-Net of Dhariwal and Nichol (2021, arXiv 2105.05233), without scale and shift.

    The defaults are the sizes of Tong et al. (2024, arXiv 2302.00482) for CIFAR-10. Time is not
    rescaled from [0, 1]. The last layer is initialised to 0. Groups of group normalisation have at
    least 4 channels.

    Grids have the memory format of the weights, `.to(memory_format=...)`. Forward-mode derivatives
    (`torch.func.jvp`) require `torch.nn.attention.sdpa_kernel(SDPBackend.MATH)`.

    Parameters
    ----------
    shape
        Channels, height and width of an image; points are images, flattened in this order.
    condition_dim
        Number of covariates: one-hot classes or numbers.
    condition_shape
        Channels, height and width if the first covariates are an image, such as a low resolution.
        It is enlarged to the size of the images (nearest pixel) and concatenated to them as further
        channels; other covariates are embedded.
    channels
        Channels of the finest level before its multiplier; a multiple of 4.
    multipliers
        Factors of `channels`, one per level. Height and width halve from level to level.
    blocks
        Residual blocks per level of the encoder; the decoder has one more.
    attention
        Heights of the grids with attention; the coarsest grid always has it, in the middle.
    head_width
        Channels per attention head, rounded so that the number of heads divides the channels.
    dropout
        Probability that a block drops an activation during training (global generator).
    generator
        Source of the initial weights (PyTorch's default initialisation).

    Attributes
    ----------
    settings
        Arguments that construct the network again, as JSON.

    Raises
    ------
    InputError
        If a size is invalid, for example a height that does not halve often enough.
    """

    def __init__(
        self,
        shape: Sequence[int],
        *,
        condition_dim: int = 0,
        condition_shape: Sequence[int] | None = None,
        channels: int = 128,
        multipliers: Sequence[int] = (1, 2, 2, 2),
        blocks: int = 2,
        attention: Sequence[int] = (16,),
        head_width: int = 64,
        dropout: float = 0.1,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        check_unet_sizes(shape, channels, multipliers, blocks, dropout)
        check_positive(head_width, "head_width")
        self.settings = {
            "shape": list(shape),
            "condition_dim": condition_dim,
            "condition_shape": None if condition_shape is None else list(condition_shape),
            "channels": channels,
            "multipliers": list(multipliers),
            "blocks": blocks,
            "attention": list(attention),
            "head_width": head_width,
            "dropout": dropout,
        }
        self.shape, self.condition_dim = tuple(shape), condition_dim
        self.condition_shape = tuple(condition_shape or ())
        self.condition_pixels = math.prod(condition_shape) if condition_shape else 0
        if self.condition_pixels > condition_dim:
            raise InputError(
                f"a condition of shape {self.condition_shape} has {self.condition_pixels} numbers, "
                f"more than condition_dim {condition_dim}"
            )
        make = LayerFactory(4 * channels, dropout, generator, head_width)
        self.time = make.time_embedding(channels)
        if condition_dim > self.condition_pixels:
            self.covariates = make.linear(
                condition_dim - self.condition_pixels, make.embedding, bias=False
            )
        widths = [channels * factor for factor in multipliers]
        self.hourglass = Hourglass(
            shape,
            channels,
            widths,
            make,
            blocks=blocks,
            attention=attention,
            downs=[_Resample(make.conv(width, width, stride=2)) for width in widths[:-1]],
            extra=self.condition_shape[0] if self.condition_pixels else 0,
            ups=[_Resample(Upsample((1, 1)), make.conv(width, width)) for width in widths[:0:-1]],
        )

    @classmethod
    def build(
        cls,
        role: str,  # noqa: ARG003  # all roles have the shape of an image
        shape: Sequence[int],
        *,
        condition_dim: int,
        condition_shape: Sequence[int] | None,
        generator: torch.Generator | None,
        **sizes: Any,
    ) -> UNet:
        """Build an untrained U-Net that takes a condition image as further channels."""
        return cls(
            tuple(shape),
            condition_dim=condition_dim,
            condition_shape=condition_shape,
            **sizes,
            generator=generator,
        )

    def forward(self, t: Rows, x: Points, condition: Condition | None = None) -> Points:
        """Return the velocity at flow times `t`, shape (n,), and images `x`, shape (n, c * h * w).

        Raises
        ------
        InputError
            If `condition` does not have `condition_dim` columns.
        """
        check_condition(condition, [self.condition_dim])
        embedding, extra = self.time(t), None
        if condition is not None and self.condition_dim > self.condition_pixels:
            embedding = embedding + self.covariates(condition[:, self.condition_pixels :])
        if condition is not None and self.condition_pixels:
            small = condition[:, : self.condition_pixels].reshape(len(x), *self.condition_shape)
            extra = functional.interpolate(small, size=self.hourglass.shape[1:])
        return self.hourglass(x, functional.silu(embedding), extra)


class _Resample(nn.Module):
    """Layers between two levels, which ignore the embedding."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Grid, embedding: Embedding) -> Grid:  # noqa: ARG002  # as a `Block`
        return self.layers(x)
