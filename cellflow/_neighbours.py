"""Nearest cells of points: exact, among a sample of the cells where there are many."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from sklearn.neighbors import NearestNeighbors

from cellflow._log import log_info, progress_bar

#: Cells that neighbours are searched among; of more, so many are drawn. An exact search in many
#: dimensions compares all with all, which would take the square of the number of cells.
MOST = 20_000

#: Points whose neighbours are searched at a time.
_CHUNK = 2_048


@dataclass(frozen=True)
class NearestCells:
    """Cells to search among.

    Attributes
    ----------
    search
        The search; rows of its result are positions in `rows`.
    rows
        Rows of the cells that are searched, increasing; at most 20,000.
    """

    search: NearestNeighbors
    rows: np.ndarray

    @classmethod
    def among(cls, cells: np.ndarray) -> NearestCells:
        """Search among cells, shape (n, d); the same ones are drawn in each call."""
        rows = np.arange(len(cells))
        if len(rows) > MOST:
            rows = np.sort(np.random.default_rng(0).choice(rows, MOST, replace=False))
            log_info(f"nearest cells are searched among {MOST:,} of {len(cells):,}, drawn once")
        return cls(NearestNeighbors().fit(cells[rows].astype(np.float64)), rows)

    def find(
        self, points: np.ndarray, n_neighbors: int, *, own: np.ndarray | None = None
    ) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
        """Find the nearest cells of points, shape (m, d), chunk by chunk.

        Parameters
        ----------
        points
            The points.
        n_neighbors
            Number of cells for each; all if there are fewer.
        own
            Row of the cell that is not a neighbour of each point, shape (m,); None leaves out none.

        Yields
        ------
        A slice of the points, and distances and rows of their nearest cells, shape (k, neighbours),
        the nearest first.
        """
        most = len(self.rows) - (own is not None)
        n_neighbors = min(n_neighbors, most)
        with progress_bar(len(points), "nearest cells", "cell") as bar:
            for start in range(0, len(points), _CHUNK):
                part = slice(start, min(start + _CHUNK, len(points)))
                # Of two precisions scikit-learn would make a matrix of distances.
                here = points[part].astype(np.float64)
                far, near = self.search.kneighbors(here, n_neighbors + (own is not None))
                near = self.rows[near]
                if own is not None:
                    # A cell is not always first among copies of itself: the last goes where it is
                    # not found.
                    left_out = near == own[part, None]
                    left_out[~left_out.any(axis=1), -1] = True
                    far, near = (
                        each[~left_out].reshape(len(here), n_neighbors) for each in (far, near)
                    )
                bar.update(len(near))
                yield part, far, near
