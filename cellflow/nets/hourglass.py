"""Encoder and decoder of a U-Net."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from cellflow._errors import InputError
from cellflow._typing import Condition, Points
from cellflow.nets.blocks import MIN_GROUP, Block, Embedding, Grid, LayerFactory


class Hourglass(nn.Module):
    """Encoder, middle and decoder of a U-Net, with skip connections, from flat rows to flat rows.

    Grids have the memory format of the weights: after `net.to(memory_format=torch.channels_last)`
    they are channels-last.

    Parameters
    ----------
    shape
        Channels, height and width of an image.
    channels
        Channels after the first convolution.
    widths
        Channels of each level, finest first.
    make
        Builds the layers.
    blocks
        Residual blocks per level of the encoder; the decoder has one more.
    attention
        Heights of the grids with attention.
    attend_once
        Whether in the decoder only the last block of such a level has attention.
    downs
        Layers into each level but the finest, called with grid and embedding.
    ups
        Layers from each level but the finest to the next finer one, coarsest first.
    shortcuts
        Layers of the residual branch of NCSN++, or none: each takes the image to the next level,
        where it is added to the first grid, and the sum is divided by sqrt(2).
    extra
        Number of further channels of the input.
    """

    def __init__(
        self,
        shape: Sequence[int],
        channels: int,
        widths: Sequence[int],
        make: LayerFactory,
        *,
        blocks: int,
        attention: Sequence[int],
        downs: Sequence[nn.Module],
        ups: Sequence[nn.Module],
        shortcuts: Sequence[nn.Module] = (),
        attend_once: bool = False,
        extra: int = 0,
    ) -> None:
        super().__init__()
        self.shape = tuple(shape)
        self.first = make.conv(shape[0] + extra, channels)
        self.downs, self.ups = nn.ModuleList(downs), nn.ModuleList(ups)
        self.shortcuts = nn.ModuleList(shortcuts)
        skips = [channels]
        self.encoder = nn.ModuleList()
        for level, width in enumerate(widths):
            skips += skips[-1:] if level else []
            fan_ins = [skips[-1], *[width] * (blocks - 1)]
            attends = [shape[1] >> level in attention] * blocks
            self.encoder.append(_make_level(fan_ins, width, make, attends))
            skips += [width] * blocks
        self.middle = _make_level([skips[-1]] * 2, skips[-1], make, [True, False])
        self.decoder = nn.ModuleList()
        before = skips[-1]
        for level in reversed(range(len(widths))):
            fan_ins = [n + skips.pop() for n in (before, *[widths[level]] * blocks)]
            attending = shape[1] >> level in attention
            attends = [attending and not attend_once] * blocks + [attending]
            self.decoder.append(_make_level(fan_ins, widths[level], make, attends))
            before = widths[level]
        self.norm = make.norm(before)
        self.last = make.conv(before, shape[0], init=make.final_init)

    def forward(self, x: Points, embedding: Embedding, extra: Grid | None = None) -> Points:
        """Return rows of the shape of `x`, (n, c * h * w), and of its type.

        `extra` are further channels of the input, shape (n, k, h, w).
        """
        image = x.reshape(len(x), *self.shape)
        image = image if extra is None else torch.cat([image, extra], dim=1)
        skips = self._encode(image, embedding)
        h = skips[-1]
        for block in self.middle:
            h = block(h, embedding)
        for level, row in enumerate(self.decoder):
            if level:
                h = self.ups[level - 1](h, embedding)
            for block in row:  # type: ignore[attr-defined]
                h = block(torch.cat([h, skips.pop()], dim=1), embedding)
        return self.last(functional.silu(self.norm(h))).flatten(1).to(x.dtype)

    def _encode(self, image: Grid, embedding: Embedding) -> list[Tensor]:
        """Return all grids of the encoder, for the skip connections."""
        # Grids of one channel have both memory formats at once; convert the first wide one.
        skips = [self.first(image).contiguous(memory_format=self._memory_format)]
        for level, row in enumerate(self.encoder):
            if level:
                h = self.downs[level - 1](skips[-1], embedding)
                if self.shortcuts:
                    h = image = (h + self.shortcuts[level - 1](image)) * math.sqrt(0.5)
                skips.append(h)
            for block in row:  # type: ignore[attr-defined]
                skips.append(block(skips[-1], embedding))
        return skips

    @property
    def _memory_format(self) -> torch.memory_format:
        channels_last = self.last.weight.is_contiguous(memory_format=torch.channels_last)
        return torch.channels_last if channels_last else torch.contiguous_format


def _make_level(
    fan_ins: Sequence[int], after: int, make: LayerFactory, attends: Sequence[bool]
) -> nn.ModuleList:
    """Build the blocks of one level."""
    return nn.ModuleList(
        Block(before, after, make, attention=attending)
        for before, attending in zip(fan_ins, attends, strict=True)
    )


def check_unet_sizes(
    shape: Sequence[int], channels: int, multipliers: Sequence[int], blocks: int, dropout: float
) -> None:
    """Validate the sizes of a U-Net."""
    if len(shape) != 3 or min(shape) < 1:
        raise InputError(f"shape must be (channels, height, width), each 1 or more, got {shape}")
    if channels < MIN_GROUP or channels % MIN_GROUP:
        raise InputError(f"channels must be a multiple of {MIN_GROUP}, got {channels}")
    if not multipliers or min(multipliers) < 1:
        raise InputError(f"multipliers must be 1 or more, one a level, got {multipliers}")
    if blocks < 1:
        raise InputError(f"blocks must be 1 or more, got {blocks}")
    if not 0 <= dropout < 1:
        raise InputError(f"dropout must be in [0, 1), got {dropout}")
    most = (math.gcd(shape[1], shape[2]) & -math.gcd(shape[1], shape[2])).bit_length()
    if len(multipliers) > most:
        step = 2 ** (len(multipliers) - 1)
        near = step * max(1, round(min(shape[1:]) / step))
        raise InputError(
            f"shape {'x'.join(map(str, shape))} halves evenly {most - 1} times, enough for "
            f"{most} levels at most; multipliers {tuple(multipliers)} make {len(multipliers)}. "
            f"Take fewer, or read the images at a size that halves: size={near} (--size {near})"
        )


def check_condition(condition: Condition | None, valid: Sequence[int]) -> None:
    """Validate the number of covariates."""
    columns = 0 if condition is None else condition.shape[1]
    if columns not in valid:
        numbers = " or ".join(str(number) for number in dict.fromkeys(valid))
        raise InputError(f"the net takes {numbers} covariates, got {columns}")
