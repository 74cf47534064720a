"""Parts of U-Nets: layers made alike, waves, resampling, attention and blocks."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from cellflow._typing import Rows

Grid = Float[Tensor, "n _ _ _"]
Embedding = Float[Tensor, "n e"]
Layer = nn.Linear | nn.Conv2d
Init = Callable[[Layer, torch.Generator | None], None]

#: Of waves that embed a number.
LONGEST_PERIOD = 10_000

#: Below this many channels a group, normalisation would take away what the time adds to them.
MIN_GROUP = 4


def torch_default(layer: Layer, generator: torch.Generator | None) -> None:
    """PyTorch's own law: uniform within 1 / sqrt(fan in), biases too."""
    bound = 1 / math.sqrt(layer.weight[0].numel())
    for weights in layer.parameters():
        nn.init.uniform_(weights, -bound, bound, generator=generator)


def linear(fan_in: int, fan_out: int, generator: torch.Generator | None) -> nn.Linear:
    """Build a linear layer with PyTorch's default initialisation, drawn from `generator`."""
    layer: nn.Linear = nn.utils.skip_init(  # type: ignore[no-untyped-call]
        nn.Linear, fan_in, fan_out
    )
    torch_default(layer, generator)
    return layer


def zeros(layer: Layer, generator: torch.Generator | None) -> None:  # noqa: ARG001  # an `Init`
    """All weights and biases 0."""
    for weights in layer.parameters():
        nn.init.zeros_(weights)


def xavier(gain: float = 1.0) -> Init:
    """Weights uniform within gain * sqrt(6 / (fan in + fan out)), biases 0."""

    def init(layer: Layer, generator: torch.Generator | None) -> None:
        nn.init.xavier_uniform_(layer.weight, gain, generator=generator)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)

    return init


