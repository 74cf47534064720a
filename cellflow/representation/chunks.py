"""Process expression in chunks of cells: in memory, or by Dask if it is large."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial, reduce
from importlib.util import find_spec
from typing import Any

import numpy as np
from anndata import AnnData
from scipy import sparse

from cellflow._errors import InputError
from cellflow._log import log_info, progress_bar
from cellflow.io.matrices import Matrix, check_entries
from cellflow.representation.expression import read_expression, stored_expression

#: Largest expression matrix on disk, in bytes, that is read into memory.
WHOLE = 10**9

#: Rows of a chunk in memory; values of a chunk that Dask reads, counted as dense.
_ROWS, _VALUES = 8_192, 2**21

#: Smallest number of rows of a chunk that Dask reads.
_FEWEST = 1024

#: Seconds to wait for a cluster.
_TIMEOUT = 10

#: Count, mean and variance of each column.
Moments = tuple[int, np.ndarray, np.ndarray]


@contextmanager
def cluster_at(address: str | None) -> Iterator[None]:
    """Let Dask compute on the cluster at `address` inside the block; None changes nothing.

    Raises
    ------
    InputError
        If no cluster answers.
    """
    if address is None:
        yield
        return
    _check_dask()
    from dask.distributed import Client

    try:
        client = Client(address, timeout=_TIMEOUT)
    except (OSError, ValueError) as error:  # unreachable, or not an address
        raise InputError(f"no dask.distributed cluster answers at {address!r}: {error}") from error
    with client:
        yield


def open_expression(adata: AnnData, layer: str | None) -> Matrix:
    """Read expression into memory, or open it as a Dask array if it is large.

    Dask arrays remain Dask arrays. Expression on disk becomes one above 1 GB, or if a
    dask.distributed cluster is in use.

    Raises
    ------
    InputError
        See `read_expression`; also if Dask is not installed, or the matrix is stored by columns.
    """
    x = stored_expression(adata, layer)
    if is_dask(x):
        return _check_chunks(x.rechunk({1: -1}))
    size = 0 if is_in_memory(x) else _size(x)
    if is_in_memory(x) or (size <= WHOLE and _cluster() is None):
        return read_expression(adata, layer)
    _check_dask()
    from anndata.experimental import read_elem_lazy

    if getattr(x, "format", "csr") != "csr":
        raise InputError(
            "the expression matrix is stored by columns (CSC) and cannot be read in chunks of "
            "cells; store it by rows (CSR)"
        )
    rows = _rows(x)
    log_info(f"expression of {size / 1e9:.3g} GB on disk is read {rows:,} cells at a time")
    return _check_chunks(read_elem_lazy(getattr(x, "group", x), chunks=(rows, x.shape[1])))


def _check_chunks(x: Matrix) -> Matrix:
    """Let each chunk of a Dask array be checked when it is computed."""
    return x.map_blocks(_checked, dtype=x.dtype, meta=x._meta)


def _checked(chunk: Matrix) -> Matrix:
    check_entries(chunk, "the expression matrix")
    return chunk


def is_in_memory(x: Matrix) -> bool:
    """Report whether a matrix is in memory, not on disk or a Dask array."""
    return isinstance(x, np.ndarray) or sparse.issparse(x)


def is_dask(x: Matrix) -> bool:
    """Report whether a matrix is a Dask array."""
    return hasattr(x, "dask")


def map_chunks(x: Matrix, function: Callable[[Matrix], Any]) -> Iterator[Any]:
    """Apply `function` to consecutive chunks of the rows of `x`; yield results in order.

    At most as many chunks as Dask has threads are in memory at once; without Dask, one. Progress is
    shown on stderr if it takes more than two seconds.
    """
    n_rows = x.shape[0]
    with progress_bar(n_rows, "expression", "cell") as bar:
        if not is_dask(x):
            step = _rows(x)
            if is_in_memory(x) and n_rows <= step:
                yield function(x)
                return
            for start in range(0, n_rows, step):
                yield function(x[start : start + step])
                bar.update(min(step, n_rows - start))
            return
        import dask

        delayed, task, at_once = x.to_delayed().ravel(), dask.delayed(function), _threads()
        for start in range(0, len(delayed), at_once):
            some = slice(start, start + at_once)
            yield from dask.compute(*(task(chunk) for chunk in delayed[some]))
            bar.update(sum(x.chunks[0][some]))


def replace_values(x: Matrix, function: Callable[[Matrix], Matrix]) -> Matrix:
    """Return a matrix with other values, float64, by a function of rows that stores the same ones.

    In memory it takes chunks of rows in turn, so that what the function holds meanwhile is small.
    """
    if is_dask(x) or x.shape[0] <= _rows(x):
        return function(x)
    x = sparse.csr_matrix(x) if sparse.issparse(x) else x
    values, start = np.empty(x.nnz if sparse.issparse(x) else x.shape), 0
    for part in map_chunks(x, function):
        found = part.data if sparse.issparse(part) else part
        values[start : start + len(found)] = found
        start += len(found)
    if not sparse.issparse(x):
        return values
    return sparse.csr_matrix((values, x.indices.copy(), x.indptr.copy()), x.shape)


def moments(x: Matrix, function: Callable[[Matrix], Matrix] | None = None) -> Moments:
    """Return row count, and mean and variance of each column, of `x` or of `function(x)`."""
    return reduce(_combine_moments, map_chunks(x, _ChunkMoments(function)))


class _ChunkMoments:
    """Moments of one chunk; a class, not a closure, so that other processes can load it."""

    def __init__(self, function: Callable[[Matrix], Matrix] | None) -> None:
        self.function = function

    def __call__(self, x: Matrix) -> Moments:
        x = x if self.function is None else self.function(x)
        mean = np.asarray(x.mean(axis=0, dtype=np.float64)).ravel()
        if sparse.issparse(x):
            square = np.asarray(x.multiply(x).mean(axis=0, dtype=np.float64)).ravel()
            return x.shape[0], mean, np.maximum(square - mean**2, 0)
        return x.shape[0], mean, np.asarray(x, dtype=np.float64).var(axis=0)


def _combine_moments(one: Moments, other: Moments) -> Moments:
    """Combine the moments of two chunks (Chan, Golub and LeVeque 1983)."""
    (n, mean, variance), (m, second, spread) = one, other
    share = m / (n + m)
    apart = second - mean
    within = (1 - share) * variance + share * spread
    return n + m, mean + share * apart, within + share * (1 - share) * apart**2


def principal_axes(x: Matrix, mean: np.ndarray, scale: np.ndarray, n_dims: int) -> np.ndarray:
    """Return loadings (g, d) of (x - mean) / scale, the largest entry of each column positive.

    They are eigenvectors of the covariance. Of sparse values in memory it is multiplied by as many
    vectors as ARPACK asks for. That of chunks, where each pass reads the file, and of dense values,
    where a product costs as much as a pass, is summed over the rows.
    """
    by_vectors = not is_dask(x) and (sparse.issparse(x) or x.shape[0] < x.shape[1])
    axes = (_axes_by_vectors if by_vectors else _axes_by_sums)(x, mean, scale, n_dims)
    largest = axes[np.abs(axes).argmax(axis=0), np.arange(n_dims)]
    return np.ascontiguousarray(axes * np.sign(largest))


def _axes_by_vectors(x: Matrix, mean: np.ndarray, scale: np.ndarray, n_dims: int) -> np.ndarray:
    from scipy.sparse.linalg import LinearOperator, eigsh

    centre = mean / scale

    def multiply(vector: np.ndarray) -> np.ndarray:
        along = x @ (vector / scale) - centre @ vector
        bar.update()
        return np.asarray((x.T @ along) / scale - centre * along.sum())

    n_genes = x.shape[1]
    covariance = LinearOperator((n_genes, n_genes), multiply, dtype=np.float64)
    start = np.random.default_rng(0).uniform(-1, 1, n_genes)
    with progress_bar(None, "principal axes", "product") as bar:
        _, axes = eigsh(covariance, n_dims, v0=start)
    return np.asarray(axes[:, ::-1])


def _axes_by_sums(x: Matrix, mean: np.ndarray, scale: np.ndarray, n_dims: int) -> np.ndarray:
    from scipy.linalg import eigh

    products = np.zeros((x.shape[1], x.shape[1]))
    for chunk in map_chunks(x, partial(_products, mean=mean, scale=scale)):
        products += chunk
        del chunk  # frees it before the next chunks are computed
    last = len(products) - 1
    wanted = (last - n_dims + 1, last)
    # The transpose of the symmetric matrix is in the memory order of LAPACK.
    _, axes = eigh(products.T, subset_by_index=wanted, overwrite_a=True)
    return np.asarray(axes[:, ::-1])


def _products(x: Matrix, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Return the products of the genes over some rows, shape (g, g), centred and scaled."""
    dense = x.toarray() if sparse.issparse(x) else np.asarray(x)
    # Centred before they are multiplied: means may be far larger than spreads.
    dense = (dense.astype(np.float64, copy=False) - mean) / scale
    return dense.T @ dense


