"""Augmentation as of EDM: images changed at random when drawn, and the net told how."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from cellflow._batch import Batch
from cellflow.images.pixels import FlippedPixels

#: Numbers that say how an image was changed, and the published share of each change.
N_LABELS, SHARE = 9, 0.12

#: Standard deviations of the logarithms to base 2 of zoom and stretch, and of the shift in units of
#: the sides; share of the stretches that are not along a side (Karras et al. 2022, appendix F.2).
_ZOOM = _STRETCH = 0.2
_SHIFT, _OBLIQUE = 0.125, 0.5


@dataclass(frozen=True)
class AugmentedPixels:
    """Mirrored, zoomed, turned, stretched and shifted images, with labels of what was done.

    The pipe of EDM (Karras et al. 2022, arXiv 2206.00364, appendix F.2): half of the images are
    mirrored left to right; each other change befalls a share of them. Nine further columns of the
    condition tell the net: mirrored in x, in y, log-zoom, cosine - 1 and sine of the angle,
    log-stretch times cosine and sine of twice its angle, shift in x and y; 0 for none, which is
    what sampling leaves them at. Twice the angle, and not once as published, so that a stretch and
    its inverse have labels of their own. Pixels in between are bicubic and borders reflect, where
    EDM's code smooths by wavelets.

    Attributes
    ----------
    pixels
        How stored rows become points.
    share
        Of images that each change befalls.
    """

    pixels: FlippedPixels
    share: float = SHARE

    def __call__(self, rows: Batch, generator: torch.Generator | None) -> Batch:
        """Read rows as points; only a generator changes any, and tells so."""
        drawn = self.pixels(rows, generator)
        if generator is None:
            return drawn
        images = drawn.x.reshape(len(rows), *self.pixels.shape)
        labels = _labels(len(rows), self.share, generator).to(images.device)
        known = [] if drawn.condition is None else [drawn.condition]
        return replace(
            drawn,
            x=_changed(images, labels).flatten(1),
            condition=torch.cat([*known, labels], dim=1),
        )


def _labels(n: int, share: float, generator: torch.Generator) -> Float[Tensor, "n 9"]:
    """What to do with each image."""

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


def _changed(
    images: Float[Tensor, "n c h w"], labels: Float[Tensor, "n 9"]
) -> Float[Tensor, "n c h w"]:
    """Images changed as the labels say."""
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
    """Affine maps from places of changed images to those of the images, sides from -1 to 1."""
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