@dataclass(frozen=True)
class Maker:
    """How the layers of one net are made.

    Attributes
    ----------
    embedding
        Units of the embedding that each block is given.
    dropout
        Share of activations that a block drops in training.
    generator
        Source of the initial weights.
    head_width
        Channels of an attention head; None takes one head of all channels.
    usual, attending, closing
        Initial law of a layer; of queries, keys and values; of the last layer of a branch.
    eps
        Added to variances by group normalisation.
    scale
        What the sum of a branch and its skip is multiplied by.
    """

    embedding: int
    dropout: float
    generator: torch.Generator | None
    head_width: int | None = None
    usual: Init = torch_default
    attending: Init = torch_default
    closing: Init = zeros
    eps: float = 1e-5
    scale: float = 1.0

    def linear(
        self, fan_in: int, fan_out: int, *, bias: bool = True, init: Init | None = None
    ) -> nn.Linear:
        """A linear layer."""
        layer: nn.Linear = nn.utils.skip_init(  # type: ignore[no-untyped-call]
            nn.Linear, fan_in, fan_out, bias=bias
        )
        (init or self.usual)(layer, self.generator)
        return layer

    def conv(
        self,
        fan_in: int,
        fan_out: int,
        *,
        size: int = 3,
        stride: int = 1,
        padding: int | None = None,
        init: Init | None = None,
    ) -> nn.Conv2d:
        """A convolution; the default padding keeps the grid's size."""
        padding = size // 2 if padding is None else padding
        layer: nn.Conv2d = nn.utils.skip_init(  # type: ignore[no-untyped-call]
            nn.Conv2d, fan_in, fan_out, size, stride=stride, padding=padding
        )
        (init or self.usual)(layer, self.generator)
        return layer

    def time(self, channels: int, steps: int = 1) -> nn.Sequential:
        """The embedding of a time from 0 to 1, by waves of it as of so many steps.

        As of guided diffusion (Dhariwal and Nichol 2021, arXiv 2105.05233).
        """
        rates = torch.arange(channels // 2) / (channels // 2)
        return nn.Sequential(
            Waves(steps * torch.exp(-math.log(LONGEST_PERIOD) * rates)),
            self.linear(channels, self.embedding),
            nn.SiLU(),
            self.linear(self.embedding, self.embedding),
        )

    def norm(self, channels: int) -> nn.GroupNorm:
        """Group normalisation in up to 32 groups of `MIN_GROUP` or more channels."""
        groups = largest_divisor(channels, min(32, channels // MIN_GROUP))
        return nn.GroupNorm(groups, channels, eps=self.eps)

    def heads(self, channels: int) -> int:
        """Number of attention heads."""
        return largest_divisor(channels, channels // (self.head_width or channels))


def largest_divisor(number: int, limit: int) -> int:
    """Largest divisor of `number` that is not above `limit`; at least 1."""
    return next((k for k in range(limit, 1, -1) if number % k == 0), 1)


class Waves(nn.Module):
    """Cosines and sines of a number.

    Parameters
    ----------
    frequencies
        Radians a unit, shape (k,).
    saved
        Whether they are saved with the weights.
    """

    frequencies: Tensor

    def __init__(self, frequencies: Float[Tensor, " k"], *, saved: bool = False) -> None:
        super().__init__()
        self.register_buffer("frequencies", frequencies, persistent=saved)

    def forward(self, t: Rows) -> Float[Tensor, "n w"]:
        """Cosines, then sines, shape (n, 2 k)."""
        phase = t[:, None] * self.frequencies
        return torch.cat([phase.cos(), phase.sin()], dim=1)


class Down(nn.Module):
    """Halve a grid: smooth along both sides, keep every second place.

    Parameters
    ----------
    taps
        The filter, of even length; it is divided by its sum.
    padded
        Whether zeros surround the grid; else the filter stays inside.
    """

    taps: Tensor

    def __init__(self, taps: Sequence[float], *, padded: bool = True) -> None:
        super().__init__()
        self.padding = len(taps) // 2 - 1 if padded else 0
        self.register_buffer("taps", _window(taps), persistent=False)

    def forward(self, x: Grid) -> Grid:
        """The grid at half its size."""
        channels = x.shape[1]
        taps = self.taps.expand(channels, -1, -1, -1)
        return functional.conv2d(x, taps, stride=2, padding=self.padding, groups=channels)


class Up(nn.Module):
    """Double a grid: zeros between the places, then smooth along both sides.

    With the taps (1, 1) this repeats each place, as nearest-neighbour interpolation does.

    Parameters
    ----------
    taps
        The filter, of even length; it is multiplied to keep the mean of the grid.
    """

    taps: Tensor

    def __init__(self, taps: Sequence[float]) -> None:
        super().__init__()
        self.repeats = len(taps) == 2 and taps[0] == taps[1]
        self.padding = len(taps) // 2 - 1
        self.register_buffer("taps", 4 * _window(taps), persistent=False)

    def forward(self, x: Grid) -> Grid:
        """The grid at twice its size."""
        if self.repeats:
            return functional.interpolate(x, scale_factor=2.0)
        channels = x.shape[1]
        taps = self.taps.expand(channels, -1, -1, -1)
        return functional.conv_transpose2d(x, taps, stride=2, padding=self.padding, groups=channels)


def _window(taps: Sequence[float]) -> Float[Tensor, "1 1 k k"]:
    line = torch.tensor([float(tap) for tap in taps])
    line = line / line.sum()
    return torch.outer(line, line)[None, None]


class SelfAttention(nn.Module):
    """Attention of each place of a grid to all others, added to the input.

    Parameters
    ----------
    channels
        Channels of the grid.
    make
        How layers are made.
    """

    def __init__(self, channels: int, make: Maker) -> None:
        super().__init__()
        self.heads, self.scale = make.heads(channels), make.scale
        self.norm = make.norm(channels)
        self.queries_keys_values = make.linear(channels, 3 * channels, init=make.attending)
        self.last = make.linear(channels, channels, init=make.closing)

    def forward(self, x: Grid) -> Grid:
        """The grid after attention, of the same shape."""
        places = self.norm(x).flatten(2).transpose(1, 2)
        split = self.queries_keys_values(places).unflatten(2, (3, self.heads, -1))
        queries, keys, values = split.permute(2, 0, 3, 1, 4).unbind()
        seen = functional.scaled_dot_product_attention(queries, keys, values)
        change = self.last(seen.transpose(1, 2).flatten(2))
        return _joined(x, change.transpose(1, 2).unflatten(2, x.shape[2:]), self.scale)


class Block(nn.Module):
    """Residual block of two convolutions that is told the embedding, then perhaps attention.

    Parameters
    ----------
    fan_in, fan_out
        Channels before and after.
    make
        How layers are made.
    attention
        Whether attention follows.
    resample
        `Down` or `Up`, applied before the first convolution and to the skip.
    """

    def __init__(
        self,
        fan_in: int,
        fan_out: int,
        make: Maker,
        *,
        attention: bool = False,
        resample: Down | Up | None = None,
    ) -> None:
        super().__init__()
        plain = fan_in == fan_out and resample is None
        self.scale = make.scale
        self.norm1 = make.norm(fan_in)
        self.resample = resample or nn.Identity()
        self.conv1 = make.conv(fan_in, fan_out)
        self.embedding = make.linear(make.embedding, fan_out)
        self.norm2 = make.norm(fan_out)
        self.dropout = nn.Dropout(make.dropout)
        self.conv2 = make.conv(fan_out, fan_out, init=make.closing)
        self.skip = nn.Identity() if plain else make.conv(fan_in, fan_out, size=1)
        self.attention = SelfAttention(fan_out, make) if attention else nn.Identity()

    def forward(self, x: Grid, embedding: Embedding) -> Grid:
        """The grid after the block."""
        h = self.conv1(self.resample(functional.silu(self.norm1(x))))
        h = h + self.embedding(embedding)[:, :, None, None]
        h = self.conv2(self.dropout(functional.silu(self.norm2(h))))
        return self.attention(_joined(self.skip(self.resample(x)), h, self.scale))


def _joined(skip: Grid, branch: Grid, scale: float) -> Grid:
    return skip + branch if scale == 1 else (skip + branch) * scale
