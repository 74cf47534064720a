"""The numbers of an AnnData that a representation starts from."""

from __future__ import annotations

from typing import Any

import numpy as np
from anndata import AnnData
from scipy import sparse

from cellflow._checks import check_finite, format_list
from cellflow._errors import InputError

#: A dense or sparse matrix of cells by genes.
Matrix = Any

#: Of coordinates; squares of distances are to fit into single precision.
LARGEST = 1e15

#: Variance, in units of the squared mean, that rounding makes.
CONSTANT = 1e-12


def stored_expression(adata: AnnData, layer: str | None) -> Matrix:
    """Cells by genes as they stand in `X` or a layer: in memory, on disk, or a Dask array.

    Raises
    ------
    InputError
        If there is no such layer, or no genes.
    """
    if layer is not None and layer not in adata.layers:
        raise InputError(f"no layer {layer!r}; there are: {format_list(adata.layers) or 'none'}")
    x = adata.X if layer is None else adata.layers[layer]
    if x is None or adata.n_vars == 0:
        raise InputError(
            f"the data has no expression matrix to embed; name an embedding with use_rep, there "
            f"are: {format_list(adata.obsm) or 'none'}"
        )
    return x


def read_expression(adata: AnnData, layer: str | None) -> Matrix:
    """Cells by genes, from `X` or a layer, in memory; CSR where sparse.

    Raises
    ------
    InputError
        As `stored`, and for a NaN or infinite value.
    """
    x = stored_expression(adata, layer)
    for read in ("compute", "to_memory"):
        x = getattr(x, read)() if hasattr(x, read) else x
    if not sparse.issparse(x):
        x = np.asarray(x)
        check_finite(x, "the expression matrix", adata.obs_names)
        return x
    x = sparse.csr_matrix(x)
    if not np.isfinite(x.data).all():
        check_finite(x.toarray(), "the expression matrix", adata.obs_names)
    return x


def read_embedding(adata: AnnData, key: str) -> np.ndarray:
    """Cells by dimensions from `obsm`, in memory, in the precision that they have there.

    Raises
    ------
    InputError
        If there is no such key, it is no table of numbers, or it has NaN or infinite values.
    """
    if key not in adata.obsm:
        raise InputError(f"no obsm key {key!r}; there are: {format_list(adata.obsm) or 'none'}")
    values = adata.obsm[key]
    values = values.to_memory() if hasattr(values, "to_memory") else values
    values = values.toarray() if sparse.issparse(values) else np.asarray(values)
    if values.ndim != 2 or values.dtype.kind not in "iuf" or not values.shape[1]:
        raise InputError(f"obsm[{key!r}] is no table of numbers: {values.shape}, {values.dtype}")
    check_finite(values, f"obsm[{key!r}]", adata.obs_names)
    # Half precision holds nothing that large, not even the limit.
    if values.dtype != np.float16 and (far := np.abs(values) > LARGEST).any():
        rows = np.flatnonzero(far.any(axis=1))
        raise InputError(
            f"obsm[{key!r}] has values beyond {LARGEST:g} in {len(rows)} of {len(values)} cells "
            f"(first: {adata.obs_names[rows[0]]}), whose squares single precision does not hold"
        )
    return values


def as_float64(x: np.ndarray) -> np.ndarray:
    """The same numbers in float64."""
    return x.astype(np.float64)


def is_counts(x: Matrix) -> bool:
    """Whether all values are whole and none is negative."""
    values = x.data if sparse.issparse(x) else x
    return bool((values >= 0).all() and (values == np.round(values)).all())


def compute_depths(x: Matrix) -> np.ndarray:
    """Sum of the values of each cell, shape (n,), float64."""
    # In half precision sums of counts go beyond the largest number.
    return np.asarray(x.sum(axis=1, dtype=np.float64)).ravel()


def find_genes(adata: AnnData, genes: tuple[str, ...]) -> np.ndarray:
    """Columns of the named genes, in that order.

    Raises
    ------
    InputError
        If some of them are missing.
    """
    columns = adata.var_names.get_indexer(list(genes))
    if (columns < 0).any():
        missing = [gene for gene, column in zip(genes, columns, strict=True) if column < 0]
        raise InputError(
            f"{len(missing)} of the {len(genes)} genes of the representation are missing: "
            f"{format_list(missing)}"
        )
    return columns