def _size(x: Matrix) -> int:
    """Return the size in memory of a matrix on disk, in bytes."""
    if not hasattr(x, "group"):
        return int(np.prod(x.shape) * x.dtype.itemsize)
    return sum(
        int(np.prod(x.group[name].shape) * x.group[name].dtype.itemsize)
        for name in ("data", "indices", "indptr")
    )


def _rows(x: Matrix) -> int:
    """Return the number of rows of a chunk."""
    return _ROWS if is_in_memory(x) else max(_FEWEST, _VALUES // x.shape[1])


def _cluster() -> Any | None:
    """Return the dask.distributed cluster in use, or None."""
    if "distributed" not in sys.modules:
        return None
    from dask.distributed import default_client

    try:
        return default_client()
    except ValueError:
        return None


def _threads() -> int:
    """Return the number of threads of the cluster in use, or of this process."""
    from dask.system import CPU_COUNT

    cluster = _cluster()
    return int(CPU_COUNT) if cluster is None else max(1, sum(cluster.nthreads().values()))


def _check_dask() -> None:
    if any(find_spec(package) is None for package in ("dask", "distributed")):
        raise InputError(
            "processing expression in chunks, or on a cluster, requires Dask: "
            "pip install 'cellflow-snapshots[dask]'"
        )
