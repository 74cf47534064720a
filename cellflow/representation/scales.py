"""Recognise the scale of expression values, and bring them to a logarithmic scale."""

from __future__ import annotations

import functools
import warnings
from dataclasses import dataclass

import numpy as np
from anndata import AnnData
from scipy import sparse

from cellflow._errors import CellflowWarning, InputError
from cellflow._log import log_info
from cellflow.representation.chunks import is_dask, map_chunks, moments
from cellflow.representation.expression import Matrix, check_indices, compute_depths, is_counts
from cellflow.training.devices import cpu_threads

#: Largest number of features of a panel, of proteins for example; transcriptomes have more.
PANEL = 200

#: Largest value on a logarithmic scale: log2 of a million is 20.
_MAX_LOG = 20.0

#: Number of cells that the scale is recognised from, evenly spaced over the data.
_SAMPLE = 1000

#: Relative spread of the sums of cells under which these were normalised to one sum.
_SAME_SUM = 0.02

#: Share of values that must be whole multiples of the smallest value of their cell.
_WHOLE_SHARE = 0.95

#: Largest count; larger multiples, of tiny estimates, are whole by rounding only.
_MAX_COUNT = 1e6

#: Smallest number of positive values to recognise counts from.
_MIN_VALUES = 100

#: Smallest number of cells with a gene to read the unit of its counts from.
_MIN_CELLS = 10

#: Quantiles of the positive values of a gene that are taken as the value of one count in turn: the
#: better the factors of cells are known, the lower.
_UNIT_QUANTILES = (0.25, 0.1, 0.05, 0.02)

#: Multiples under 20 are whole if they are this near to a whole number.
_MAX_MULTIPLE, _NEARLY = 20.0, 0.02

#: Values on a linear scale, for messages.
_LINEAR = "such as CPM, TPM, FPKM or corrected counts"


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
            return change_unit(x, self.log_base, self.unit)
        if self.target_sum:
            return log_normalise(x, self.target_sum, gene_units=self.gene_units)
        return x


def detect_kind(adata: AnnData, x: Matrix, *, whole: bool | None = None) -> str:
    """Return the kind of expression values.

    Whole, non-negative numbers are `counts`. Other non-negative values are `linear` if cells have
    one sum or consist of multiples of one value. They are `normalised` if their `expm1` has one
    sum, or if they are at most 20 and scanpy's log1p is recorded in `uns`, or their noise is that
    of logarithms; else `linear`. Negative values are `other`, and so are panels of up to 200
    features without one of the first signs.

    Parameters
    ----------
    adata
        Annotated data matrix, for the record of log1p.
    x
        The expression, (n, g).
    whole
        Whether all values are whole and non-negative; None looks at some cells.
    """
    if has_counts(x) if whole is None else whole:
        return "counts"
    part = _sample(x)
    lowest, largest = float(part.min()), float(part.max())
    if lowest < 0:
        return "other"
    base = _find_base(part)
    if base is not None:
        return "normalised" if base else "linear"
    fits_log = largest <= _MAX_LOG
    is_marked = fits_log and "log1p" in adata.uns
    if part.shape[1] <= PANEL and not is_marked:
        return "other"
    return "normalised" if is_marked or (fits_log and not _noise_rises(part)) else "linear"


def has_counts(x: Matrix) -> bool:
    """Report whether the values of some cells, evenly spaced over the data, are counts."""
    return is_counts(_sample(x))


def fit_scale(x: Matrix, kind: str, depth: np.ndarray) -> ExpressionScale:
    """Return the scale of values of a kind.

    Counts are normalised to their median sum. Linear values are too, but in units of one count
    where their noise shows them to be scaled counts: log1p then treats them as it does counts.

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
        return _fit_log_scale(_sample(x))
    if kind == "other":
        return ExpressionScale(kind)
    if any(map_chunks(x, _has_negative)):
        raise InputError(
            f"kind {kind!r} requires values of zero or more, and there are negative ones; choose "
            "another kind or layer"
        )
    if not depth.any():
        raise InputError("no cell has any counts; there is nothing to embed")
    median = float(np.median(depth[depth > 0]))
    if kind == "counts":
        return ExpressionScale(kind, target_sum=median)
    part = _sample(x)
    if _are_multiples(part):
        return ExpressionScale(kind, target_sum=_count_multiples(part))
    return ExpressionScale(kind, target_sum=median, gene_units=_gene_units(part, median))


def resolve_kind(adata: AnnData, x: Matrix, kind: str, *, whole: bool | None = None) -> str:
    """Return the kind, detected if it is `auto`, and warn where values need a word."""
    if kind != "auto":
        return kind
    kind = detect_kind(adata, x, whole=whole)
    if kind == "linear":
        warnings.warn(
            f"expression is not whole numbers and not on a logarithmic scale (largest value "
            f"{float(_sample(x).max()):.6g}), {_LINEAR}: it is normalised and log-transformed; "
            "kind='linear' (--kind linear) confirms this, kind='other' uses the values as they are",
            CellflowWarning,
            stacklevel=2,
        )
    if kind == "other" and x.shape[1] <= PANEL and not any(map_chunks(x, _has_negative)):
        log_info(
            f"{x.shape[1]} features are read as a panel of any values; if they are counts or "
            "log-normalised, say so with kind='counts' or 'normalised' (--kind)"
        )
    return kind


def to_log_scale(adata: AnnData, x: Matrix) -> Matrix:
    """Return expression in memory, (n, g), on the logarithmic scale of decoded expression.

    It is that of the values if they are on one, else that of `pp.embed`.
    """
    kind, depth = detect_kind(adata, x), compute_depths(x)
    if kind == "linear":
        log_info("expression is on a linear scale: it is normalised and log-transformed")
    if kind == "normalised" or (kind == "counts" and not depth.any()):
        return x
    return fit_scale(x, kind, depth).to_log(x)


@cpu_threads(None)
def log_normalise(
    x: Matrix,
    target_sum: float,
    columns: np.ndarray | None = None,
    gene_units: np.ndarray | None = None,
) -> Matrix:
    """Scale each cell to `target_sum`, divide genes by their unit, then log(1 + x), by scanpy.

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

    work = AnnData(x.astype(np.float64))
    with warnings.catch_warnings():
        # Fitting already warns about empty cells.
        warnings.filterwarnings("ignore", message="Some cells have zero counts")
        sc.pp.normalize_total(work, target_sum=target_sum)
    x = work.X if columns is None else work.X[:, columns]
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


