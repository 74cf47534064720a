"""Check matrices of an AnnData before anything is computed with them.

SciPy trusts the positions of the entries of a sparse matrix: wrong ones crash the process or give
numbers from elsewhere in its memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from cellflow._checks import format_list
from cellflow._errors import InputError
from cellflow._files import reraise_as_file_error

#: All rows.
ALL = slice(None)

#: A matrix in memory or on disk, dense or sparse, or a Dask array.
Matrix = Any

#: Slots with matrices of cells, or of genes.
Slot = Literal["obsm", "varm"]


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


def read_stored(adata: AnnData, key: str, slot: Slot = "obsm") -> Matrix:
    """Return a key of `obsm` or `varm` in memory: an array, a sparse matrix or a table.

    Raises
    ------
    InputError
        If there is no such key, or it is damaged.
    """
    members, name = getattr(adata, slot), f"{slot}[{key!r}]"
    if key not in members:
        raise InputError(f"no {slot} key {key!r}; there are: {format_list(members) or 'none'}")
    check_entries(getattr(unsliced(adata), slot)[key], name)
    return read_rows(members[key], name)


def read_numbers(adata: AnnData, key: str, slot: Slot = "obsm") -> np.ndarray:
    """Return a key of `obsm` or `varm` as a dense matrix of numbers, (n, d), in its own precision.

    Raises
    ------
    InputError
        See `read_stored`; also if it is not numeric, or has no columns.
    """
    values = read_stored(adata, key, slot)
    values = values.toarray() if sparse.issparse(values) else np.asarray(values)
    check_is_matrix(values, f"{slot}[{key!r}]")
    if values.dtype.kind not in "biuf":
        raise InputError(f"{slot}[{key!r}] must have numbers, got values of type {values.dtype}")
    return values


def check_is_matrix(values: Matrix, name: str) -> None:
    """Raise `InputError` unless values have two axes, cells and one dimension or more."""
    if len(values.shape) != 2 or not values.shape[1]:
        raise InputError(
            f"{name} must be a matrix of cells by dimensions, got the shape {values.shape}"
        )


def layer_names(adata: AnnData) -> list[str]:
    """Return the names of the layers, without X, which AnnData 0.13 lists as the layer None."""
    return [key for key in adata.layers if key is not None]


def take_cells(adata: AnnData, rows: np.ndarray | None) -> AnnData:
    """Return a view of some cells, by a mask or row numbers; None returns all of them.

    Raises
    ------
    InputError
        If `raw`, whose rows are copied at once, is damaged.
    """
    if rows is None:
        return adata
    if adata.raw is None:
        return adata[rows]
    check_entries(adata.raw.X, "raw")
    with reraise_as_file_error("raw cannot be read"):
        return adata[rows]


def unsliced(adata: AnnData) -> AnnData:
    """Return the AnnData that a view is of, whose matrices are not sliced when they are used."""
    return adata._adata_ref if adata.is_view else adata


def read_rows(matrix: Matrix, name: str, rows: slice = ALL) -> Matrix:
    """Return rows of a matrix in memory: read from disk, or computed by Dask.

    Raises
    ------
    FileError
        If they cannot be read from disk.
    InputError
        If entries of a sparse matrix are outside its shape.
    """
    in_memory = isinstance(matrix, np.ndarray | pd.DataFrame) or sparse.issparse(matrix)
    if rows == ALL and in_memory:
        return matrix
    with reraise_as_file_error(f"{name} cannot be read"):
        part = matrix[rows]
        part = part.compute() if hasattr(part, "compute") else part
    check_entries(part, name)
    return part


def _iter_expression(adata: AnnData) -> Iterator[tuple[str, Matrix]]:
    if adata.X is not None:
        yield "X", adata.X
    for key in layer_names(adata):
        yield f"layer {key!r}", adata.layers[key]
    if adata.raw is not None:
        yield "raw", adata.raw.X


def _are_no_bounds(bounds: np.ndarray, n_entries: int) -> bool:
    """Return whether row bounds do not start at 0, fall, or end beyond the entries."""
    # Differences of large bounds may overflow.
    falls = bool((bounds[1:] < bounds[:-1]).any())
    return int(bounds[0]) != 0 or falls or int(bounds[-1]) > n_entries
