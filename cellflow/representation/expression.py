"""Read and check the expression matrices and embeddings of an AnnData."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from anndata import AnnData, Raw
from scipy import sparse

from cellflow._checks import check_finite, format_list
from cellflow._errors import InputError
from cellflow._keys import embedding_keys
from cellflow.io.matrices import (
    Matrix,
    check_matrix,
    layer_names,
    read_numbers,
    read_rows,
    unsliced,
)

#: Largest coordinate allowed, so that squared distances fit into single precision.
LARGEST = 1e15

#: Variance, relative to the squared mean, below which a gene counts as constant (rounding).
CONSTANT = 1e-12


#: Name by which the expression in `raw` is chosen as a layer.
RAW = "raw"


def stored_expression(adata: AnnData, layer: str | None, *, or_embedding: bool = True) -> Matrix:
    """Return `X`, a layer or `raw` as stored, (n, g): in memory, on disk, or a Dask array.

    Parameters
    ----------
    adata
        The cells.
    layer
        Layer, or `raw`; None for `X`.
    or_embedding
        Offer an embedding in its place in the message on a missing matrix.

    Raises
    ------
    InputError
        If the layer does not exist, holds no numbers or is damaged, or there are no genes.
    """
    if adata.is_view:
        _stored(unsliced(adata), layer)
    x = _stored(adata, layer)
    if x is None or adata.n_vars == 0:
        problem = (
            "X is empty, so there is no expression matrix; choose a layer (--layer), there are: "
            f"{format_list(list_layers(adata)) or 'none'}"
        )
        if not or_embedding:
            raise InputError(problem)
        raise InputError(
            f"{problem}, or an embedding with use_rep (--use-rep), there "
            f"are: {format_list(embedding_keys(adata.obsm)) or 'none'}"
        )
    return x


def _stored(adata: AnnData, layer: str | None) -> Matrix | None:
    """Return checked expression as stored; None without an `X`."""
    x = adata.layers[layer] if layer in adata.layers else _source_of(adata, layer).X
    if x is not None:
        check_matrix(x, describe_layer(layer))
    return x


def describe_layer(layer: str | None) -> str:
    """Name `X`, a layer or `raw` in messages."""
    return "the expression matrix" if layer is None else f"layer {layer!r}"


def gene_table(adata: AnnData, layer: str | None) -> pd.DataFrame:
    """Return the table of the genes of `X`, a layer or `raw`, which may have more of them.

    Columns that `raw` lacks are those of `var`, for the genes of both.
    """
    table, var = _source_of(adata, layer).var, adata.var
    if table is var or not (table.index.is_unique and var.index.is_unique):
        return table
    others = reindex_genes(var[[name for name in var if name not in table]], table.index)
    return pd.concat([table, others], axis=1)


def check_unique_genes(names: pd.Index) -> None:
    """Raise `InputError` if names of genes repeat."""
    if not names.is_unique:
        repeated = format_list(names[names.duplicated()].unique())
        raise InputError(f"gene names repeat: {repeated}; call adata.var_names_make_unique() first")


def reindex_genes(table: pd.DataFrame, genes: Sequence[str]) -> pd.DataFrame:
    """Return the rows of a table for genes, in their order; missing values for unknown genes."""
    if not set(genes) <= set(table.index):
        # Columns of yes and no, such as highly_variable, stay so where values are missing.
        flags = [name for name in table if pd.api.types.is_bool_dtype(table[name])]
        table = table.astype(dict.fromkeys(flags, "boolean"))
    return table.reindex(list(genes))


def describe_raw(adata: AnnData, layer: str | None) -> str:
    """Return a hint that `raw` has more genes than `X`, to end a sentence on missing genes."""
    if layer is not None or adata.raw is None or adata.raw.n_vars <= adata.n_vars:
        return ""
    return f"; raw has {adata.raw.n_vars} genes: layer='raw' (--layer raw) uses them"


def _source_of(adata: AnnData, layer: str | None) -> AnnData | Raw:
    """Return the object that holds a layer: `adata`, or its `raw`.

    Raises
    ------
    InputError
        If the layer does not exist.
    """
    if layer is None or layer in adata.layers:
        return adata
    if layer == RAW and adata.raw is not None:
        return adata.raw
    known = format_list(list_layers(adata))
    raise InputError(f"no layer {layer!r}; there are: {known or 'none'}")


def list_layers(adata: AnnData) -> list[str]:
    """Return the names of the layers, `raw` among them if there is one."""
    return [*layer_names(adata), *([RAW] if adata.raw is not None else [])]


def read_expression(adata: AnnData, layer: str | None) -> Matrix:
    """Read `X` or a layer into memory, (n, g); CSR if sparse.

    Raises
    ------
    InputError
        See `stored_expression`; also for NaN or infinite values.
    """
    x = read_rows(stored_expression(adata, layer), describe_layer(layer))
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
    values = read_numbers(adata, key)
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


def take_columns(x: Matrix, columns: np.ndarray) -> Matrix:
    """Return some columns of a matrix, not a copy if they are all of it in order."""
    return x if np.array_equal(columns, np.arange(x.shape[1])) else x[:, columns]


def find_genes(adata: AnnData, layer: str | None, genes: tuple[str, ...]) -> np.ndarray:
    """Return the columns of the named genes in `X`, a layer or `raw`, in that order.

    Raises
    ------
    InputError
        If some of them are missing, or names of genes repeat.
    """
    table = gene_table(adata, layer)
    check_unique_genes(table.index)
    columns = table.index.get_indexer(pd.Index(genes))
    if (columns < 0).any():
        missing = [gene for gene, column in zip(genes, columns, strict=True) if column < 0]
        raise InputError(
            f"{len(missing)} of the {len(genes)} genes of the representation are missing: "
            f"{format_list(missing)}{_find_column(table, missing)}"
        )
    return columns


def _find_column(table: pd.DataFrame, genes: Sequence[str]) -> str:
    """Return a hint on the column of `var` that has most of the missing genes, if there is one."""
    for name in table:
        if pd.Index(genes).isin(table[name].astype(str)).mean() > 0.5:
            return (
                f"; var[{name!r}] has them: the flow was fitted to genes of these names, so set "
                f"adata.var_names = adata.var[{name!r}]"
            )
    return ""