def unlog(x: Matrix, base: float) -> Matrix:
    """Return linear values v of x = log(1 + v) to a base."""
    scaled = x.astype(np.float64) * np.log(base)
    return scaled.expm1() if sparse.issparse(scaled) else np.expm1(scaled)


def _divide_genes(x: Matrix, units: np.ndarray) -> Matrix:
    if is_dask(x):
        return x.map_blocks(functools.partial(_divide_genes, units=units), dtype=x.dtype)
    return sparse.csr_matrix(x @ sparse.diags(1 / units)) if sparse.issparse(x) else x / units


def _sample(x: Matrix) -> Matrix:
    """Return the expression of some cells, in memory, float64; CSR if sparse."""
    step = max(1, x.shape[0] // _SAMPLE)
    part = x[::step][:_SAMPLE]
    part = part.compute() if is_dask(part) else part
    check_indices(part, "the expression matrix")
    return (sparse.csr_matrix(part) if sparse.issparse(part) else np.asarray(part)).astype(
        np.float64
    )


def _has_negative(x: Matrix) -> bool:
    return bool((x.data if sparse.issparse(x) else x).min(initial=0) < 0)


def _spread_of_sums(x: Matrix) -> float:
    """Return the relative standard deviation of the sums of cells that express anything."""
    depth = compute_depths(x)
    depth = depth[depth > 0]
    return float(depth.std() / depth.mean()) if len(depth) > 1 else np.inf


def _rows_of(x: Matrix) -> list[np.ndarray]:
    """Return the positive values of each cell that has any."""
    rows = np.split(x.data, x.indptr[1:-1]) if sparse.issparse(x) else list(x)
    positive = [row[row > 0] for row in rows]
    return [row for row in positive if len(row)]


def _are_multiples(x: Matrix) -> bool:
    """Report whether values are whole multiples of the smallest value of their cell: counts."""
    whole = total = 0
    for row in _rows_of(x):
        multiples = row / row.min()
        multiples = multiples[multiples < _MAX_COUNT]
        whole += int((np.abs(multiples - np.round(multiples)) < 1e-3).sum())
        total += len(row)
    return total >= _MIN_VALUES and whole >= _WHOLE_SHARE * total


def _noise_rises(x: Matrix) -> bool:
    """Report whether the variance per mean rises with the mean of genes.

    It does for counts, by Poisson noise and overdispersion, and falls for their logarithms.
    """
    cells = (x > 0).sum(axis=0)
    x = x[:, np.flatnonzero(np.asarray(cells).ravel() >= _MIN_CELLS)]
    if x.shape[1] < PANEL:
        return False
    _, mean, variance = moments(x)
    by_mean = (variance / mean)[np.argsort(mean, kind="stable")]
    n = len(by_mean)
    return bool(np.median(by_mean[-(n // 20) :]) > np.median(by_mean[n // 4 : n // 2]))


def _count_multiples(x: Matrix) -> float:
    """Return the median sum of cells in units of their smallest value."""
    return float(np.median([row.sum() / row.min() for row in _rows_of(x)]))


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
    if (np.abs(small - np.round(small)) < _NEARLY).mean() < _WHOLE_SHARE:
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


def _fit_log_scale(x: Matrix) -> ExpressionScale:
    """Return the scale of log-normalised values, in counts where they show these.

    As they are, noise of single counts would weigh the more, the more a cell was normalised to.
    """
    base = _find_base(x)
    linear = unlog(x, base) if base else x
    if not (base and _are_multiples(linear)):
        return ExpressionScale("normalised")
    unit = float(np.median([row.min() for row in _rows_of(linear)]))
    return ExpressionScale("normalised", log_base=base, unit=unit)


def _find_base(x: Matrix) -> float | None:
    """Return the base of the logarithm of values of cells with one sum, or of scaled counts.

    It is 0 for values on a linear scale, None if no sign shows it.
    """
    values = {0.0: x}
    if x.max() <= _MAX_LOG:
        values |= {base: unlog(x, base) for base in (np.e, 2.0, 10.0)}
    spreads = {base: _spread_of_sums(linear) for base, linear in values.items()}
    base = min(spreads, key=spreads.__getitem__)
    if spreads[base] <= _SAME_SUM:
        return base
    return next((base for base, linear in values.items() if _are_multiples(linear)), None)
