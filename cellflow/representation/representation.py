"""A fitted representation: an affine map from cells to points, and back."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from anndata import AnnData

from cellflow._errors import InputError
from cellflow.representation.chunks import map_chunks, open_expression
from cellflow.representation.expression import (
    Matrix,
    as_float64,
    compute_depths,
    find_genes,
    is_counts,
    read_embedding,
)
from cellflow.training.devices import cpu_threads


@dataclass(frozen=True)
class LinearMap:
    """The part between genes and components: y = (x - mean) / scale @ loadings.

    Attributes
    ----------
    genes
        Names of the genes, g.
    mean, scale
        Of each gene, shape (g,).
    loadings
        Orthonormal columns, shape (g, d).
    """

    genes: tuple[str, ...]
    mean: np.ndarray
    scale: np.ndarray
    loadings: np.ndarray

    def encode(self, x: Matrix) -> np.ndarray:
        """Components (n, d) of expression (n, g); sparse input stays sparse on the way."""
        weights = self.loadings / self.scale[:, None]
        return np.asarray(x @ weights, dtype=np.float64) - self.mean @ weights

    def decode(self, y: np.ndarray) -> np.ndarray:
        """Expression (n, g) of components (n, d): the point of their plane, not of all genes."""
        return y @ self.loadings.T * self.scale + self.mean


@dataclass(frozen=True)
class Representation:
    """How cells become points, fitted to some cells and applicable to others.

    Attributes
    ----------
    kind
        What it was fitted to: `counts` (normalised to `target_sum` a cell and log1p), `normalised`
        or `other` expression (each gene scaled), or `obsm` (an embedding that came with the data).
    source
        The layer or the `obsm` key; empty for `X`.
    target_sum
        Counts that each cell is scaled to; 0 unless `kind` is `counts`.
    n_genes
        Genes that a cell's depth is summed over, 0 unless `kind` is `counts`.
    linear
        The map between genes and components; None where an `obsm` came without loadings.
    centre, spread
        Subtracted from components, then divided by, shape (d,); zeros and ones unless whitened.
    whitened
        Whether `centre` and `spread` were fitted.
    """

    kind: str
    source: str
    target_sum: float
    n_genes: int
    linear: LinearMap | None
    centre: np.ndarray
    spread: np.ndarray
    whitened: bool

    @property
    def n_dims(self) -> int:
        """Number of dimensions of its points."""
        return len(self.centre)

    def transform(self, adata: AnnData, used: np.ndarray | None = None) -> np.ndarray:
        """Points of cells, shape (n, d), float64.

        Parameters
        ----------
        adata
            The cells.
        used
            Which of them, a mask or row numbers; None takes all.

        Raises
        ------
        InputError
            If the genes or the `obsm` key that it needs are not there, or counts are none any more.
        """
        return self._map_cells(adata, used, np.float64)

    def points(self, adata: AnnData, used: np.ndarray | None = None) -> np.ndarray:
        """The same in float32, as flows see them, without another array of their size."""
        if self.kind == "obsm" and not self.whitened:
            values = read_embedding(adata, self.source)[:, : self.n_dims]
            return (values if used is None else values[used]).astype(np.float32, copy=False)
        return self._map_cells(adata, used, np.float32)

    def _map_cells(self, adata: AnnData, used: np.ndarray | None, dtype: type) -> np.ndarray:
        """Points, made in parts."""
        x, encode = self._source(adata)
        x = x if used is None else x[used]
        points, start = np.empty((x.shape[0], self.n_dims), dtype), 0
        for part in map_chunks(x, encode):
            stop = start + len(part)
            points[start:stop] = (part - self.centre) / self.spread
            start = stop
        return points

    def _source(self, adata: AnnData) -> tuple[Matrix, Callable[[Matrix], np.ndarray]]:
        """What components are made of, and how."""
        if self.kind == "obsm":
            return read_embedding(adata, self.source)[:, : self.n_dims], as_float64
        linear = self.require_linear()
        x = open_expression(adata, self.source or None)
        columns = find_genes(adata, linear.genes)
        if self.kind == "counts":
            self._check_depth(x)
            x = log_normalise(x, self.target_sum)
        return x[:, columns], linear.encode

    def _check_depth(self, x: Matrix) -> None:
        """Refuse expression whose depth is not that of the counts it was fitted to."""
        if not all(map_chunks(x, is_counts)):
            raise InputError(
                "the representation was fitted to counts, and the expression is none (any more?); "
                "embed again, or from a layer with the counts"
            )
        if x.shape[1] != self.n_genes:
            raise InputError(
                f"the representation normalises depth over {self.n_genes} genes, and the data has "
                f"{x.shape[1]}; hand in the same genes"
            )

    def require_linear(self) -> LinearMap:
        """The map between genes and components.

        Raises
        ------
        InputError
            If it was made of an `obsm` key that came without.
        """
        if self.linear is None:
            raise InputError(
                "the representation has no way back to genes; make one that has with pp.embed"
            )
        return self.linear

    def decode(self, points: np.ndarray) -> np.ndarray:
        """Expression (n, g) of points (n, d), on the scale after normalisation and log1p.

        Raises
        ------
        InputError
            As `require_linear`.
        """
        return self.require_linear().decode(points * self.spread + self.centre)

    def decode_velocity(self, speed: np.ndarray) -> np.ndarray:
        """Velocity of each gene (n, g) of velocities of points (n, d).

        Raises
        ------
        InputError
            As `require_linear`.
        """
        linear = self.require_linear()
        return (speed * self.spread) @ linear.loadings.T * linear.scale

    def describe(self) -> str:
        """One line on what it does."""
        origin = {
            "counts": f"counts: normalised to {self.target_sum:.6g} a cell, log1p, PCA",
            "normalised": "normalised expression: each gene scaled, PCA",
            "other": "values that are no counts: taken as they are, each gene scaled, PCA",
            "obsm": f"obsm[{self.source!r}] as it came",
        }[self.kind]
        genes = f" of {len(self.linear.genes)} genes" if self.kind != "obsm" and self.linear else ""
        whitened = ", whitened" if self.whitened else ""
        return f"{origin}{genes}, {self.n_dims} dimensions{whitened}"


@cpu_threads(None)
def log_normalise(x: Matrix, target_sum: float) -> Matrix:
    """Scale each cell to `target_sum` counts, then log(1 + x), by scanpy; empty cells stay zero."""
    import scanpy as sc

    work = AnnData(x.astype(np.float64))
    with warnings.catch_warnings():
        # Fitting tells of empty cells, once and with what becomes of them.
        warnings.filterwarnings("ignore", message="Some cells have zero counts")
        sc.pp.normalize_total(work, target_sum=target_sum)
    sc.pp.log1p(work)
    return work.X


def on_log_scale(x: Matrix) -> Matrix:
    """Counts in memory, normalised to the median depth and log1p-transformed; else `x` itself."""
    if not is_counts(x):
        return x
    depth = compute_depths(x)
    return log_normalise(x, float(np.median(depth[depth > 0])) if depth.any() else 1.0)


def check_components(fitted: Representation, components: tuple[int, int]) -> None:
    """Refuse a pair of dimensions, counted from 0, that a representation does not have."""
    if any(not 0 <= component < fitted.n_dims for component in components):
        raise InputError(
            f"no components {components}: the representation has dimensions 0 to "
            f"{fitted.n_dims - 1}"
        )
