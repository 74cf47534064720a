"""Encoders between pixels and the points that a flow moves: pixels themselves, or latents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from cellflow._checks import check_positive
from cellflow._errors import InputError
from cellflow._typing import Points
from cellflow.images.data import ImageSet
from cellflow.images.pixels import Shape, to_pixels, to_points


@runtime_checkable
class Encoder(Protocol):
    """A map from images to points and back; implement these two methods for your own latents."""

    def encode(self, pixels: np.ndarray) -> Points:
        """Return the points of images.

        Parameters
        ----------
        pixels
            Images, uint8, shape (n, h, w, c).

        Returns
        -------
        Points, float32, shape (n, d).
        """
        ...

    def decode(self, points: Points) -> np.ndarray:
        """Return the images of points.

        Parameters
        ----------
        points
            Points on the CPU, shape (n, d).

        Returns
        -------
        Images, uint8, shape (n, h, w, c).
        """
        ...


@dataclass(frozen=True)
class PixelEncoder:
    """Pixels, scaled to the range from -1 to 1.

    Attributes
    ----------
    shape
        Channels, height and width.
    """

    shape: Shape

    @property
    def arrays(self) -> Mapping[str, Tensor]:
        """Arrays that the flow stores: none."""
        return {}

    @classmethod
    def restore(cls, shape: Shape, _arrays: Mapping[str, Tensor]) -> PixelEncoder:
        """Return the encoder of a saved flow."""
        return cls(shape)

    def encode(self, pixels: np.ndarray) -> Points:
        """Return the points of images."""
        return to_points(pixels)

    def decode(self, points: Points) -> np.ndarray:
        """Return the images of points."""
        return to_pixels(points, self.shape)


@dataclass(frozen=True)
class PCAEncoder:
    """Principal components of the pixels: latents without a net.

    Attributes
    ----------
    shape
        Channels, height and width.
    centre, components
        Mean image as a point, shape (d,), and orthonormal rows, shape (k, d).
    """

    shape: Shape
    centre: Tensor = field(repr=False)
    components: Tensor = field(repr=False)

    @classmethod
    def fit(cls, images: ImageSet, n_components: int, others: ImageSet | None = None) -> PCAEncoder:
        """Fit the components of the largest variance.

        Parameters
        ----------
        images
            The images.
        n_components
            Number of components.
        others
            Further images for the fit.

        Returns
        -------
        The encoder.

        Raises
        ------
        InputError
            If there are fewer images or pixels than components.
        """
        check_positive(n_components, "n_components")
        points = torch.cat([to_points(each.pixels) for each in (images, others) if each])
        most = min(points.shape)
        if n_components > most:
            raise InputError(f"{images.name} has at most {most} components, not {n_components}")
        centre = points.mean(dim=0)
        gram = (points - centre).double().T @ (points - centre).double()
        _, vectors = torch.linalg.eigh(gram)
        return cls(images.shape, centre, vectors.T.flip(0)[:n_components].float().contiguous())

    @classmethod
    def restore(cls, shape: Shape, arrays: Mapping[str, Tensor]) -> PCAEncoder:
        """Return the encoder of a saved flow."""
        return cls(shape, arrays["pca.centre"], arrays["pca.components"])

    @property
    def arrays(self) -> Mapping[str, Tensor]:
        """Arrays that the flow stores: mean and components."""
        return {"pca.centre": self.centre, "pca.components": self.components}

    def encode(self, pixels: np.ndarray) -> Points:
        """Return the scores on the components."""
        return (to_points(pixels) - self.centre) @ self.components.T

    def decode(self, points: Points) -> np.ndarray:
        """Return the images with these scores."""
        return to_pixels(points @ self.components + self.centre, self.shape)


#: Encoders that are stored in the flow.
ENCODERS: dict[str, type[PixelEncoder] | type[PCAEncoder]] = {
    "pixels": PixelEncoder,
    "pca": PCAEncoder,
}
