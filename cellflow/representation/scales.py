"""Bring expression to a logarithmic scale."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from anndata import AnnData
from scipy import sparse

from cellflow._checks import check_finite
from cellflow._errors import InputError
from cellflow._log import log_info
from cellflow.io.matrices import Matrix
from cellflow.representation.chunks import is_dask, map_chunks, replace_values
from cellflow.representation.expression import compute_depths, take_columns
from cellflow.representation.kinds import (
    WHOLE_SHARE,
    are_multiples,
    detect_kind,
    find_base,
    has_negative,
    list_positive,
    sample_cells,
    unlog,
)
from cellflow.training.devices import cpu_threads

#: Quantiles of the positive values of a gene that are taken as the value of one count in turn: the
#: better the factors of cells are known, the lower.
_UNIT_QUANTILES = (0.25, 0.1, 0.05, 0.02)

#: Multiples under 20 are whole if they are this near to a whole number.
_MAX_MULTIPLE, _NEARLY = 20.0, 0.02


@dataclass(frozen=True)
class ExpressionScale:
    """Scale of expression values, and how they are brought to a logarithmic scale.

    Attributes
    ----------
    kind
        `counts`, `linear` (normalised or corrected counts, such as CPM, TPM, FPKM), `normalised`
        (on a logarithmic scale) or `other`.
    log_base, unit
        Base b of values that are log_b(1 + v), and the value v of one count: they become
        log(1 + v / unit). Zeros for others.
    target_sum
        Sum of each cell before log1p; 0 if cells are not normalised.
    gene_units
        Value that each gene is divided by before log1p, so that one count is 1: shape (g,), or
        None. Values divided by gene length (FPKM) have another unit for each gene.
    """

    kind: str
    log_base: float = 0.0
    unit: float = 0.0
    target_sum: float = 0.0
    gene_units: np.ndarray | None = None

    def to_log(self, x: Matrix) -> Matrix:
        """Return expression (n, g) on a logarithmic scale; `x` itself if it stays as it is."""
        if self.log_base:
            change = functools.partial(change_unit, base=self.log_base, unit=self.unit)
        elif self.target_sum:
            change = functools.partial(
                log_normalise, target_sum=self.target_sum, gene_units=self.gene_units
            )
        else:
            return x
        return replace_values(x, change)


def fit_scale(x: Matrix, kind: str, depth: np.ndarray) -> ExpressionScale:
    """Return the scale of values of a kind.

    Counts are normalised to their median sum. Linear values are too, but in units of one count
    where whole multiples show them to be scaled counts: log1p then treats them as it does counts.

    Parameters
    ----------
    x
        The expression, (n, g).
    kind
        Its kind.
    depth
        Sum over genes of each cell, shape (n,).

    Raises
    ------
    InputError
        If values of counts or on a linear scale are negative, or all are zero.
    """
    if kind == "normalised":
        return _fit_log_scale(sample_cells(x))
    if kind == "other":
        return ExpressionScale(kind)
    if any(map_chunks(x, has_negative)):
        raise InputError(
            f"kind {kind!r} requires values of zero or more, and there are negative ones; choose "
            "another kind or layer"
        )
    if not depth.any():
        raise InputError("no cell has any counts; there is nothing to embed")
    median = float(np.median(depth[depth > 0]))
    if kind == "counts":
        return ExpressionScale(kind, target_sum=median)
    part = sample_cells(x)
    if are_multiples(part):
        return ExpressionScale(kind, target_sum=_count_multiples(part))
    return ExpressionScale(kind, target_sum=median, gene_units=_gene_units(part, median))


def decoded_scale(adata: AnnData, x: Matrix) -> ExpressionScale:
    """Return the scale that brings expression (n, g) to that of decoded expression.

    It leaves values on a logarithmic scale as they are, and is that of `pp.embed` for others.
    """
    kind = detect_kind(adata, x)
    depth = np.concatenate(list(map_chunks(x, compute_depths)))
    # The sum of a cell is not finite if one of its values is not; Dask arrays were not checked yet.
    check_finite(depth, "the expression matrix", adata.obs_names)
    if kind == "linear":
        log_info("expression is on a linear scale: it is normalised and log-transformed")
    if kind == "normalised" or (kind == "counts" and not depth.any()):
        return ExpressionScale("normalised")
    return fit_scale(x, kind, depth)


def to_log_scale(adata: AnnData, x: Matrix) -> Matrix:
    """Return expression in memory, (n, g), on the logarithmic scale of decoded expression."""
    return decoded_scale(adata, x).to_log(x)


@cpu_threads(None)
def log_normalise(
    x: Matrix,
    target_sum: float,
    columns: np.ndarray | None = None,
    gene_units: np.ndarray | None = None,
) -> Matrix:
    """Scale each cell to `target_sum`, divide genes by their unit, then log(1 + x), as scanpy does.

    Cells without expression stay zero.

    Parameters
    ----------
    x
        Expression over all genes, (n, g).
    target_sum
        Sum of each cell.
    columns
        Columns to return, k of them; None returns all.
    gene_units
        Unit of each returned gene, shape (k,); None is 1.
    """
    import scanpy as sc

    x = _scale_cells(x.astype(np.float64), target_sum)
    x = x if columns is None else take_columns(x, columns)
    work = AnnData(x if gene_units is None else _divide_genes(x, gene_units))
    sc.pp.log1p(work)
    return work.X


def change_unit(x: Matrix, base: float, unit: float) -> Matrix:
    """Return log(1 + v / unit) of x = log(1 + v) to a base."""
    if is_dask(x):
        change = functools.partial(change_unit, base=base, unit=unit)
        return x.map_blocks(change, dtype=np.float64)
    linear = unlog(x, base) / unit
    return linear.log1p() if sparse.issparse(linear) else np.log1p(linear)


def _scale_cells(x: Matrix, target_sum: float) -> Matrix:
    """Scale each cell to a sum.

    scanpy.pp.normalize_total warns of empty cells, of which fitting has warned already; a filter of
    warnings would hold for all threads that work on chunks.
    """
    if is_dask(x):
        return x.map_blocks(functools.partial(_scale_cells, target_sum=target_sum), dtype=x.dtype)
    depth = compute_depths(x)
    factors = np.divide(target_sum, depth, out=np.ones_like(depth), where=depth > 0)
    if sparse.issparse(x):
        return sparse.csr_matrix(sparse.diags(factors) @ x)
    return x * factors[:, None]


def _divide_genes(x: Matrix, units: np.ndarray) -> Matrix:
    if is_dask(x):
        return x.map_blocks(functools.partial(_divide_genes, units=units), dtype=x.dtype)
    return sparse.csr_matrix(x @ sparse.diags(1 / units)) if sparse.issparse(x) else x / units


def _count_multiples(x: Matrix) -> float:
    """Return the median sum of cells in units of their smallest value."""
    return float(np.median([row.sum() / row.min() for row in list_positive(x)]))


def _fit_log_scale(x: Matrix) -> ExpressionScale:
    """Return the scale of log-normalised values, in counts where they show these.

    As they are, noise of single counts would weigh the more, the more a cell was normalised to.
    """
    base = find_base(x)
    linear = unlog(x, base) if base else x
    if not (base and are_multiples(linear)):
        return ExpressionScale("normalised")
    unit = float(np.median([row.min() for row in list_positive(linear)]))
    return ExpressionScale("normalised", log_base=base, unit=unit)


def _gene_units(x: Matrix, target_sum: float) -> np.ndarray | None:
    """Return the value of one count of each gene, at least 1; None if values are not of counts.

    A value is a whole count times a factor of its cell and a unit of its gene. Most small counts
    are one, so low quantiles find factors and units in turn. They are right if nearly all values
    become whole multiples.
    """
    depth = compute_depths(x)
    entries = sparse.coo_matrix(x)
    values, cells, genes = entries.data, entries.row, entries.col
    factors = depth / target_sum
    units = _quantiles_by(values / factors[cells], genes, x.shape[1], _UNIT_QUANTILES[0])
    for quantile in _UNIT_QUANTILES:
        factors = _quantiles_by(values / units[genes], cells, x.shape[0], _UNIT_QUANTILES[0])
        units = _quantiles_by(values / factors[cells], genes, x.shape[1], quantile)
    multiples = values / (factors[cells] * units[genes])
    small = multiples[multiples < _MAX_MULTIPLE]
    if (np.abs(small - np.round(small)) < _NEARLY).mean() < WHOLE_SHARE:
        return None
    scaled = depth > 0
    units *= np.median(factors[scaled] * target_sum / depth[scaled])
    return np.maximum(units, 1)


def _quantiles_by(values: np.ndarray, groups: np.ndarray, n: int, quantile: float) -> np.ndarray:
    """Return a quantile of the positive values of each of n groups; 1 for groups without."""
    positive = values > 0
    values, groups = values[positive], groups[positive]
    ordered = values[np.lexsort((values, groups))]
    counts = np.bincount(groups, minlength=n)
    rank = np.floor(quantile * np.maximum(counts - 1, 0)).astype(np.int64)
    found = np.ones(n)
    found[counts > 0] = ordered[(np.cumsum(counts) - counts + rank)[counts > 0]]
    return found
