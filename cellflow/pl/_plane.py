"""Coordinates to draw at: two dimensions of a representation, or an embedding."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from anndata import AnnData
from matplotlib.axes import Axes
from sklearn.neighbors import NearestNeighbors

from cellflow._checks import check_finite, format_list
from cellflow._errors import InputError
from cellflow._keys import REPRESENTATION
from cellflow.pl._canvas import frame
from cellflow.representation import Representation, check_components, points_of

#: Number of measured cells that place a predicted point in an embedding.
_NEIGHBOURS = 15

#: Embeddings to draw by default, in order of preference.
_USUAL = ("X_umap", "X_phate", "X_tsne", REPRESENTATION, "X_pca")


#: Axis labels of embeddings that differ from the key.
_NAMES = {
    "umap": "UMAP",
    "pca": "PC",
    "tsne": "t-SNE",
    "phate": "PHATE",
    REPRESENTATION.removeprefix("X_"): "component",
}


@dataclass(frozen=True)
class Plane:
    """Coordinates of the measured cells in a plane, and the map of predicted points into it.

    Attributes
    ----------
    cells
        Coordinates of the measured cells, shape (n, 2).
    label
        Label of the axes.
    components
        Dimensions drawn, counted from 0.
    points
        Measured cells in the representation, shape (n, d), to place predicted points by their
        neighbours; None if the plane is part of the representation.
    """

    cells: np.ndarray
    label: str
    components: tuple[int, int]
    points: np.ndarray | None = None

    @classmethod
    def of(
        cls,
        adata: AnnData,
        representation: Representation,
        basis: str | None,
        components: tuple[int, int],
    ) -> Plane:
        """Return the plane of two dimensions of a representation, or of an embedding.

        Raises
        ------
        InputError
            If the embedding or a dimension does not exist.
        """
        points = points_of(adata, representation)
        if basis is None:
            check_components(representation, components)
            return cls(points[:, list(components)], "component", components)
        return cls(*embedding(adata, basis, components), components, points)

    def place(self, predicted: np.ndarray) -> np.ndarray:
        """Map points of the representation, shape (m, d), into the plane, shape (m, 2).

        In an embedding, each is placed at the weighted mean of its nearest measured cells.
        """
        if self.points is None:
            return predicted[:, list(self.components)]
        k = min(_NEIGHBOURS, len(self.points))
        distances, rows = NearestNeighbors(n_neighbors=k).fit(self.points).kneighbors(predicted)
        # The farthest neighbour has almost no weight, so that points move without jumps.
        weights = 1 - distances / (distances.max(axis=1, keepdims=True) * 1.001 + 1e-12)
        weights /= weights.sum(axis=1, keepdims=True)
        placed: np.ndarray = np.einsum("mk,mkc->mc", weights, self.cells[rows])
        return placed

    def frame(self, ax: Axes) -> None:
        """Label axes."""
        frame(ax, self.label, self.components)


def embedding(
    adata: AnnData, basis: str | None, components: tuple[int, int] = (0, 1)
) -> tuple[np.ndarray, str]:
    """Return coordinates of the cells, shape (n, 2), and the label of the axes.

    Parameters
    ----------
    adata
        The cells.
    basis
        `obsm` key, with or without `X_`; None uses the first usual embedding that exists.
    components
        Its dimensions, counted from 0.

    Raises
    ------
    InputError
        If the embedding or a dimension does not exist.
    """
    wanted = _USUAL if basis is None else (basis, f"X_{basis}")
    key = next((name for name in wanted if name in adata.obsm), None)
    if key is None:
        what = "to draw on" if basis is None else f"{basis!r}"
        raise InputError(f"no obsm key {what}; there are: {format_list(adata.obsm) or 'none'}")
    values = np.asarray(adata.obsm[key], dtype=np.float64)
    if any(not 0 <= component < values.shape[1] for component in components):
        raise InputError(
            f"no components {components}: obsm[{key!r}] has dimensions 0 to {values.shape[1] - 1}"
        )
    check_finite(values, f"obsm[{key!r}]", list(adata.obs_names))
    name = key.removeprefix("X_")
    return values[:, list(components)], _NAMES.get(name, name)
