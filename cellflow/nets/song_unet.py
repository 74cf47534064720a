"""The U-Nets DDPM++ and NCSN++ of Song et al. (2021), in the version of Karras et al. (2022)."""

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
    Downsample,
    Embedding,
    FourierFeatures,
    LayerFactory,
    Upsample,
    xavier,
)
from cellflow.nets.hourglass import Hourglass, check_condition, check_unet_sizes

_FOURIER_SCALE = 16


@dataclass(frozen=True)
class _Variant:
    """Differences between the two networks.

    Attributes
    ----------
    fourier
        Whether the noise level is embedded with random frequencies.
    noise_factor
        Fourier features of the noise level, in units of `channels`.
    residual
        Whether the encoder has a residual branch of the downsampled image.
    taps
        Filter of down- and upsampling.
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
    """Network of EDM (Karras et al. 2022, arXiv 2206.00364, table 1 and appendix F.6).

    The defaults are those for CIFAR-10. `ddpmpp` embeds the noise level with fixed frequencies and
    resamples by means of 2 x 2 pixels; `ncsnpp` has random frequencies, saved with the weights, a
    smoother filter and a residual branch of the downsampled image.

    Grids have the memory format of the weights, `.to(memory_format=...)`. Forward-mode derivatives
    (`torch.func.jvp`) require `torch.nn.attention.sdpa_kernel(SDPBackend.MATH)`.

    Parameters
    ----------
    shape
        Channels, height and width of an image; points are images, flattened in this order.
    variant
        `ddpmpp` or `ncsnpp`.
    condition_dim
        Number of covariates: one-hot classes or numbers.
    augment_dim
        Number of further covariates that describe the augmentation of an image; 0 if omitted.
    channels
        Channels after the first convolution; a multiple of 4.
    multipliers
        Factors of `channels`, one per level. Height and width halve from level to level.
    blocks
        Residual blocks per level of the encoder; the decoder has one more.
    attention
        Heights of the grids with attention: in every block of the encoder, in the last one of the
        decoder. The coarsest grid always has it, in the middle.
    dropout
        Probability that a block drops an activation during training (global generator).
    generator
        Source of the initial weights and random frequencies.

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
        check_unet_sizes(shape, channels, multipliers, blocks, dropout)
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
        make = LayerFactory(
            4 * channels,
            dropout,
            generator,
            init=xavier(),
            attention_init=xavier(math.sqrt(0.2)),
            final_init=xavier(1e-5),
            eps=1e-6,
            scale=math.sqrt(0.5),
        )
        noise = channels * VARIANTS[variant].noise_factor
        self.noise = _noise_features(noise // 2, VARIANTS[variant], generator)
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
            downs=[Block(width, width, make, resample=Downsample(taps)) for width in widths[:-1]],
            ups=[Block(width, width, make, resample=Upsample(taps)) for width in widths[:0:-1]],
            shortcuts=_shortcuts(shape[0], widths, make, taps)
            if VARIANTS[variant].residual
            else (),
        )

    def forward(self, t: Rows, x: Points, condition: Condition | None = None) -> Points:
        """Return the output F(`x`; `t`), shape (n, c * h * w).

        Parameters
        ----------
        t
            c_noise, shape (n,).
        x
            Images times c_in, shape (n, c * h * w).
        condition
            Covariates, shape (n, condition_dim), optionally followed by those of augmentation,
            shape (n, condition_dim + augment_dim).

        Returns
        -------
        Points
            Output, of the shape of `x`.

        Raises
        ------
        InputError
            If `condition` has another number of columns.
        """
        check_condition(condition, [self.condition_dim, self.condition_dim + self.augment_dim])
        return self.hourglass(x, self._embedding(t, condition))

    def _embedding(self, t: Rows, condition: Condition | None) -> Embedding:
        embedding = self.noise(t)
        if condition is not None and self.condition_dim:
            # One-hot rows then have a mean square of 1 for any number of classes.
            classes = condition[:, : self.condition_dim] * math.sqrt(self.condition_dim)
            embedding = embedding + self.covariates(classes)
        if condition is not None and condition.shape[1] > self.condition_dim:
            embedding = embedding + self.augmentation(condition[:, self.condition_dim :])
        return self.mapping(embedding)


def _noise_features(
    number: int, variant: _Variant, generator: torch.Generator | None
) -> FourierFeatures:
    """Build the Fourier features of the noise level."""
    if variant.fourier:
        turns = torch.randn(number, generator=generator)
        return FourierFeatures(2 * math.pi * _FOURIER_SCALE * turns, persistent=True)
    rates = torch.arange(number) / (number - 1)
    return FourierFeatures(torch.exp(-math.log(LONGEST_PERIOD) * rates))


def _shortcuts(
    channels: int, widths: Sequence[int], make: LayerFactory, taps: Sequence[float]
) -> list[nn.Module]:
    """Build the residual branch: a padded convolution, then a filter that consumes the border."""
    return [
        nn.Sequential(
            make.conv(before, after, padding=len(taps) // 2), Downsample(taps, padded=False)
        )
        for before, after in pairwise([channels, *widths[:-1]])
    ]
