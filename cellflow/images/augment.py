"""Augmentation of EDM: random changes of images when drawn, with labels for the net."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from cellflow._batch import Batch
from cellflow.images.pixels import FlippedPixels

#: Labels of the changes of an image, and the published share of each change.
N_LABELS, SHARE = 9, 0.12

#: Standard deviations of log2 of zoom and stretch, and of the shift in units of the sides; share of
#: the stretches that are not along a side (Karras et al. 2022, appendix F.2).
_ZOOM = _STRETCH = 0.2
_SHIFT, _OBLIQUE = 0.125, 0.5


@dataclass(frozen=True)
class AugmentedPixels:
    """Mirrored, zoomed, rotated, stretched and shifted images, with labels of the changes.

    The pipe of EDM (Karras et al. 2022, arXiv 2206.00364, appendix F.2): half of the images are
    mirrored left to right; each other change is applied to a share of them. Nine further columns of
    the condition are the labels: mirrored in x, in y, log-zoom, cosine - 1 and sine of the angle,
    log-stretch times cosine and sine of twice its angle, shift in x and y; 0 without the change,
    and for sampling. Twice the angle, and not once as published, so that a stretch and its inverse
    differ in their labels. Interpolation is bicubic and borders reflect; EDM's code smooths by
    wavelets.

    Attributes
    ----------
    pixels
        Transform of stored rows to points.
    share
        Share of the images that each change is applied to.
    """

    pixels: FlippedPixels
    share: float = SHARE

    def __call__(self, rows: Batch, generator: torch.Generator | None) -> Batch:
        """Transform rows to points; without a generator they are not changed."""
        drawn = self.pixels(rows, generator)
        if generator is None:
            return drawn
        images = drawn.x.reshape(len(rows), *self.pixels.shape)
        labels = _labels(len(rows), self.share, generator).to(images.device)
        known = [] if drawn.condition is None else [drawn.condition]
        return replace(
            drawn,
            x=_apply(images, labels).flatten(1),
            condition=torch.cat([*known, labels], dim=1),
        )


def _labels(n: int, share: float, generator: torch.Generator) -> Float[Tensor, "n 9"]:
    """Draw the changes of each image."""

    def uniform() -> Tensor:
        return torch.rand((n, 1), generator=generator, device=generator.device)

    def normal(columns: int = 1) -> Tensor:
        return torch.randn((n, columns), generator=generator, device=generator.device)

    def some(values: Tensor, share: float = share) -> Tensor:
        return torch.where(uniform() < share, values, 0.0)

    def coin() -> Tensor:
        return (uniform() < 0.5).float()

    angle = some(math.pi * (2 * uniform() - 1))
    axis = some(2 * math.pi * (2 * uniform() - 1), _OBLIQUE)
    stretch = some(normal())
    parts = [coin(), some(coin()), some(normal()), angle.cos() - 1, angle.sin()]
    return torch.cat([*parts, stretch * axis.cos(), stretch * axis.sin(), some(normal(2))], dim=1)


def _apply(
    images: Float[Tensor, "n c h w"], labels: Float[Tensor, "n 9"]
) -> Float[Tensor, "n c h w"]:
    """Apply the changes of the labels to the images."""
    flags = labels[:, :2, None, None, None] == 1
    images = torch.where(flags[:, 0], images.flip(3), images)
    images = torch.where(flags[:, 1], images.flip(2), images)
    where = functional.affine_grid(
        _origins(images, labels), list(images.shape), align_corners=False
    )
    moved = functional.grid_sample(
        images, where, mode="bicubic", padding_mode="reflection", align_corners=False
    )
    return torch.where((labels[:, 2:] != 0).any(dim=1)[:, None, None, None], moved, images)


def _origins(
    images: Float[Tensor, "n c h w"], labels: Float[Tensor, "n 9"]
) -> Float[Tensor, "n 2 3"]:
    """Return affine maps from pixels of changed images to the images, sides from -1 to 1."""
    height, width = images.shape[2:]
    zoom, cosine, sine, along, across, *shift = labels[:, 2:].unbind(dim=1)
    cosine = cosine + 1
    turn = torch.stack([cosine, sine, -sine, cosine], dim=1).reshape(-1, 2, 2)
    shear = torch.stack([along, across, across, -along], dim=1).reshape(-1, 2, 2)
    stretch = torch.linalg.matrix_exp(-math.log(2) * _STRETCH * shear)
    linear = torch.exp2(-_ZOOM * zoom)[:, None, None] * turn @ stretch
    # Angles are those of pixels, sides those of the grid.
    sides = torch.tensor([width, height], device=labels.device, dtype=labels.dtype)
    linear = linear * sides / sides[:, None]
    return torch.cat([linear, -2 * _SHIFT * linear @ torch.stack(shift, dim=1)[:, :, None]], dim=2)
