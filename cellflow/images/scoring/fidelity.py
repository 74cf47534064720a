"""Similarity of images to reference images, one by one: PSNR and SSIM."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from cellflow._errors import InputError
from cellflow.images.data import ImageSet

#: Range of pixel values; window and constants of Wang et al. 2004.
_RANGE = 255
_WINDOW, _SIGMA, _K1, _K2 = 11, 1.5, 0.01, 0.03

#: Images compared at a time.
_ROWS = 256


@dataclass(frozen=True)
class Fidelity:
    """Similarity of images to references, the mean over images.

    Attributes
    ----------
    psnr
        Peak signal-to-noise ratio in decibels, infinite if an image equals its reference.
    ssim
        Structural similarity, 1 for equal images.
    """

    psnr: float
    ssim: float


def fidelity(images: ImageSet, reference: ImageSet) -> Fidelity:
    """Compare images with reference images, one by one.

    Parameters
    ----------
    images
        Images, such as of `upscale`.
    reference
        As many of the same size, in the same order.

    Returns
    -------
    The means over images of PSNR, 10 log10(255^2 / mean squared error), and of SSIM.

    Raises
    ------
    InputError
        For sets of another number or size of images.

    References
    ----------
    Wang et al. 2004, doi:10.1109/TIP.2003.819861 (SSIM): Gaussian windows of 11 x 11 pixels and
    standard deviation 1.5 that lie inside the image, covariances of the whole window, constants
    0.01 and 0.03, mean over channels. Images that are smaller than a window get the largest odd one
    that lies in them.
    """
    if images.pixels.shape != reference.pixels.shape:
        raise InputError(
            f"images are compared one by one: {images.name} has the shape {images.pixels.shape}, "
            f"{reference.name} {reference.pixels.shape}"
        )
    ratios, similarities = [], []
    for start in range(0, len(images), _ROWS):
        x, y = (_grids(each.pixels[start : start + _ROWS]) for each in (images, reference))
        error = (x - y).square().mean(dim=(1, 2, 3))
        ratios.append(10 * torch.log10(_RANGE**2 / error))
        similarities.append(_ssim(x, y))
    return Fidelity(float(torch.cat(ratios).mean()), float(torch.cat(similarities).mean()))


def _grids(pixels: np.ndarray) -> Tensor:
    return torch.from_numpy(pixels.astype(np.float64)).permute(0, 3, 1, 2)


def _ssim(x: Tensor, y: Tensor) -> Tensor:
    """Return the structural similarity of each image."""
    window = _window(min(x.shape[2:]))

    def mean(values: Tensor) -> Tensor:
        alone = values.flatten(0, 1)[:, None]
        return functional.conv2d(functional.conv2d(alone, window), window.mT)

    mx, my, xx, yy, xy = (mean(values) for values in (x, y, x * x, y * y, x * y))
    vx, vy, both = xx - mx.square(), yy - my.square(), xy - mx * my
    c1, c2 = (_K1 * _RANGE) ** 2, (_K2 * _RANGE) ** 2
    similar = (2 * mx * my + c1) * (2 * both + c2)
    similar = similar / ((mx.square() + my.square() + c1) * (vx + vy + c2))
    return similar.mean(dim=(1, 2, 3)).reshape(x.shape[:2]).mean(dim=1)


def _window(side: int) -> Tensor:
    """Return the weights along a side, shape (1, 1, 1, size)."""
    size = min(_WINDOW, side - (side + 1) % 2)
    weights = torch.exp(-((torch.arange(size) - size // 2).double() / _SIGMA).square() / 2)
    return (weights / weights.sum())[None, None, None]
