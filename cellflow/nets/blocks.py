"""Layers of U-Nets: initialisation, Fourier features, resampling, attention, residual blocks."""

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

#: Longest period of sinusoidal embeddings.
LONGEST_PERIOD = 10_000

#: Channels per group at least; in smaller groups, normalisation removes what the embedding adds.
MIN_GROUP = 4


def torch_default(layer: Layer, generator: torch.Generator | None) -> None:
    """Draw weights and biases uniformly within 1 / sqrt(fan in), PyTorch's default."""
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
    """Set all weights and biases to 0."""
    for weights in layer.parameters():
        nn.init.zeros_(weights)


def xavier(gain: float = 1.0) -> Init:
    """Return Glorot's initialisation, uniform within gain sqrt(6 / (fan in + fan out))."""

    def init(layer: Layer, generator: torch.Generator | None) -> None:
        nn.init.xavier_uniform_(layer.weight, gain, generator=generator)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)

    return init


@dataclass(frozen=True)
class LayerFactory:
    """Builds the layers of one network, with its initialisation and its normalisation.

    Attributes
    ----------
    embedding
        Units of the embedding that is added in each block.
    dropout
        Probability that a block drops an activation during training.
    generator
        Source of the initial weights.
    head_width
        Channels per attention head; None uses one head.
    init, attention_init, final_init
        Initialisation of a layer; of queries, keys and values; of the last layer of a branch.
    eps
        Term that group normalisation adds to variances.
    scale
        Factor of the sum of a residual branch and its skip connection.
    """

    embedding: int
    dropout: float
    generator: torch.Generator | None
    head_width: int | None = None
    init: Init = torch_default
    attention_init: Init = torch_default
    final_init: Init = zeros
    eps: float = 1e-5
    scale: float = 1.0

    def linear(
        self, fan_in: int, fan_out: int, *, bias: bool = True, init: Init | None = None
    ) -> nn.Linear:
        """Build a linear layer."""
        layer: nn.Linear = nn.utils.skip_init(  # type: ignore[no-untyped-call]
            nn.Linear, fan_in, fan_out, bias=bias
        )
        (init or self.init)(layer, self.generator)
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
        """Build a convolution; the default padding preserves height and width."""
        padding = size // 2 if padding is None else padding
        layer: nn.Conv2d = nn.utils.skip_init(  # type: ignore[no-untyped-call]
            nn.Conv2d, fan_in, fan_out, size, stride=stride, padding=padding
        )
        (init or self.init)(layer, self.generator)
        return layer

    def time_embedding(self, channels: int, steps: int = 1) -> nn.Sequential:
        """Build the embedding of a time t in [0, 1]: Fourier features of `steps` t, then an MLP.

        As in guided diffusion (Dhariwal and Nichol 2021, arXiv 2105.05233).
        """
        rates = torch.arange(channels // 2) / (channels // 2)
        return nn.Sequential(
            FourierFeatures(steps * torch.exp(-math.log(LONGEST_PERIOD) * rates)),
            self.linear(channels, self.embedding),
            nn.SiLU(),
            self.linear(self.embedding, self.embedding),
        )

    def norm(self, channels: int) -> nn.GroupNorm:
        """Build a group normalisation with at most 32 groups of at least `MIN_GROUP` channels."""
        groups = largest_divisor(channels, min(32, channels // MIN_GROUP))
        return nn.GroupNorm(groups, channels, eps=self.eps)

    def heads(self, channels: int) -> int:
        """Return the number of attention heads."""
        return largest_divisor(channels, channels // (self.head_width or channels))


def largest_divisor(number: int, limit: int) -> int:
    """Return the largest divisor of `number` up to `limit`, at least 1."""
    return next((k for k in range(limit, 1, -1) if number % k == 0), 1)


class FourierFeatures(nn.Module):
    """Cosines and sines of a number.

    Parameters
    ----------
    frequencies
        Angular frequencies, shape (k,).
    persistent
        Whether the frequencies are saved with the weights.
    """

    frequencies: Tensor

    def __init__(self, frequencies: Float[Tensor, " k"], *, persistent: bool = False) -> None:
        super().__init__()
        self.register_buffer("frequencies", frequencies, persistent=persistent)

    def forward(self, t: Rows) -> Float[Tensor, "n w"]:
        """Return cosines, then sines, shape (n, 2 k)."""
        phase = t[:, None] * self.frequencies
        return torch.cat([phase.cos(), phase.sin()], dim=1)


class Downsample(nn.Module):
    """Halve height and width: convolve each channel with a separable filter, at stride 2.

    Parameters
    ----------
    taps
        One-dimensional filter of even length; normalised to sum 1.
    padded
        Whether the border is padded with zeros.
    """

    taps: Tensor

    def __init__(self, taps: Sequence[float], *, padded: bool = True) -> None:
        super().__init__()
        self.padding = len(taps) // 2 - 1 if padded else 0
        self.register_buffer("taps", _window(taps), persistent=False)

    def forward(self, x: Grid) -> Grid:
        """Return the grid at half its height and width."""
        channels = x.shape[1]
        taps = self.taps.expand(channels, -1, -1, -1)
        return functional.conv2d(x, taps, stride=2, padding=self.padding, groups=channels)


class Upsample(nn.Module):
    """Double height and width: transposed convolution with a separable filter, at stride 2.

    The taps (1, 1) give nearest-neighbour interpolation.

    Parameters
    ----------
    taps
        One-dimensional filter of even length; normalised to preserve the mean of the grid.
    """

    taps: Tensor

    def __init__(self, taps: Sequence[float]) -> None:
        super().__init__()
        self.repeats = len(taps) == 2 and taps[0] == taps[1]
        self.padding = len(taps) // 2 - 1
        self.register_buffer("taps", 4 * _window(taps), persistent=False)

    def forward(self, x: Grid) -> Grid:
        """Return the grid at twice its height and width."""
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
    """Residual self-attention over the pixels of a grid.

    Parameters
    ----------
    channels
        Channels of the grid.
    make
        Builds the layers.
    """

    def __init__(self, channels: int, make: LayerFactory) -> None:
        super().__init__()
        self.heads, self.scale = make.heads(channels), make.scale
        self.norm = make.norm(channels)
        self.queries_keys_values = make.linear(channels, 3 * channels, init=make.attention_init)
        self.last = make.linear(channels, channels, init=make.final_init)

    def forward(self, x: Grid) -> Grid:
        """Return the grid after attention, of the same shape."""
        pixels = self.norm(x).flatten(2).transpose(1, 2)
        split = self.queries_keys_values(pixels).unflatten(2, (3, self.heads, -1))
        queries, keys, values = split.permute(2, 0, 3, 1, 4).unbind()
        attended = functional.scaled_dot_product_attention(queries, keys, values)
        change = self.last(attended.transpose(1, 2).flatten(2))
        return _add_residual(x, change.transpose(1, 2).unflatten(2, x.shape[2:]), self.scale)


class Block(nn.Module):
    """Residual block of two convolutions, with the embedding added between, and optional attention.

    Parameters
    ----------
    fan_in, fan_out
        Channels of input and output.
    make
        Builds the layers.
    attention
        Whether self-attention follows.
    resample
        `Downsample` or `Upsample`, of the branch before its first convolution and of the skip.
    """

    def __init__(
        self,
        fan_in: int,
        fan_out: int,
        make: LayerFactory,
        *,
        attention: bool = False,
        resample: Downsample | Upsample | None = None,
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
        self.conv2 = make.conv(fan_out, fan_out, init=make.final_init)
        self.skip = nn.Identity() if plain else make.conv(fan_in, fan_out, size=1)
        self.attention = SelfAttention(fan_out, make) if attention else nn.Identity()

    def forward(self, x: Grid, embedding: Embedding) -> Grid:
        """Return the grid after the block."""
        h = self.conv1(self.resample(functional.silu(self.norm1(x))))
        h = h + self.embedding(embedding)[:, :, None, None]
        h = self.conv2(self.dropout(functional.silu(self.norm2(h))))
        return self.attention(_add_residual(self.skip(self.resample(x)), h, self.scale))


def _add_residual(skip: Grid, branch: Grid, scale: float) -> Grid:
    return skip + branch if scale == 1 else (skip + branch) * scale
