"""The U of a U-Net: down through grids of halving size, and up again with skips."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from cellflow._errors import InputError
from cellflow._typing import Condition, Points
from cellflow.nets.blocks import MIN_GROUP, Block, Embedding, Grid, Maker


class Hourglass(nn.Module):
    """Points to grids, down, across, up with skips, and back to points.

    It runs in the memory format of its weights: after `net.to(memory_format=torch.channels_last)`
    all grids are channels-last too.

    Parameters
    ----------
    shape
        Channels, height and width of one point.
    channels
        Channels after the first convolution.
    widths
        Channels of each level, from the finest.
    make
        How layers are made.
    blocks
        Blocks of a level on the way down; there is one more on the way up.
    attention
        Heights of the grids whose blocks attend.
    attend_once
        Whether on the way up only the last block of such a level attends.
    downs
        What leads to each level but the finest, called with the grid and the embedding.
    ups
        The same for the way up, from the coarsest level.
    shortcuts
        Layers that bring the image from level to level, or none. What one gives is added to the
        first grid of its level, divided by sqrt(2), and is the image for the next.
    beside
        Channels of what is seen beside the image.
    """

    def __init__(
        self,
        shape: Sequence[int],
        channels: int,
        widths: Sequence[int],
        make: Maker,
        *,
        blocks: int,
        attention: Sequence[int],
        downs: Sequence[nn.Module],
        ups: Sequence[nn.Module],
        shortcuts: Sequence[nn.Module] = (),
        attend_once: bool = False,
        beside: int = 0,
    ) -> None:
        super().__init__()
        self.shape = tuple(shape)
        self.first = make.conv(shape[0] + beside, channels)
        self.downs, self.ups = nn.ModuleList(downs), nn.ModuleList(ups)
        self.shortcuts = nn.ModuleList(shortcuts)
        skips = [channels]
        self.encoder = nn.ModuleList()
        for level, width in enumerate(widths):
            skips += skips[-1:] if level else []
            fan_ins = [skips[-1], *[width] * (blocks - 1)]
            attends = [shape[1] >> level in attention] * blocks
            self.encoder.append(_row(fan_ins, width, make, attends))
            skips += [width] * blocks
        self.middle = _row([skips[-1]] * 2, skips[-1], make, [True, False])
        self.decoder = nn.ModuleList()
        before = skips[-1]
        for level in reversed(range(len(widths))):
            fan_ins = [n + skips.pop() for n in (before, *[widths[level]] * blocks)]
            attending = shape[1] >> level in attention
            attends = [attending and not attend_once] * blocks + [attending]
            self.decoder.append(_row(fan_ins, widths[level], make, attends))
            before = widths[level]
        self.norm = make.norm(before)
        self.last = make.conv(before, shape[0], init=make.closing)

    def forward(self, x: Points, embedding: Embedding, beside: Grid | None = None) -> Points:
        """Points of the same shape as `x`, (n, c * h * w), and of its type.

        `beside` are further channels of the image, shape (n, k, h, w).
        """
        image = x.reshape(len(x), *self.shape)
        image = image if beside is None else torch.cat([image, beside], dim=1)
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
        """All grids of the way down."""
        # Grids of one channel are of both formats at once, so the first wide one is turned.
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


def _row(fan_ins: Sequence[int], after: int, make: Maker, attends: Sequence[bool]) -> nn.ModuleList:
    """Blocks of one level."""
    return nn.ModuleList(
        Block(before, after, make, attention=attending)
        for before, attending in zip(fan_ins, attends, strict=True)
    )


def check_sizes(
    shape: Sequence[int], channels: int, multipliers: Sequence[int], blocks: int, dropout: float
) -> None:
    """Refuse sizes of which no U-Net can be made."""
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
        raise InputError(
            f"shape {'x'.join(map(str, shape))} halves evenly {most - 1} times, enough for "
            f"{most} levels at most; multipliers {tuple(multipliers)} make {len(multipliers)}"
        )


def check_columns(condition: Condition | None, valid: Sequence[int]) -> None:
    """Refuse covariates of another number than the net was made for."""
    columns = 0 if condition is None else condition.shape[1]
    if columns not in valid:
        numbers = " or ".join(str(number) for number in dict.fromkeys(valid))
        raise InputError(f"the net takes {numbers} covariates, got {columns}")
