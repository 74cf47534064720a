"""A fitted representation: an affine map from cells to points, and back to genes."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from anndata import AnnData

from cellflow._errors import InputError
from cellflow.io.matrices import ALL, Matrix
from cellflow.representation.chunks import map_chunks, open_expression
from cellflow.representation.expression import (
    as_float64,
    compute_depths,
    find_genes,
    read_embedding,
    take_columns,
)
from cellflow.representation.kinds import detect_kind, has_negative
from cellflow.representation.scales import change_unit, fit_scale, log_normalise

#: Positions of genes.
Columns = np.ndarray | slice


#: Share of the genes with a negative mean from which values were centred.
_CENTRED = 0.1


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
    decoded_mean, decoded_scale
        Mean and scale of each gene on the scale that decoding returns, if that is another: shape
        (g,); None for `mean` and `scale`.
    """

    genes: tuple[str, ...]
    mean: np.ndarray
    scale: np.ndarray
    loadings: np.ndarray
    decoded_mean: np.ndarray | None = None
    decoded_scale: np.ndarray | None = None

    def encode(self, x: Matrix) -> np.ndarray:
        """Return components (n, d) of expression (n, g), without making sparse input dense."""
        weights = self.loadings / self.scale[:, None]
        return np.asarray(x @ weights, dtype=np.float64) - self.mean @ weights

    def decode(self, y: np.ndarray, columns: Columns = ALL) -> np.ndarray:
        """Return the expression (n, g) in the span of the loadings for components (n, d)."""
        mean = self.mean if self.decoded_mean is None else self.decoded_mean
        return self.decode_change(y, columns) + mean[columns]

    def decode_change(self, y: np.ndarray, columns: Columns = ALL) -> np.ndarray:
        """Return the difference of expression (n, g) for a difference of components (n, d)."""
        scale = self.scale if self.decoded_scale is None else self.decoded_scale
        return y @ self.loadings[columns].T * scale[columns]


