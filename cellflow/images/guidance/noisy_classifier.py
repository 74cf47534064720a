"""A classifier of noisy images, and the net of a discriminator, which consists of two."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from cellflow._checks import check_positive
from cellflow._typing import Condition, Points, Rows
from cellflow.nets.blocks import Block, Downsample, Grid, LayerFactory
from cellflow.nets.hourglass import check_condition, check_unet_sizes

#: Rates of the process at times 0 and 1 (Song et al. 2021, arXiv 2011.13456).
BETA_0, BETA_1 = 0.1, 20.0


def vp_time(sigma: Rows) -> Rows:
    """Return the time tau at which signal and noise are mixed as in y + `sigma` n.

    The root of tau beta_0 + tau^2 (beta_1 - beta_0) / 2 = ln(1 + sigma^2), in a form that is
    accurate at little noise (Kim et al. 2023, arXiv 2211.17091).
    """
    mass = torch.log1p(sigma.square())
    return 2 * mass / (BETA_0 + (BETA_0**2 + 2 * (BETA_1 - BETA_0) * mass).sqrt())


def vp_sigma(tau: Rows) -> Rows:
    """Return the level of noise at time `tau`; the inverse of `vp_time`."""
    return torch.expm1(tau * BETA_0 + tau.square() * (BETA_1 - BETA_0) / 2).sqrt()


def vp_scale(sigma: Rows) -> Rows:
    """Return the factor of y + `sigma` n at that time, 1 / sqrt(1 + sigma^2)."""
    return torch.rsqrt(1 + sigma.square())


Values = Float[Tensor, "n _"]

_HEAD_WIDTH = 64

#: Times from 0 to 1 are scaled by this number of steps, as in the classifiers of guided diffusion.
_TIME_STEPS = 1000


class NoisyClassifier(nn.Module):
    """The contracting half of a U-Net, conditioned on time, and a linear layer on its means.

    The classifier of guided diffusion (Dhariwal and Nichol 2021, arXiv 2105.05233) without scale
    and shift, and with a mean over the last grid instead of attention. Groups of channels that are
    normalised together have 4 channels or more.

    Parameters
    ----------
    shape
        Channels, height and width of one image; points are images, flat, in this order.
    n_outputs
        Number of outputs for each image; 0 for features alone.
    condition_dim
        Number of covariates.
    channels
        Channels of the finest level, times its multiplier; a multiple of 4.
    multipliers
        Factors of `channels`, one per level. Each level has half the sides of the one before.
    blocks
        Residual blocks per level.
    attention
        Heights of the grids whose blocks attend.
    dropout
        Share of activations that each block drops in training, by PyTorch's global generator.
    generator
        Source of the initial weights (PyTorch's default law); the outputs are zero at first.

    Attributes
    ----------
    feature_shape
        Channels, height and width of the last grid.

    Raises
    ------
    InputError
        For impossible sizes, such as a height or width that does not halve often enough.
    """

    def __init__(
        self,
        shape: Sequence[int],
        *,
        n_outputs: int,
        condition_dim: int = 0,
        channels: int = 32,
        multipliers: Sequence[int] = (1, 2, 4),
        blocks: int = 2,
        attention: Sequence[int] = (8,),
        dropout: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        check_unet_sizes(shape, channels, multipliers, blocks, dropout)
        self.shape, self.condition_dim = tuple(shape), condition_dim
        make = LayerFactory(4 * channels, dropout, generator, _HEAD_WIDTH)
        self.time = make.time_embedding(channels, _TIME_STEPS)
        if condition_dim:
            self.covariates = make.linear(condition_dim, make.embedding, bias=False)
        widths = [channels * factor for factor in multipliers]
        self.first = make.conv(shape[0], widths[0])
        self.blocks = nn.ModuleList()
        for level, (before, width) in enumerate(pairwise([widths[0], *widths])):
            attends = shape[1] >> level in attention
            if level:
                self.blocks.append(Block(before, width, make, resample=Downsample((1, 1))))
            self.blocks.extend(Block(width, width, make, attention=attends) for _ in range(blocks))
        height, width = (side >> len(widths) - 1 for side in shape[1:])
        self.feature_shape = (widths[-1], height, width)
        if n_outputs:
            self.norm = make.norm(widths[-1])
            self.last = make.linear(widths[-1], n_outputs, init=make.final_init)

    def forward(self, t: Rows, x: Points, condition: Condition | None = None) -> Values:
        """Return outputs, shape (n, n_outputs), of images `x`, shape (n, c * h * w), at times `t`.

        Raises
        ------
        InputError
            For another number of covariates than `condition_dim`.
        """
        grid = functional.silu(self.norm(self._grid(t, x, condition)))
        return self.last(grid.mean(dim=(2, 3)))

    def features(self, t: Rows, x: Points, condition: Condition | None = None) -> Values:
        """Return the last grid, flat, of `feature_shape`."""
        return self._grid(t, x, condition).flatten(1)

    def _grid(self, t: Rows, x: Points, condition: Condition | None) -> Grid:
        check_condition(condition, [self.condition_dim])
        embedding = self.time(t)
        if self.condition_dim:
            embedding = embedding + self.covariates(condition)
        embedding = functional.silu(embedding)
        h = self.first(x.reshape(len(x), *self.shape))
        for block in self.blocks:
            h = block(h, embedding)
        return h


class RatioNet(nn.Module):
    """Log-ratio of two densities of noisy images: a head on the features of a classifier.

    A discriminator D of two laws, with equally many images of each, learns the log-ratio as
    ln(D / (1 - D)) (Kim et al. 2023, arXiv 2211.17091). Its input y + sigma n is scaled to a point
    of the variance-preserving process at the time of that noise.

    Parameters
    ----------
    shape
        Channels, height and width of one image.
    n_classes
        Classes of the classifier; 0 trains its layers together with the head.
    condition_dim
        Number of covariates of the head.
    channels, multipliers, blocks
        Sizes of the classifier, with attention on its last grid; the head has one level.
    generator
        Source of the initial weights.

    Attributes
    ----------
    settings
        The arguments, for JSON.
    """

    def __init__(
        self,
        shape: Sequence[int],
        *,
        n_classes: int = 0,
        condition_dim: int = 0,
        channels: int = 32,
        multipliers: Sequence[int] = (1, 2, 4),
        blocks: int = 2,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        check_positive(len(multipliers), "number of multipliers")
        self.settings = {
            "shape": list(shape),
            "n_classes": n_classes,
            "condition_dim": condition_dim,
            "channels": channels,
            "multipliers": list(multipliers),
            "blocks": blocks,
        }
        self.condition_dim = condition_dim
        self.classifier = NoisyClassifier(
            shape,
            n_outputs=n_classes,
            channels=channels,
            multipliers=multipliers,
            blocks=blocks,
            attention=(shape[1] >> len(multipliers) - 1,),
            generator=generator,
        )
        grid = self.classifier.feature_shape
        self.head = NoisyClassifier(
            grid,
            n_outputs=1,
            condition_dim=condition_dim,
            channels=channels,
            multipliers=(1,),
            blocks=2,
            attention=(grid[1],),
            generator=generator,
        )

    @property
    def dim(self) -> int:
        """Dimensions of the points."""
        return math.prod(self.classifier.shape)

    def forward(self, sigma: Rows, x: Points, condition: Condition | None = None) -> Rows:
        """Return log-ratios at `x` = y + sigma n, (n, c * h * w), for levels `sigma`, (n,)."""
        t, scaled = vp_time(sigma), vp_scale(sigma)[:, None] * x
        return self.head(t, self.classifier.features(t, scaled), condition)[:, 0]

    def classes(self, sigma: Rows, x: Points) -> Values:
        """Return the logits of the classes, shape (n, n_classes)."""
        return self.classifier(vp_time(sigma), vp_scale(sigma)[:, None] * x)
