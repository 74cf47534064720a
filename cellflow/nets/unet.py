"""A U-Net of time, image and covariates, as of guided diffusion."""

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
from cellflow.nets.blocks import Embedding, Grid, Maker, Up
from cellflow.nets.hourglass import Hourglass, check_columns, check_sizes
from cellflow.nets.net import GridNet


class UNet(GridNet):
    """Residual blocks, attention and skips over grids of halving size.

    The net of Dhariwal and Nichol (2021) without scale and shift, with the sizes that Tong et al.
    (2024, arXiv 2302.00482) train on CIFAR-10 as defaults. Time is taken as it is, in [0, 1]. The
    output is zero at first. Groups of channels that are normalised together have 4 channels or
    more.

    The net runs in the memory format of its weights, which `.to(memory_format=...)` sets. Attention
    has no forward derivatives (`torch.func.jvp`) but under
    `torch.nn.attention.sdpa_kernel(SDPBackend.MATH)`.

    Parameters
    ----------
    shape
        Channels, height and width of one image; each point is one, flat, in this order.
    condition_dim
        Number of covariates: one-hot classes or numbers.
    condition_shape
        Channels, height and width of an image that the first of them are, such as a low
        resolution of that which is wanted. It is enlarged to the size of the images (by the nearest
        pixel) and seen beside them, as further channels; the other covariates are embedded.
    channels
        Channels of the finest level, times its multiplier; a multiple of 4.
    multipliers
        Factors of `channels`, one a level. Each level but the last is halved into the next.
    blocks
        Residual blocks of a level on the way down; there is one more on the way up.
    attention
        Heights of the grids whose blocks attend; the coarsest grid always does, in the middle.
    head_width
        Channels of an attention head, about: the number of heads divides that of channels.
    dropout
        Share of activations that each block drops in training, by PyTorch's global generator.
    generator
        Source of the initial weights (PyTorch's default law).

    Attributes
    ----------
    settings
        The arguments, for JSON.

    Raises
    ------
    InputError
        A size that cannot be: above all a height or width that does not halve often enough.
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
        check_sizes(shape, channels, multipliers, blocks, dropout)
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
        self.seen = math.prod(condition_shape) if condition_shape else 0
        if self.seen > condition_dim:
            raise InputError(
                f"a condition of shape {self.condition_shape} has {self.seen} numbers, more than "
                f"condition_dim {condition_dim}"
            )
        make = Maker(4 * channels, dropout, generator, head_width)
        self.time = make.time(channels)
        if condition_dim > self.seen:
            self.covariates = make.linear(condition_dim - self.seen, make.embedding, bias=False)
        widths = [channels * factor for factor in multipliers]
        self.hourglass = Hourglass(
            shape,
            channels,
            widths,
            make,
            blocks=blocks,
            attention=attention,
            downs=[_Between(make.conv(width, width, stride=2)) for width in widths[:-1]],
            beside=self.condition_shape[0] if self.seen else 0,
            ups=[_Between(Up((1, 1)), make.conv(width, width)) for width in widths[:0:-1]],
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
        """Velocity at flow times `t`, shape (n,), images `x`, shape (n, c * h * w), of covariates.

        Raises
        ------
        InputError
            Another number of covariates than `condition_dim`.
        """
        check_columns(condition, [self.condition_dim])
        embedding, beside = self.time(t), None
        if condition is not None and self.condition_dim > self.seen:
            embedding = embedding + self.covariates(condition[:, self.seen :])
        if condition is not None and self.seen:
            small = condition[:, : self.seen].reshape(len(x), *self.condition_shape)
            beside = functional.interpolate(small, size=self.hourglass.shape[1:])
        return self.hourglass(x, functional.silu(embedding), beside)


class _Between(nn.Module):
    """Layers between two levels, which are not told the embedding."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Grid, embedding: Embedding) -> Grid:  # noqa: ARG002  # as a `Block`
        return self.layers(x)
