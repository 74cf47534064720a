"""Read and check the expression matrices and embeddings of an AnnData."""

from __future__ import annotations

from typing import Any

import numpy as np
from anndata import AnnData
from scipy import sparse

from cellflow._checks import check_finite, format_list
from cellflow._errors import InputError

#: A dense or sparse matrix of cells by genes.
Matrix = Any

#: Largest coordinate allowed, so that squared distances fit into single precision.
LARGEST = 1e15

#: Variance, relative to the squared mean, below which a gene counts as constant (rounding).
CONSTANT = 1e-12


def stored_expression(adata: AnnData, layer: str | None) -> Matrix:
    """Return `X` or a layer as stored, (n, g): in memory, on disk, or a Dask array.

    Raises
    ------
    InputError
        If the layer does not exist, or there are no genes.
    """
    if layer is not None and layer not in adata.layers:
        raise InputError(f"no layer {layer!r}; there are: {format_list(adata.layers) or 'none'}")
    x = adata.X if layer is None else adata.layers[layer]
    if x is None or adata.n_vars == 0:
        raise InputError(
            f"the data have no expression matrix to embed; choose an embedding with use_rep, there "
            f"are: {format_list(adata.obsm) or 'none'}"
        )
    return x


def read_expression(adata: AnnData, layer: str | None) -> Matrix:
    """Read `X` or a layer into memory, (n, g); CSR if sparse.

    Raises
    ------
    InputError
        See `stored_expression`; also for NaN or infinite values.
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
    """Read an `obsm` key into memory, (n, d), in its own precision.

    Raises
    ------
    InputError
        If the key does not exist, is not a numeric matrix, or has NaN or infinite values.
    """
    if key not in adata.obsm:
        raise InputError(f"no obsm key {key!r}; there are: {format_list(adata.obsm) or 'none'}")
    values = adata.obsm[key]
    values = values.to_memory() if hasattr(values, "to_memory") else values
    values = values.toarray() if sparse.issparse(values) else np.asarray(values)
    if values.ndim != 2 or values.dtype.kind not in "iuf" or not values.shape[1]:
        raise InputError(
            f"obsm[{key!r}] must be a numeric matrix of cells by dimensions, got shape "
            f"{values.shape} of {values.dtype}"
        )
    check_finite(values, f"obsm[{key!r}]", adata.obs_names)
    # Half precision cannot represent the limit.
    if values.dtype != np.float16 and (far := np.abs(values) > LARGEST).any():
        rows = np.flatnonzero(far.any(axis=1))
        raise InputError(
            f"obsm[{key!r}] has values beyond {LARGEST:g} in {len(rows)} of {len(values)} cells "
            f"(first: {adata.obs_names[rows[0]]}), whose squares overflow single "
            "precision; rescale them"
        )
    return values


def as_float64(x: np.ndarray) -> np.ndarray:
    """Convert to float64."""
    return x.astype(np.float64)


def is_counts(x: Matrix) -> bool:
    """Report whether all values are whole and non-negative."""
    values = x.data if sparse.issparse(x) else x
    return bool((values >= 0).all() and (values == np.round(values)).all())


def compute_depths(x: Matrix) -> np.ndarray:
    """Return the sum over genes of each cell, shape (n,), float64."""
    # Sums of counts overflow half precision.
    return np.asarray(x.sum(axis=1, dtype=np.float64)).ravel()


def find_genes(adata: AnnData, genes: tuple[str, ...]) -> np.ndarray:
    """Return the columns of the named genes, in that order.

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
