"""The U-Nets DDPM++ and NCSN++ of Song et al. (2021), as Karras et al. (2022) set them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn

from cellflow._checks import check_choice
from cellflow._typing import Condition, Points, Rows
from cellflow.nets.blocks import (
    LONGEST_PERIOD,
    Block,
    Down,
    Embedding,
    Maker,
    Up,
    Waves,
    xavier,
)
from cellflow.nets.hourglass import Hourglass, check_columns, check_sizes

_FOURIER_SCALE = 16


@dataclass(frozen=True)
class _Variant:
    """What sets the two nets apart.

    Attributes
    ----------
    fourier
        Whether the noise is embedded by waves of random frequencies.
    noise_factor
        Waves for the noise, in units of `channels`.
    residual
        Whether the image itself is brought down from level to level too.
    taps
        Filter with which grids are halved and doubled.
    """

    fourier: bool
    noise_factor: int
    residual: bool
    taps: tuple[int, ...]


VARIANTS = {
    "ddpmpp": _Variant(fourier=False, noise_factor=1, residual=False, taps=(1, 1)),
    "ncsnpp": _Variant(fourier=True, noise_factor=2, residual=True, taps=(1, 3, 3, 1)),
}


class SongUNet(nn.Module):
    """The net of EDM (Karras et al. 2022, arXiv 2206.00364, table 1 and appendix F.6).

    With the defaults it is that of CIFAR-10. `ddpmpp` embeds the noise by waves of fixed
    frequencies and resamples by means of 2 x 2 places; `ncsnpp` has random frequencies, saved with
    the weights, a smoother filter and a second way down for the image itself.

    The net runs in the memory format of its weights, which `.to(memory_format=...)` sets. Attention
    has no forward derivatives (`torch.func.jvp`) but under
    `torch.nn.attention.sdpa_kernel(SDPBackend.MATH)`.

    Parameters
    ----------
    shape
        Channels, height and width of one image; each point is one, flat, in this order.
    variant
        `ddpmpp` or `ncsnpp`.
    condition_dim
        Number of covariates: one-hot classes or numbers.
    augment_dim
        Number of values that say how an image was augmented, further columns of the covariates;
        without them they count as 0.
    channels
        Channels after the first convolution; a multiple of 4.
    multipliers
        Factors of `channels`, one a level. Each level but the last is halved into the next.
    blocks
        Residual blocks of a level on the way down; there is one more on the way up.
    attention
        Heights of the grids whose blocks attend: on the way down all, on the way up the last. The
        coarsest grid always does, in the middle.
    dropout
        Share of activations that each block drops in training, by PyTorch's global generator.
    generator
        Source of the initial weights and random frequencies.

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
        variant: str = "ncsnpp",
        condition_dim: int = 0,
        augment_dim: int = 0,
        channels: int = 128,
        multipliers: Sequence[int] = (2, 2, 2),
        blocks: int = 4,
        attention: Sequence[int] = (16,),
        dropout: float = 0.13,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        check_choice(variant, VARIANTS, "variant")
        check_sizes(shape, channels, multipliers, blocks, dropout)
        self.settings = {
            "shape": list(shape),
            "variant": variant,
            "condition_dim": condition_dim,
            "augment_dim": augment_dim,
            "channels": channels,
            "multipliers": list(multipliers),
            "blocks": blocks,
            "attention": list(attention),
            "dropout": dropout,
        }
        self.condition_dim, self.augment_dim = condition_dim, augment_dim
        make = Maker(
            4 * channels,
            dropout,
            generator,
            usual=xavier(),
            attending=xavier(math.sqrt(0.2)),
            closing=xavier(1e-5),
            eps=1e-6,
            scale=math.sqrt(0.5),
        )
        noise = channels * VARIANTS[variant].noise_factor
        self.noise = _waves(noise // 2, VARIANTS[variant], generator)
        if condition_dim:
            self.covariates = make.linear(condition_dim, noise)
        if augment_dim:
            self.augmentation = make.linear(augment_dim, noise, bias=False)
        self.mapping = nn.Sequential(
            make.linear(noise, make.embedding),
            nn.SiLU(),
            make.linear(make.embedding, make.embedding),
            nn.SiLU(),
        )
        widths = [channels * factor for factor in multipliers]
        taps = VARIANTS[variant].taps
        self.hourglass = Hourglass(
            shape,
            channels,
            widths,
            make,
            blocks=blocks,
            attention=attention,
            attend_once=True,
            downs=[Block(width, width, make, resample=Down(taps)) for width in widths[:-1]],
            ups=[Block(width, width, make, resample=Up(taps)) for width in widths[:0:-1]],
            shortcuts=_shortcuts(shape[0], widths, make, taps)
            if VARIANTS[variant].residual
            else (),
        )

    def forward(self, t: Rows, x: Points, condition: Condition | None = None) -> Points:
        """Output at noise conditions `t`, shape (n,), and images `x`, shape (n, c * h * w).

        Parameters
        ----------
        t
            Noise conditions c_noise, shape (n,).
        x
            Images, scaled by c_in.
        condition
            Covariates, shape (n, condition_dim), or with those of augmentation,
            (n, condition_dim + augment_dim).

        Returns
        -------
        Points
            Output, of the shape of `x`.

        Raises
        ------
        InputError
            Another number of covariates.
        """
        check_columns(condition, [self.condition_dim, self.condition_dim + self.augment_dim])
        return self.hourglass(x, self._embedding(t, condition))

    def _embedding(self, t: Rows, condition: Condition | None) -> Embedding:
        embedding = self.noise(t)
        if condition is not None and self.condition_dim:
            # So one-hot entries have a mean square of 1, however many classes there are.
            classes = condition[:, : self.condition_dim] * math.sqrt(self.condition_dim)
            embedding = embedding + self.covariates(classes)
        if condition is not None and condition.shape[1] > self.condition_dim:
            embedding = embedding + self.augmentation(condition[:, self.condition_dim :])
        return self.mapping(embedding)


def _waves(number: int, variant: _Variant, generator: torch.Generator | None) -> Waves:
    """Waves that embed the noise."""
    if variant.fourier:
        turns = torch.randn(number, generator=generator)
        return Waves(2 * math.pi * _FOURIER_SCALE * turns, saved=True)
    rates = torch.arange(number) / (number - 1)
    return Waves(torch.exp(-math.log(LONGEST_PERIOD) * rates))


def _shortcuts(
    channels: int, widths: Sequence[int], make: Maker, taps: Sequence[float]
) -> list[nn.Module]:
    """The image's own way down: a wider convolution, of which the filter uses up the border."""
    return [
        nn.Sequential(make.conv(before, after, padding=len(taps) // 2), Down(taps, padded=False))
        for before, after in pairwise([channels, *widths[:-1]])
    ]