@dataclass(frozen=True)
class Representation:
    """Map from cells to points, fitted to some cells and applicable to others.

    Attributes
    ----------
    kind
        Input: `counts` or `linear` expression (normalised to `target_sum` per cell and
        log1p-transformed), `normalised` (on a logarithmic scale) or `other` expression, or `obsm`
        (an embedding of the data).
    source
        Layer or `obsm` key; empty for `X`.
    linear
        Map between genes and components; None for an `obsm` key without loadings.
    centre, spread
        Subtracted from components, then divided by; shape (d,); zeros and ones unless whitened.
    whitened
        Whether `centre` and `spread` were fitted.
    log_base, unit
        Base b of `normalised` values x = log_b(1 + v), and the value v of one count, so that
        components are of log(1 + v / unit); 0 for none.
    target_sum
        Sum of each cell after normalisation; 0 if cells are not normalised.
    n_genes
        Number of genes that the depth of a cell is summed over; 0 if cells are not normalised.
    gene_units
        Value that each gene is divided by before log1p, shape (g,); None for no division.
    """

    kind: str
    source: str
    linear: LinearMap | None
    centre: np.ndarray
    spread: np.ndarray
    whitened: bool = False
    log_base: float = 0.0
    unit: float = 0.0
    target_sum: float = 0.0
    n_genes: int = 0
    gene_units: np.ndarray | None = None

    @property
    def layer(self) -> str | None:
        """Layer of the genes that points are decoded to, or `raw`; None for `X`."""
        return None if self.kind == "obsm" else self.source or None

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
        x, to_log = self._log_scale(adata, self.require_linear().genes)
        return x, functools.partial(self._encode, to_log=to_log)

    def _encode(self, x: Matrix, to_log: Callable[[Matrix], Matrix]) -> np.ndarray:
        x = to_log(x)
        x = change_unit(x, self.log_base, self.unit) if self.log_base else x
        return self.require_linear().encode(x)

    def log_expression(self, adata: AnnData, genes: tuple[str, ...]) -> Matrix:
        """Return the expression of genes, shape (n, g), on the scale that decoding returns.

        Raises
        ------
        InputError
            If genes are missing, or the expression is on another scale than fitted to.
        """
        x, to_log = self._log_scale(adata, genes)
        return to_log(x)

    def _log_scale(
        self, adata: AnnData, genes: tuple[str, ...]
    ) -> tuple[Matrix, Callable[[Matrix], Matrix]]:
        """Return the stored expression, and the function that makes `log_expression` of cells."""
        x = open_expression(adata, self.layer)
        columns = find_genes(adata, self.layer, genes)
        self._check_scale(adata, x)
        if not self.target_sum:
            return x, functools.partial(take_columns, columns=columns)
        units = self._units_of(genes, x, columns)
        return x, functools.partial(
            log_normalise, target_sum=self.target_sum, columns=columns, gene_units=units
        )

    def _units_of(
        self, genes: tuple[str, ...], x: Matrix, columns: np.ndarray
    ) -> np.ndarray | None:
        """Return the value that each gene is divided by; of genes outside the map, read from x."""
        if self.gene_units is None:
            return None
        known = dict(zip(self.require_linear().genes, self.gene_units, strict=True))
        if known.keys() >= set(genes):
            return np.array([known[gene] for gene in genes])
        units = fit_scale(x, self.kind, compute_depths(x)).gene_units
        units = np.ones(len(genes)) if units is None else units[columns]
        return np.array([known.get(gene, unit) for gene, unit in zip(genes, units, strict=True)])

    def _check_scale(self, adata: AnnData, x: Matrix) -> None:
        """Raise an error unless the expression is on the scale fitted to, over as many genes."""
        # Any values may be used as they are, but centred ones are on no other scale.
        centred = self.kind == "other" and (self.require_linear().mean < 0).mean() > _CENTRED
        if centred or self.target_sum or self.log_base:
            kind = detect_kind(adata, x)
            differs = kind != "other" if centred else (kind == "normalised") != bool(self.log_base)
            # A logarithm is taken of counts, which negative values do not have.
            negative = self.target_sum and kind == "other" and any(map_chunks(x, has_negative))
            if differs or negative:
                raise InputError(
                    f"the representation was fitted to expression of kind {self.kind!r}, and this "
                    f"is of kind {kind!r}; run pp.embed and tl.fit again, or use cells whose "
                    f"expression is of kind {self.kind!r}"
                )
        if self.n_genes and x.shape[1] != self.n_genes:
            raise InputError(
                f"the representation normalises cells over {self.n_genes} genes, and the data "
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
                "the representation cannot be decoded to genes; make one that can with pp.embed, "
                "or name genes for gene trends, in data that have their expression in X"
            )
        return self.linear

    def decode(self, points: np.ndarray, columns: Columns = ALL) -> np.ndarray:
        """Return expression (n, g) of points (n, d), on a logarithmic scale.

        It is that of the data if they are log-normalised, else that after normalisation and log1p.
        `columns` are positions of genes of the map; all by default.

        Raises
        ------
        InputError
            See `require_linear`.
        """
        return self.require_linear().decode(points * self.spread + self.centre, columns)

    def decode_velocity(self, velocity: np.ndarray, columns: Columns = ALL) -> np.ndarray:
        """Return velocities of genes (n, g) for velocities of points (n, d), on that scale.

        Raises
        ------
        InputError
            See `require_linear`.
        """
        return self.require_linear().decode_change(velocity * self.spread, columns)

    def describe(self) -> str:
        """Describe the representation in one line."""
        per_cell = f"normalised to {self.target_sum:.6g} per cell"
        in_counts = "in counts, " if self.log_base else ""
        units = "" if self.gene_units is None else ", in counts of each gene"
        is_scaled = self.linear is not None and bool((self.linear.scale != 1).any())
        scaled = "each gene scaled to variance 1, " if is_scaled else ""
        origin = {
            "counts": f"counts: {per_cell}, log1p, PCA",
            "linear": f"values on a linear scale: {per_cell}{units}, log1p, PCA",
            "normalised": f"log-normalised expression: {in_counts}PCA",
            "other": f"other values: {scaled}PCA",
            "obsm": f"obsm[{self.source!r}] as it is",
        }[self.kind]
        genes = f" of {len(self.linear.genes)} genes" if self.kind != "obsm" and self.linear else ""
        whitened = ", whitened" if self.whitened else ""
        return f"{origin}{genes}, {self.n_dims} dimensions{whitened}"


def check_components(fitted: Representation, components: tuple[int, int]) -> None:
    """Raise an error unless the representation has these two dimensions, counted from 0."""
    if any(not 0 <= component < fitted.n_dims for component in components):
        raise InputError(
            f"no components {components}: the representation has dimensions 0 to "
            f"{fitted.n_dims - 1}"
        )
