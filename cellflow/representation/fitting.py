"""Fitting a representation to cells."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from anndata import AnnData
from scipy import sparse

from cellflow._checks import check_choice, check_finite, check_positive
from cellflow._errors import CellflowWarning, InputError
from cellflow._log import log_info
from cellflow.methods.names import EXPRESSION_KINDS
from cellflow.representation.chunks import (
    Moments,
    is_dask,
    map_chunks,
    moments,
    open_expression,
    principal_axes,
)
from cellflow.representation.expression import (
    CONSTANT,
    Matrix,
    as_float64,
    compute_depths,
    is_counts,
    read_embedding,
    stored_expression,
)
from cellflow.representation.representation import LinearMap, Representation, log_normalise
from cellflow.training.devices import cpu_threads

#: Above this many genes, only as many of the most variable are used.
MAX_GENES = 2000

#: Principal components where the caller does not say how many.
DEFAULT_DIMS = 50


@dataclass(frozen=True)
class RepresentationSettings:
    """What a caller asks of a representation.

    Attributes
    ----------
    use_rep
        An `obsm` key to take as it is; None embeds expression.
    layer
        Layer with the expression; None takes `X`.
    kind
        What the expression is; `auto` looks.
    n_dims
        Dimensions to keep, exactly.
    max_dims
        Dimensions to keep at most where `n_dims` is None; None keeps all of an `obsm`, and 50
        components of expression.
    whiten
        Scale each dimension to variance one.
    """

    use_rep: str | None = None
    layer: str | None = None
    kind: str = "auto"
    n_dims: int | None = None
    max_dims: int | None = None
    whiten: bool = False


@cpu_threads(None)
def fit_representation(adata: AnnData, settings: RepresentationSettings) -> Representation:
    """Fit a representation to all cells of `adata`.

    Raises
    ------
    InputError
        For missing keys, NaN, an unknown kind, or more dimensions than there are.
    """
    check_choice(settings.kind, EXPRESSION_KINDS, "kind of expression")
    if settings.n_dims is not None:
        check_positive(settings.n_dims, "n_dims")
    if settings.use_rep is None:
        x = open_expression(adata, settings.layer)
        fitted, components = _fit_expression(adata, x, settings)
    elif settings.layer is not None or settings.kind != "auto":
        raise InputError("use_rep takes an embedding as it is; layer and kind do not apply to it")
    else:
        fitted, components = _fit_obsm(adata, settings.use_rep, settings)
    return _whiten(fitted, *components()) if settings.whiten else fitted


#: Gives count, mean and variance of components.
_Components = Callable[[], Moments]


def _fit_expression(
    adata: AnnData, x: Matrix, settings: RepresentationSettings
) -> tuple[Representation, _Components]:
    if not adata.var_names.is_unique:
        raise InputError("gene names repeat; call adata.var_names_make_unique() first")
    seen = _ValueCheck.of(x, adata.obs_names)
    kind = _detect_kind(adata, seen.whole) if settings.kind == "auto" else settings.kind
    target_sum = 0.0
    if kind == "counts":
        target_sum = _target_sum(seen)
        x = log_normalise(x, target_sum)
    genes = _select_genes(x, log_scale=kind != "other")
    x = x[:, genes]
    _, mean, variance = moments(x)
    # Sums of equal numbers differ in their last digits.
    if not (variance > CONSTANT * (1 + mean**2)).any():
        raise InputError("the expression is the same in all cells; there is nothing to embed")
    scale = np.ones_like(mean) if kind == "counts" else np.sqrt(np.where(variance > 0, variance, 1))
    n_dims = _resolve_n_dims(settings, min(x.shape) - 1, DEFAULT_DIMS, "expression")
    linear = LinearMap(
        genes=tuple(adata.var_names[genes]),
        mean=mean,
        scale=scale,
        loadings=_principal_axes(x, mean, scale, n_dims),
    )
    fitted = _make_unwhitened(kind, settings.layer or "", linear, n_dims)
    if kind == "counts":
        fitted = replace(fitted, target_sum=target_sum, n_genes=adata.n_vars)
    return fitted, lambda: moments(x, linear.encode)


def _fit_obsm(
    adata: AnnData, key: str, settings: RepresentationSettings
) -> tuple[Representation, _Components]:
    values = read_embedding(adata, key)
    n_dims = _resolve_n_dims(settings, values.shape[1], values.shape[1], f"obsm[{key!r}]")
    linear = _read_loadings(adata, key, values, n_dims)
    return _make_unwhitened("obsm", key, linear, n_dims), lambda: moments(
        values[:, :n_dims], as_float64
    )


def _make_unwhitened(
    kind: str, source: str, linear: LinearMap | None, n_dims: int
) -> Representation:
    return Representation(
        kind=kind,
        source=source,
        target_sum=0.0,
        n_genes=0,
        linear=linear,
        centre=np.zeros(n_dims),
        spread=np.ones(n_dims),
        whitened=False,
    )


def _whiten(
    fitted: Representation, _count: int, centre: np.ndarray, variance: np.ndarray
) -> Representation:
    spread = np.sqrt(variance)
    return replace(fitted, centre=centre, spread=np.where(spread > 0, spread, 1.0), whitened=True)


def _detect_kind(adata: AnnData, whole: bool) -> str:
    """Kind of expression: counts by their values; scanpy leaves a mark when it takes logarithms."""
    if whole:
        return "counts"
    return "normalised" if "log1p" in adata.uns else "other"


def kind_of(adata: AnnData) -> str:
    """What `X` is taken for, in words; none where there is no expression matrix."""
    if adata.X is None or adata.n_vars == 0:
        return "none"
    return _detect_kind(adata, all(map_chunks(stored_expression(adata, None), is_counts)))


@dataclass(frozen=True)
class _ValueCheck:
    """What the values of an expression matrix are like.

    Attributes
    ----------
    whole
        Whether all are whole and none is negative.
    depth
        Their sum in each cell, shape (n,).
    """

    whole: bool
    depth: np.ndarray

    @classmethod
    def of(cls, x: Matrix, names: Sequence[str]) -> _ValueCheck:
        """Look at all of them.

        Raises
        ------
        InputError
            If some are NaN or infinite.
        """
        whole, parts = zip(*map_chunks(x, _check_chunk), strict=True)
        depth = np.concatenate(parts)
        # The sum of a cell is no number where one of its values is none.
        check_finite(depth, "the expression matrix", names)
        return cls(all(whole), depth)


def _check_chunk(x: Matrix) -> tuple[bool, np.ndarray]:
    return is_counts(x), compute_depths(x)


def _target_sum(seen: _ValueCheck) -> float:
    """Median depth of the cells that have any counts; tells how many have none."""
    if not seen.whole:
        raise InputError("kind 'counts' needs whole, non-negative numbers; these are not")
    depth = seen.depth
    if empty := int((depth == 0).sum()):
        if empty == len(depth):
            raise InputError("no cell has any counts")
        warnings.warn(
            f"{empty} of {len(depth)} cells have no counts; they are embedded as cells that "
            "express nothing, consider removing them",
            CellflowWarning,
            stacklevel=2,
        )
    return float(np.median(depth[depth > 0]))


def _select_genes(x: Matrix, *, log_scale: bool) -> np.ndarray:
    """Columns to use: all, or the most variable where there are many on a logarithmic scale."""
    if x.shape[1] <= MAX_GENES or not log_scale:
        return np.arange(x.shape[1])
    import scanpy as sc

    table = sc.pp.highly_variable_genes(AnnData(x), n_top_genes=MAX_GENES, inplace=False)
    return np.flatnonzero(table["highly_variable"])


def _principal_axes(x: Matrix, mean: np.ndarray, scale: np.ndarray, n_dims: int) -> np.ndarray:
    """Loadings (g, d) of the scaled matrix, by scanpy where it is in memory."""
    if is_dask(x):
        return principal_axes(x, mean, scale, n_dims)
    import scanpy as sc

    scaled = x @ sparse.diags(1 / scale) if sparse.issparse(x) else x / scale
    work = AnnData(scaled)
    sc.pp.pca(work, n_comps=n_dims, random_state=0, dtype="float64")
    return np.asarray(work.varm["PCs"], dtype=np.float64)


def _resolve_n_dims(
    settings: RepresentationSettings, available: int, default: int, where: str
) -> int:
    """Dimensions to keep of those available."""
    if available < 1:
        raise InputError(f"{where} is too small to embed")
    if settings.n_dims is None:
        return min(settings.max_dims or default, available)
    if settings.n_dims > available:
        raise InputError(
            f"n_dims {settings.n_dims} is more than the {available} dimensions of {where}"
        )
    return settings.n_dims


def _read_loadings(adata: AnnData, key: str, values: np.ndarray, n_dims: int) -> LinearMap | None:
    """Loadings that scanpy left for `X_pca`, where they still reproduce it from `X`."""
    if key != "X_pca" or "PCs" not in adata.varm or adata.X is None:
        return None
    loadings = np.asarray(adata.varm["PCs"], dtype=np.float64)[:, :n_dims]
    try:
        x = open_expression(adata, None)
    except InputError:  # X is not what was asked for, so its faults are none here
        return None
    linear = LinearMap(
        genes=tuple(adata.var_names),
        mean=moments(x)[1],
        scale=np.ones(adata.n_vars),
        loadings=loadings,
    )
    if loadings.shape[1] == n_dims and _reproduces(linear, x, values[:, :n_dims]):
        return linear
    log_info(
        "varm['PCs'] does not reproduce obsm['X_pca'] from X: predictions stay in the embedding"
    )
    return None


def _reproduces(linear: LinearMap, x: Matrix, values: np.ndarray) -> bool:
    """Whether the map gives these components for all cells."""
    tolerance, start = 1e-3 * values.std(), 0
    for part in map_chunks(x, linear.encode):
        stop = start + len(part)
        if not np.allclose(part, values[start:stop], rtol=1e-3, atol=tolerance):
            return False
        start = stop
    return True
