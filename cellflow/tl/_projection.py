"""Velocities of a representation as arrows on a plot."""

from __future__ import annotations

import numpy as np
from sklearn.neighbors import NearestNeighbors

from cellflow._checks import check_positive
from cellflow._errors import InputError

#: Unexplained share of a basis' spread under which it is an affine map of the representation.
_EXACT = 1e-4

#: How much the angle to a neighbour counts.
_SCALE = 10.0

#: Cells whose displacements are in memory at a time.
_CHUNK = 1024


def projected(
    points: np.ndarray, speed: np.ndarray, basis: np.ndarray, n_neighbors: int
) -> tuple[np.ndarray, str]:
    """Arrows on a basis, and how they were found: `linear` or `neighbours`.

    Parameters
    ----------
    points, speed
        Cells and their velocities in the representation, shape (n, d).
    basis
        Where the cells are on the plot, shape (n, 2).
    n_neighbors
        Neighbours of a cell that its arrow is made of, where the basis is no affine map.
    """
    image = _affine(points, basis)
    if image is not None:
        return speed @ image, "linear"
    return _by_neighbours(points, speed, basis, n_neighbors), "neighbours"


def _affine(points: np.ndarray, basis: np.ndarray) -> np.ndarray | None:
    """The matrix of an affine map from points to a basis; None where it is none."""
    if len(points) <= 2 * (points.shape[1] + 1):
        return None  # so few cells fit any basis
    centred, wanted = points - points.mean(axis=0), basis - basis.mean(axis=0)
    matrix = np.linalg.lstsq(centred, wanted, rcond=None)[0]
    missed = np.linalg.norm(wanted - centred @ matrix, axis=0)
    return matrix if (missed <= _EXACT * np.linalg.norm(wanted, axis=0)).all() else None


def _by_neighbours(
    points: np.ndarray, speed: np.ndarray, basis: np.ndarray, n_neighbors: int
) -> np.ndarray:
    check_positive(n_neighbors, "n_neighbors")
    if n_neighbors >= len(points):
        raise InputError(f"n_neighbors must be under {len(points)} (all cells), got {n_neighbors}")
    search = NearestNeighbors(n_neighbors=n_neighbors).fit(points)
    arrows = np.empty_like(basis)
    for start in range(0, len(points), _CHUNK):
        part = slice(start, start + _CHUNK)
        near = _others(search, points, start)
        away = _units(points[near] - points[part, None])
        cosines = (away * _units(speed[part])[:, None]).sum(axis=2)
        weights = np.exp(_SCALE * (cosines - 1))
        weights /= weights.sum(axis=1, keepdims=True)
        shown = _units(basis[near] - basis[part, None])
        arrows[part] = ((weights - 1 / n_neighbors)[:, :, None] * shown).sum(axis=1)
    return arrows


def _others(search: NearestNeighbors, points: np.ndarray, start: int) -> np.ndarray:
    """Neighbours of a chunk of the points, themselves aside."""
    rows = np.arange(start, min(start + _CHUNK, len(points)))
    near = search.kneighbors(points[rows], search.n_neighbors + 1, return_distance=False)
    # A cell is not always first among copies of itself: the last goes where it is not found.
    own = near == rows[:, None]
    own[~own.any(axis=1), -1] = True
    return near[~own].reshape(len(rows), -1)


def _units(vectors: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
