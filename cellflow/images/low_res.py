"""Low resolutions of images: averages of squares of pixels, and their weight in costs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch.nn import functional

from cellflow._errors import InputError
from cellflow.images.conditional_costs import ConditionCosts, ConditionedNoise, balanced_weight
from cellflow.images.data import ImageSet
from cellflow.images.pixels import to_pixels, to_points
from cellflow.marginals import Population
from cellflow.methods.method import Method
from cellflow.methods.parts import FeatureCostSettings


def shrink(images: ImageSet, factor: int) -> ImageSet:
    """Average the pixels of squares.

    Parameters
    ----------
    images
        Images whose sides are multiples of `factor`.
    factor
        Pixels per side of a square.

    Returns
    -------
    Images with the labels of the others, rounded to whole grey values.

    Raises
    ------
    InputError
        If squares of that size do not tile the images.
    """
    check_factor(images, factor)
    return replace(images, pixels=average_squares(images.pixels, factor))


def enlarge(images: ImageSet, factor: int) -> ImageSet:
    """Enlarge images by bicubic interpolation, the baseline of super-resolution.

    Parameters
    ----------
    images
        Images.
    factor
        Factor by which each side grows.

    Returns
    -------
    Images with the labels of the others.
    """
    _check_whole(factor)
    channels, height, width = images.shape
    small = to_points(images.pixels).reshape(-1, *images.shape)
    large = functional.interpolate(small, scale_factor=factor, mode="bicubic")
    shape = (channels, height * factor, width * factor)
    return replace(images, pixels=to_pixels(large.flatten(1), shape))


def average_squares(pixels: np.ndarray, factor: int) -> np.ndarray:
    """Return the rounded mean of each square of pixels; uint8, shape (n, h, w, c)."""
    n, height, width, channels = pixels.shape
    squares = pixels.reshape(n, height // factor, factor, width // factor, factor, channels)
    sums = squares.sum(axis=(2, 4), dtype=np.uint32)
    return ((2 * sums + factor**2) // (2 * factor**2)).astype(np.uint8)


def check_factor(images: ImageSet, factor: int) -> None:
    """Validate a factor: an integer from 2 that divides the sides of the images."""
    _check_whole(factor)
    height, width = images.shape[1:]
    if height % factor or width % factor:
        raise InputError(
            f"images of {height} x {width} pixels are not tiled by squares of {factor} x {factor}; "
            "take a factor that divides both sides, or read them at another size"
        )


def default_weight(method: Method, target: Population) -> float | None:
    """Return the weight of low resolutions in costs; None for couplings without costs."""
    if not isinstance(method.coupling, FeatureCostSettings):
        return None
    given = method.coupling.condition_weight
    return balanced_weight(target) if given is None else given


def with_condition_costs(target: Population, weight: float) -> tuple[ConditionedNoise, Population]:
    """Return noise and images whose costs depend on low resolutions too."""
    conditions = target.stored.condition
    assert conditions is not None
    noise = ConditionedNoise(
        torch.zeros(1, target.dim), conditions=Population.of(conditions), weight=weight
    )
    return noise, replace(target, transform=ConditionCosts(weight, target.transform))


def _check_whole(factor: int) -> None:
    if isinstance(factor, bool) or not isinstance(factor, int) or factor < 2:
        raise InputError(
            f"the factor of a low resolution must be a whole number from 2, got {factor!r}"
        )
