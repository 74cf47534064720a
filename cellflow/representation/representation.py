"""A fitted representation: an affine map from cells to points, and back to genes."""

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
    """Linear map from genes to components: y = (x - mean) / scale @ loadings.

    Attributes
    ----------
    genes
        Names of the genes, g.
    mean, scale
        Mean and scale of each gene, shape (g,).
    loadings
        Orthonormal columns, shape (g, d).
    """

    genes: tuple[str, ...]
    mean: np.ndarray
    scale: np.ndarray
    loadings: np.ndarray

    def encode(self, x: Matrix) -> np.ndarray:
        """Return components (n, d) of expression (n, g), without making sparse input dense."""
        weights = self.loadings / self.scale[:, None]
        return np.asarray(x @ weights, dtype=np.float64) - self.mean @ weights

    def decode(self, y: np.ndarray) -> np.ndarray:
        """Return the expression (n, g) in the span of the loadings for components (n, d)."""
        return y @ self.loadings.T * self.scale + self.mean


@dataclass(frozen=True)
class Representation:
    """Map from cells to points, fitted to some cells and applicable to others.

    Attributes
    ----------
    kind
        Input: `counts` (normalised to `target_sum` per cell and log1p-transformed), `normalised` or
        `other` expression (each gene scaled), or `obsm` (an embedding of the data).
    source
        Layer or `obsm` key; empty for `X`.
    target_sum
        Counts per cell after normalisation; 0 unless `kind` is `counts`.
    n_genes
        Number of genes that the depth of a cell is summed over; 0 unless `kind` is `counts`.
    linear
        Map between genes and components; None for an `obsm` key without loadings.
    centre, spread
        Subtracted from components, then divided by; shape (d,); zeros and ones unless whitened.
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
        """Number of dimensions of the points."""
        return len(self.centre)

    def transform(self, adata: AnnData, used: np.ndarray | None = None) -> np.ndarray:
        """Return the points of cells, shape (n, d), float64.

        Parameters
        ----------
        adata
            The cells.
        used
            Cells to use, a mask or row numbers; None uses all.

        Raises
        ------
        InputError
            If genes or the `obsm` key are missing, or the expression is no longer counts.
        """
        return self._map_cells(adata, used, np.float64)

    def points(self, adata: AnnData, used: np.ndarray | None = None) -> np.ndarray:
        """Return the points in float32, as flows use them; an `obsm` key is not copied."""
        if self.kind == "obsm" and not self.whitened:
            values = read_embedding(adata, self.source)[:, : self.n_dims]
            return (values if used is None else values[used]).astype(np.float32, copy=False)
        return self._map_cells(adata, used, np.float32)

    def _map_cells(self, adata: AnnData, used: np.ndarray | None, dtype: type) -> np.ndarray:
        """Return points, computed in chunks of cells."""
        x, encode = self._source(adata)
        x = x if used is None else x[used]
        points, start = np.empty((x.shape[0], self.n_dims), dtype), 0
        for chunk in map_chunks(x, encode):
            stop = start + len(chunk)
            points[start:stop] = (chunk - self.centre) / self.spread
            start = stop
        return points

    def _source(self, adata: AnnData) -> tuple[Matrix, Callable[[Matrix], np.ndarray]]:
        """Return the input of the components, and the function that computes them."""
        if self.kind == "obsm":
            return read_embedding(adata, self.source)[:, : self.n_dims], as_float64
        linear = self.require_linear()
        columns = find_genes(adata, linear.genes)
        return self.normalised(adata)[:, columns], linear.encode

    def normalised(self, adata: AnnData) -> Matrix:
        """Return the expression that decoding returns, of all genes, shape (n, all genes)."""
        x = open_expression(adata, None if self.kind == "obsm" else self.source or None)
        if self.kind == "counts":
            self._check_depth(x)
            x = log_normalise(x, self.target_sum)
        return x

    def _check_depth(self, x: Matrix) -> None:
        """Raise an error unless the expression is counts over the same number of genes."""
        if not all(map_chunks(x, is_counts)):
            raise InputError(
                "the representation was fitted to counts, and the expression is not counts; run "
                "pp.embed again, or with the layer that has the counts"
            )
        if x.shape[1] != self.n_genes:
            raise InputError(
                f"the representation normalises counts over {self.n_genes} genes, and the data "
                f"have {x.shape[1]}; use the same genes"
            )

    def require_linear(self) -> LinearMap:
        """Return the map between genes and components.

        Raises
        ------
        InputError
            If the representation is an `obsm` key without loadings.
        """
        if self.linear is None:
            raise InputError(
                "the representation cannot be decoded to genes; make one that can with pp.embed"
            )
        return self.linear

    def decode(self, points: np.ndarray) -> np.ndarray:
        """Return expression (n, g) of points (n, d), on the scale after normalisation and log1p.

        Raises
        ------
        InputError
            See `require_linear`.
        """
        return self.require_linear().decode(points * self.spread + self.centre)

    def decode_velocity(self, velocity: np.ndarray) -> np.ndarray:
        """Return velocities of genes (n, g) for velocities of points (n, d).

        Raises
        ------
        InputError
            See `require_linear`.
        """
        linear = self.require_linear()
        return (velocity * self.spread) @ linear.loadings.T * linear.scale

    def describe(self) -> str:
        """Describe the representation in one line."""
        origin = {
            "counts": f"counts: normalised to {self.target_sum:.6g} per cell, log1p, PCA",
            "normalised": "normalised expression: each gene scaled, PCA",
            "other": "values other than counts: each gene scaled, PCA",
            "obsm": f"obsm[{self.source!r}] as it is",
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
        # Fitting already warns about empty cells.
        warnings.filterwarnings("ignore", message="Some cells have zero counts")
        sc.pp.normalize_total(work, target_sum=target_sum)
    sc.pp.log1p(work)
    return work.X


def on_log_scale(x: Matrix) -> Matrix:
    """Return counts normalised to the median depth and log1p-transformed; else `x` itself."""
    if not is_counts(x):
        return x
    depth = compute_depths(x)
    return log_normalise(x, float(np.median(depth[depth > 0])) if depth.any() else 1.0)


def check_components(fitted: Representation, components: tuple[int, int]) -> None:
    """Raise an error unless the representation has these two dimensions, counted from 0."""
    if any(not 0 <= component < fitted.n_dims for component in components):
        raise InputError(
            f"no components {components}: the representation has dimensions 0 to "
            f"{fitted.n_dims - 1}"
        )
