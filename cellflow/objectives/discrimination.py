"""Classification of noisy images: by their classes, and as real or generated."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional

from cellflow._batch import Pairs
from cellflow._random import uniform_like
from cellflow._typing import Condition, Points, Rows, Scalar
from cellflow.nets import RatioNet, vp_sigma

#: Times of the variance-preserving process between which levels of noise are drawn.
_FIRST, _LAST = 1e-5, 1.0


def guidance_levels(like: Rows, generator: torch.Generator) -> Rows:
    """Levels of noise for a discriminator, one for each entry of `like`.

    The times tau have the density g^2 / sigma^2 of the variance-preserving process between 1e-5
    and 1, the importance sampling of Kim et al. (2023, arXiv 2211.17091). Its antiderivative is
    ln(exp(B) - 1), B the integral of beta up to tau, and this is the logarithm of the squared noise
    of EDM: ln sigma is uniform.
    """
    ends = vp_sigma(torch.tensor([_FIRST, _LAST], dtype=torch.float64)).log().tolist()
    return (ends[0] + (ends[1] - ends[0]) * uniform_like(like, generator)).exp()


def _noisy(pairs: Pairs, generator: torch.Generator) -> tuple[Rows, Points, Condition]:
    """Levels, noisy images and what is known of the images."""
    if pairs.c1 is None:
        raise TypeError("images are classified by columns of their condition, and have none")
    sigma = guidance_levels(pairs.t0, generator)
    return sigma, pairs.x1 + sigma[:, None] * pairs.x0, pairs.c1


@dataclass(frozen=True)
class Classification:
    """Cross-entropy of the classes of noisy images, which are one-hot in the condition."""

    def loss(self, net: RatioNet, pairs: Pairs, generator: torch.Generator) -> Scalar:
        """Mean over a batch."""
        sigma, x, classes = _noisy(pairs, generator)
        return functional.cross_entropy(net.classes(sigma, x), classes)

    def accuracy(self, net: RatioNet, pairs: Pairs, generator: torch.Generator) -> Scalar:
        """Share of images whose class is told right."""
        sigma, x, classes = _noisy(pairs, generator)
        told = net.classes(sigma, x).argmax(dim=1)
        return (told == classes.argmax(dim=1)).float().mean()


@dataclass(frozen=True)
class Discrimination:
    """Binary cross-entropy of real against generated images with noise.

    The first column of the condition is 1 for real images and 0 for generated ones, the others are
    covariates. At the minimum the net is the log-ratio of the densities of noisy images, or
    ln(D / (1 - D)) of the discriminator D (Kim et al. 2023, arXiv 2211.17091).
    """

    def loss(self, net: RatioNet, pairs: Pairs, generator: torch.Generator) -> Scalar:
        """Mean over a batch."""
        ratio, real = self._told(net, pairs, generator)
        return functional.binary_cross_entropy_with_logits(ratio, real)

    def accuracy(self, net: RatioNet, pairs: Pairs, generator: torch.Generator) -> Scalar:
        """Share of images that are told right; that it cannot tell count half."""
        ratio, real = self._told(net, pairs, generator)
        return ((ratio.sign() * (2 * real - 1) + 1) / 2).mean()

    def _told(self, net: RatioNet, pairs: Pairs, generator: torch.Generator) -> tuple[Rows, Rows]:
        sigma, x, known = _noisy(pairs, generator)
        covariates = known[:, 1:] if net.condition_dim else None
        return net(sigma, x, covariates), known[:, 0]
