"""Check matrices of an AnnData before anything is computed with them.

SciPy trusts the positions of the entries of a sparse matrix: wrong ones crash the process or give
numbers from elsewhere in its memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from cellflow._checks import format_list
from cellflow._errors import InputError

#: A matrix in memory or on disk, dense or sparse, or a Dask array.
Matrix = Any


def check_matrices(adata: AnnData) -> None:
    """Check all matrices of an AnnData; of those on disk, what can be checked without reading them.

    Raises
    ------
    InputError
        If `X`, a layer or `raw` holds no numbers, or a sparse matrix is damaged.
    """
    for name, matrix in _iter_expression(adata):
        check_matrix(matrix, name)
    for slot in ("obsm", "varm", "obsp", "varp"):
        for key, matrix in getattr(adata, slot).items():
            check_entries(matrix, f"{slot}[{key!r}]")


def check_matrix(matrix: Matrix, name: str) -> None:
    """Raise `InputError` unless a matrix has two axes and holds numbers; see `check_entries`."""
    if len(matrix.shape) != 2 or matrix.dtype.kind not in "biuf":
        raise InputError(
            f"{name} must be a matrix of numbers, got values of type {matrix.dtype} and the shape "
            f"{matrix.shape}"
        )
    check_entries(matrix, name)


def check_entries(matrix: Matrix, name: str) -> None:
    """Raise `InputError` if entries of a sparse matrix are outside its rows and columns.

    Of a matrix on disk, only the numbers of entries are read; check its parts when they are read.
    Other matrices pass.
    """
    on_disk = hasattr(matrix, "group")
    if not (on_disk or sparse.issparse(matrix)):
        return
    if matrix.format not in ("csr", "csc"):
        raise InputError(f"{name} is sparse in the format {matrix.format!r}; convert it to CSR")
    by_row = matrix.format == "csr"
    n_lines, size = matrix.shape if by_row else matrix.shape[::-1]
    line, place = ("row", "column") if by_row else ("column", "row")
    names = ("indptr", "indices", "data")
    bounds, indices, data = (
        matrix.group[name] if on_disk else getattr(matrix, name) for name in names
    )
    problem = None
    if any(each.dtype.kind not in "iu" for each in (bounds, indices)):
        problem = "positions of entries are not whole numbers"
    elif bounds.shape != (n_lines + 1,) or len(indices.shape) != 1 or indices.shape != data.shape:
        problem = f"its arrays do not have the sizes of {n_lines} {line}s"
    elif _are_no_bounds(bounds[:], indices.shape[0]):
        problem = f"the numbers of entries of its {line}s do not add up"
    elif not on_disk and indices.size:
        low, high = int(indices.min()), int(indices.max())
        if low < 0 or high >= size:
            outside = low if low < 0 else high
            problem = f"it has an entry at {place} {outside}, and there are {size}"
    if problem is not None:
        raise InputError(f"{name} is damaged: {problem}; write it again")


def read_obsm(adata: AnnData, key: str) -> Matrix:
    """Return an `obsm` key in memory, as stored: an array, a sparse matrix or a table.

    Raises
    ------
    InputError
        If there is no such key, or it is damaged.
    """
    if key not in adata.obsm:
        raise InputError(f"no obsm key {key!r}; there are: {format_list(adata.obsm) or 'none'}")
    check_entries(unsliced(adata).obsm[key], f"obsm[{key!r}]")
    values = to_memory(adata.obsm[key])
    check_entries(values, f"obsm[{key!r}]")
    return values if sparse.issparse(values) or isinstance(values, pd.DataFrame) else values[:]


def read_numbers(adata: AnnData, key: str) -> np.ndarray:
    """Return an `obsm` key as a dense matrix of numbers in memory, (n, d), in its own precision.

    Raises
    ------
    InputError
        See `read_obsm`; also if it is not numeric, or has no columns.
    """
    values = read_obsm(adata, key)
    values = values.toarray() if sparse.issparse(values) else np.asarray(values)
    check_is_matrix(values, key)
    if values.dtype.kind not in "biuf":
        raise InputError(f"obsm[{key!r}] must have numbers, got values of type {values.dtype}")
    return values


def check_is_matrix(values: Matrix, key: str) -> None:
    """Raise `InputError` unless an `obsm` entry has two axes, cells and one dimension or more."""
    if len(values.shape) != 2 or not values.shape[1]:
        raise InputError(
            f"obsm[{key!r}] must be a matrix of cells by dimensions, got the shape {values.shape}"
        )


def take_cells(adata: AnnData, rows: np.ndarray | None) -> AnnData:
    """Return a view of some cells, by a mask or row numbers; None returns all of them.

    Raises
    ------
    InputError
        If `raw`, whose rows are copied at once, is damaged.
    """
    if rows is None:
        return adata
    if adata.raw is not None:
        check_entries(adata.raw.X, "raw")
    return adata[rows]


def unsliced(adata: AnnData) -> AnnData:
    """Return the AnnData that a view is of, whose matrices are not sliced when they are used."""
    return adata._adata_ref if adata.is_view else adata


def to_memory(matrix: Matrix) -> Matrix:
    """Read a matrix on disk, and compute a Dask array; others are returned as they are."""
    for read in ("compute", "to_memory"):
        matrix = getattr(matrix, read)() if hasattr(matrix, read) else matrix
    return matrix


def _iter_expression(adata: AnnData) -> Iterator[tuple[str, Matrix]]:
    if adata.X is not None:
        yield "X", adata.X
    for key, layer in adata.layers.items():
        yield f"layer {key!r}", layer
    if adata.raw is not None:
        yield "raw", adata.raw.X


def _are_no_bounds(bounds: np.ndarray, n_entries: int) -> bool:
    """Return whether row bounds do not start at 0, fall, or end beyond the entries."""
    # Differences of large bounds may overflow.
    falls = bool((bounds[1:] < bounds[:-1]).any())
    return int(bounds[0]) != 0 or falls or int(bounds[-1]) > n_entries
