"""Check sparse matrices that were read from files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from anndata import AnnData
from scipy import sparse

from cellflow._errors import InputError


def check_sparse(matrix: Any, where: str) -> None:
    """Raise an error for a sparse matrix with row or column numbers that it does not have.

    SciPy does not check them when it reads or multiplies a matrix, and crashes the process.
    Other arrays pass.

    Raises
    ------
    InputError
        If the matrix is damaged.
    """
    if not (sparse.issparse(matrix) and matrix.format in ("csr", "csc")):
        return
    try:
        matrix.check_format(full_check=True)
    except ValueError as error:
        raise InputError(f"{where} is damaged: {error}") from error


def check_matrices(adata: AnnData) -> None:
    """Check all sparse matrices of an AnnData in memory; see `check_sparse`."""
    for where, matrix in _list_matrices(adata):
        check_sparse(matrix, where)


def _list_matrices(adata: AnnData) -> Iterator[tuple[str, Any]]:
    yield "X", adata.X
    if adata.raw is not None:
        yield "raw.X", adata.raw.X
    for name in ("layers", "obsm", "varm", "obsp", "varp"):
        for key, matrix in getattr(adata, name).items():
            yield f"{name}[{key!r}]", matrix
