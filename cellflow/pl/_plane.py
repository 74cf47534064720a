"""Cells and predicted points in one plane: two dimensions of a representation, or an embedding."""

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

#: Observed cells that say where a predicted point stands in an embedding.
_NEIGHBOURS = 15

#: Embeddings that are drawn where none is named.
_USUAL = ("X_umap", "X_phate", "X_tsne", REPRESENTATION, "X_pca")


#: What axes of embeddings are called, where that is not the name of the key.
_NAMES = {
    "umap": "UMAP",
    "pca": "PC",
    "tsne": "t-SNE",
    "phate": "PHATE",
    REPRESENTATION.removeprefix("X_"): "component",
}


@dataclass(frozen=True)
class Plane:
    """A plane with the observed cells in it.

    Attributes
    ----------
    cells
        Their coordinates there, shape (n, 2).
    label
        What its axes are called.
    components
        Which dimensions they are, counted from 0.
    points
        Where the observed cells are in the representation, shape (n, d), where predicted points are
        placed by their neighbours.
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
        """The plane of two dimensions of a representation, or of an embedding of the cells.

        Raises
        ------
        InputError
            If there is no such embedding, or there are not that many dimensions.
        """
        points = points_of(adata, representation)
        if basis is None:
            check_components(representation, components)
            return cls(points[:, list(components)], "component", components)
        return cls(*embedding(adata, basis, components), components, points)

    def place(self, predicted: np.ndarray) -> np.ndarray:
        """Points of the representation, shape (m, d), in the plane, shape (m, 2).

        In an embedding, which has no map of its own, each stands at the mean of its nearest
        observed cells, the nearer the heavier.
        """
        if self.points is None:
            return predicted[:, list(self.components)]
        k = min(_NEIGHBOURS, len(self.points))
        distances, rows = NearestNeighbors(n_neighbors=k).fit(self.points).kneighbors(predicted)
        # The farthest of them weighs next to nothing, so that none comes or goes with a jump.
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
    """Coordinates of the cells, shape (n, 2), and what the axes are called.

    Parameters
    ----------
    adata
        The cells.
    basis
        `obsm` key with or without its `X_`; None takes the first usual one that is there.
    components
        Its dimensions, counted from 0.

    Raises
    ------
    InputError
        If there is none, or not that many dimensions.
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
