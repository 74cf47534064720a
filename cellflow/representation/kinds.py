"""Recognise kinds of expression: counts, values on a linear or a logarithmic scale, or others."""

from __future__ import annotations

import warnings

import numpy as np
from anndata import AnnData
from scipy import sparse

from cellflow._errors import CellflowWarning, InputError
from cellflow._log import log_info
from cellflow.io.matrices import Matrix, read_rows
from cellflow.representation.chunks import map_chunks, moments
from cellflow.representation.expression import compute_depths, is_counts

#: Largest number of features of a panel, of proteins for example; transcriptomes have more.
PANEL = 200

#: Largest value on a logarithmic scale: log2 of a million is 20.
_MAX_LOG = 20.0

#: Number of cells that the scale is recognised from, evenly spaced over the data.
_SAMPLE = 1000

#: Relative spread of the sums of cells under which these were normalised to one sum.
_SAME_SUM = 0.02

#: Share of values that must be whole multiples of the smallest value of their cell.
WHOLE_SHARE = 0.95

#: Largest count; larger multiples, of tiny estimates, are whole by rounding only.
_MAX_COUNT = 1e6

#: Smallest number of positive values to recognise counts from.
_MIN_VALUES = 100

#: Share of negative values under which whole numbers are taken for damaged counts.
_FEW_NEGATIVE = 0.01

#: Smallest number of cells with a gene to compare its noise with its mean.
_MIN_CELLS = 10


def detect_kind(adata: AnnData, x: Matrix, *, whole: bool | None = None) -> str:
    """Return the kind of expression values.

    Whole, non-negative numbers are `counts`. Other non-negative values are `linear` if cells have
    one sum or consist of multiples of one value, and `normalised` if that holds for the numbers
    that they are logarithms of, to base e, 2 or 10. They are `normalised` too if they are at most
    20 and scanpy's log1p is recorded in `uns`, or their noise is that of logarithms; else `linear`.
    Negative values are `other`, and so are panels of up to 200 features without one of these signs.

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
    part = sample_cells(x)
    lowest, largest = float(part.min()), float(part.max())
    if lowest < 0:
        return "other"
    base = find_base(part)
    if base is not None:
        return "normalised" if base else "linear"
    fits_log = largest <= _MAX_LOG
    is_marked = fits_log and "log1p" in adata.uns
    if part.shape[1] <= PANEL and not is_marked:
        return "other"
    return "normalised" if is_marked or (fits_log and not _noise_rises(part)) else "linear"


def resolve_kind(adata: AnnData, x: Matrix, kind: str, *, whole: bool | None = None) -> str:
    """Return the kind, detected if it is `auto`, and warn where values need a word."""
    if kind != "auto":
        return kind
    kind = detect_kind(adata, x, whole=whole)
    if kind in ("linear", "other"):
        _check_negative_counts(x)
    if kind == "linear":
        warnings.warn(
            "expression is not whole numbers and not on a logarithmic scale (values up to "
            f"{sample_cells(x).max():.6g}), such as CPM, TPM, FPKM or corrected counts: it is "
            "normalised and log-transformed; "
            "kind='linear' (--kind linear) confirms this, kind='other' uses the values as they are",
            CellflowWarning,
            stacklevel=2,
        )
    if kind == "other" and x.shape[1] <= PANEL and not any(map_chunks(x, has_negative)):
        log_info(
            f"{x.shape[1]} features are read as a panel of any values; if they are counts or "
            "log-normalised, say so with kind='counts' or 'normalised' (--kind)"
        )
    return kind


def _check_negative_counts(x: Matrix) -> None:
    """Raise `InputError` for whole numbers of which a few are negative."""
    part = sample_cells(x)
    values = part.data if sparse.issparse(part) else part[part != 0]
    few = len(values) >= _MIN_VALUES and (values < 0).mean() < _FEW_NEGATIVE
    if not (few and (values == np.round(values)).all()):
        return
    lowest = min(map_chunks(x, lambda rows: float(rows.min())))
    if lowest < 0:
        raise InputError(
            "expression consists of whole numbers, as counts do, but a few are negative "
            f"({lowest:g}): correct them, leave these cells out, or use all values as they are "
            "with kind='other' (--kind other)"
        )


def has_counts(x: Matrix) -> bool:
    """Report whether the values of some cells, evenly spaced over the data, are counts."""
    return is_counts(sample_cells(x))


def has_negative(x: Matrix) -> bool:
    """Report whether any value is below zero."""
    return bool((x.data if sparse.issparse(x) else x).min(initial=0) < 0)


def sample_cells(x: Matrix) -> Matrix:
    """Return the expression of some cells, in memory, float64; CSR if sparse."""
    part = read_rows(x, "the expression matrix", slice(None, None, -(-x.shape[0] // _SAMPLE)))
    return (sparse.csr_matrix(part) if sparse.issparse(part) else np.asarray(part)).astype(
        np.float64
    )


def find_base(x: Matrix) -> float | None:
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
    return next((base for base, linear in values.items() if are_multiples(linear)), None)


def are_multiples(x: Matrix) -> bool:
    """Report whether values are whole multiples of the smallest value of their cell: counts."""
    whole = total = 0
    for row in list_positive(x):
        multiples = row / row.min()
        multiples = multiples[multiples < _MAX_COUNT]
        whole += int((np.abs(multiples - np.round(multiples)) < 1e-3).sum())
        total += len(row)
    return total >= _MIN_VALUES and whole >= WHOLE_SHARE * total


def list_positive(x: Matrix) -> list[np.ndarray]:
    """Return the positive values of each cell that has any."""
    rows = np.split(x.data, x.indptr[1:-1]) if sparse.issparse(x) else list(x)
    positive = [row[row > 0] for row in rows]
    return [row for row in positive if len(row)]


def unlog(x: Matrix, base: float) -> Matrix:
    """Return linear values v of x = log(1 + v) to a base."""
    scaled = x.astype(np.float64) * np.log(base)
    return scaled.expm1() if sparse.issparse(scaled) else np.expm1(scaled)


def _spread_of_sums(x: Matrix) -> float:
    """Return the relative standard deviation of the sums of cells that express anything."""
    depth = compute_depths(x)
    depth = depth[depth > 0]
    return float(depth.std() / depth.mean()) if len(depth) > 1 else np.inf


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
