"""Place points of a representation in an embedding of measured cells, such as a UMAP."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from anndata import AnnData

from cellflow._checks import format_list
from cellflow._errors import InputError
from cellflow._keys import embedding_keys
from cellflow._neighbours import NearestCells

#: Number of measured cells that place a point.
_NEIGHBOURS = 15

#: Unexplained share of a basis' spread under which it is an affine map of the representation.
_EXACT = 1e-4

#: Cells that an affine map is fitted to.
_SAMPLE = 10_000


@dataclass(frozen=True)
class Placement:
    """Map of points of a representation into an embedding of measured cells.

    An embedding that is an affine map of the representation, such as its components, gets the exact
    image. In any other a point is placed at a weighted mean of its nearest measured cells.

    Attributes
    ----------
    measured
        Measured cells in the representation, shape (n, d).
    places
        Their coordinates in the embedding, shape (n, c).
    matrix
        The affine map, shape (d, c); None if there is no such map.
    """

    measured: np.ndarray
    places: np.ndarray
    matrix: np.ndarray | None

    @classmethod
    def fit(cls, measured: np.ndarray, places: np.ndarray) -> Placement:
        """Find the map of measured cells to their places."""
        measured, places = measured.astype(np.float64), places.astype(np.float64)
        return cls(measured, places, fit_affine(measured, places))

    def place(self, points: np.ndarray) -> np.ndarray:
        """Return coordinates of points, shape (m, d), in the embedding: shape (m, c), float64."""
        if self.matrix is None:
            return _place_by_neighbours(points, self.measured, self.places)
        return self.places.mean(axis=0) + (points - self.measured.mean(axis=0)) @ self.matrix


def find_basis(adata: AnnData, basis: str) -> str:
    """Return the `obsm` key of an embedding, named with or without `X_`.

    Raises
    ------
    InputError
        If it does not exist.
    """
    for key in (basis, f"X_{basis}"):
        if key in adata.obsm:
            return key
    raise InputError(
        f"no obsm key {basis!r}; there are: {format_list(embedding_keys(adata.obsm)) or 'none'}"
    )


def fit_affine(points: np.ndarray, basis: np.ndarray) -> np.ndarray | None:
    """Return the matrix of an affine map from points to a basis; None if there is no such map."""
    if len(points) <= 2 * (points.shape[1] + 1):
        return None  # so few cells fit any basis
    # Some cells give the map, and all of them show whether it is one.
    some = slice(None, None, -(-len(points) // _SAMPLE))
    few, places = (each[some] - each[some].mean(axis=0) for each in (points, basis))
    matrix = np.linalg.lstsq(few, places, rcond=None)[0]
    mapped, wanted = points @ matrix.astype(points.dtype), basis - basis.mean(axis=0)
    missed = np.linalg.norm(wanted - (mapped - mapped.mean(axis=0)), axis=0)
    return matrix if (missed <= _EXACT * np.linalg.norm(wanted, axis=0)).all() else None


def _place_by_neighbours(
    points: np.ndarray, measured: np.ndarray, places: np.ndarray
) -> np.ndarray:
    """Return weighted means of the places of the measured cells nearest to each point.

    The weights are those of Franke and Little, ((r - d) / (r d))^2 for a cell at distance d and the
    farthest neighbour at r (Franke 1982, Math. Comput. 38:181): a point on a measured cell has its
    place, and points move without jumps.
    """
    placed = np.empty((len(points), places.shape[1]))
    for part, far, rows in NearestCells.among(measured).find(points, _NEIGHBOURS):
        # Neighbours that are all as far keep a weight.
        reach = 1.001 * far[:, -1:]
        reach[reach == 0] = 1
        distances = np.maximum(far, 1e-6 * reach)
        weights = ((reach - distances) / distances) ** 2
        weights /= weights.sum(axis=1, keepdims=True)
        placed[part] = np.einsum("mk,mkc->mc", weights, places[rows])
    return placed
