"""Conversion between pixels from 0 to 255 and points with coordinates from -1 to 1."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from cellflow._batch import Batch
from cellflow._errors import InputError
from cellflow._typing import Points

Shape = tuple[int, int, int]

#: Half the range of pixel values: the scale of the coordinates.
_HALF = 127.5


def to_rows(pixels: np.ndarray | Tensor) -> UInt8[Tensor, "n d"]:
    """Flatten images to rows of pixel values, channels first.

    Parameters
    ----------
    pixels
        uint8, shape (n, h, w, c).

    Returns
    -------
    uint8, shape (n, c*h*w); a quarter of the memory of points.
    """
    if isinstance(pixels, np.ndarray):
        # Torch takes neither read-only arrays nor mirrored ones.
        pixels = torch.from_numpy(np.require(pixels, requirements=["C", "W"]))
    if pixels.dtype != torch.uint8 or pixels.ndim != 4:
        raise InputError(
            "pixels must be uint8 with the axes (images, height, width, channels); "
            f"got {pixels.dtype}, shape {tuple(pixels.shape)}"
        )
    return pixels.permute(0, 3, 1, 2).flatten(1)


def to_points(pixels: np.ndarray | Tensor) -> Points:
    """Convert images to points: x / 127.5 - 1, flat, channels first.

    Parameters
    ----------
    pixels
        uint8, shape (n, h, w, c).

    Returns
    -------
    float32 from -1 to 1, shape (n, c*h*w).
    """
    return _scale(to_rows(pixels))


def to_pixels(points: Points, shape: Shape) -> np.ndarray:
    """Convert points to images: 127.5 x + 128, clipped to 0 and 255, truncated.

    The offset, larger by a half than in the inverse of `to_points`, rounds to the nearest; it is
    that of TorchCFM, so that scores compare.

    Parameters
    ----------
    points
        Coordinates, shape (n, c*h*w); 0 is mid-grey.
    shape
        Channels, height and width.

    Returns
    -------
    uint8, shape (n, h, w, c).
    """
    grid = points.detach().float().reshape(len(points), *shape).permute(0, 2, 3, 1)
    return (grid * _HALF + 128).clip(0, 255).to(torch.uint8).cpu().numpy()


@dataclass(frozen=True)
class FlippedPixels:
    """Transform of stored pixels to points when they are drawn, mirrored at random.

    Attributes
    ----------
    shape
        Channels, height and width of an image.
    flips
        Whether half of the images drawn are mirrored left to right.
    """

    shape: Shape
    flips: bool = True

    def __call__(self, rows: Batch, generator: torch.Generator | None) -> Batch:
        """Transform rows of `to_rows` to points.

        Parameters
        ----------
        rows
            Their `x` holds pixel values, uint8, shape (n, c*h*w), on any device.
        generator
            Source of the flips; None mirrors no image.

        Returns
        -------
        The same rows with `x` as float32 points.
        """
        values = rows.x
        if self.flips and generator is not None:
            values = self._flip(values, generator)
        return replace(rows, x=_scale(values))

    def _flip(self, values: Tensor, generator: torch.Generator) -> Tensor:
        grid = values.reshape(len(values), *self.shape)
        draws = torch.rand(len(values), generator=generator, device=generator.device)
        mirrored = (draws < 0.5).to(values.device)[:, None, None, None]
        return torch.where(mirrored, grid.flip(-1), grid).flatten(1)


def _scale(values: UInt8[Tensor, "n d"]) -> Points:
    # On a GPU, division by a Python number multiplies by its reciprocal, which changes last digits
    # and with them digests of points.
    half = torch.full((), _HALF, device=values.device)
    return values.float().div_(half).sub_(1)
