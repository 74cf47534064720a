"""Fit a representation to cells."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from anndata import AnnData

from cellflow._checks import check_finite
from cellflow._errors import CellflowWarning, InputError
from cellflow._log import log_info
from cellflow.io.matrices import Matrix, read_numbers
from cellflow.representation.chunks import (
    Moments,
    map_chunks,
    moments,
    open_expression,
    principal_axes,
)
from cellflow.representation.expression import (
    CONSTANT,
    as_float64,
    check_unique_genes,
    compute_depths,
    gene_table,
    is_counts,
    list_layers,
    read_embedding,
    stored_expression,
    take_columns,
)
from cellflow.representation.kinds import PANEL, detect_kind, has_counts, resolve_kind
from cellflow.representation.representation import LinearMap, Representation
from cellflow.representation.scales import fit_scale
from cellflow.representation.settings import (
    RepresentationSettings,
    check_available,
    name_limit,
    resolve_n_dims,
)
from cellflow.training.devices import cpu_threads

#: Largest number of genes; of more, the most variable are used.
MAX_GENES = 2000

#: Ratio of high to low variances of genes up to which they were scaled to one variance.
_SCALED = 1.5

#: Default number of principal components.
DEFAULT_DIMS = 50


def settings_of(fitted: Representation) -> RepresentationSettings:
    """Return the settings by which a representation can be fitted again to other cells."""
    settings = RepresentationSettings(n_dims=fitted.n_dims, whiten=fitted.whitened)
    if fitted.kind == "obsm":
        return replace(settings, use_rep=fitted.source)
    return replace(settings, layer=fitted.source or None, kind=fitted.kind)


@cpu_threads(None)
def fit_representation(adata: AnnData, settings: RepresentationSettings) -> Representation:
    """Fit a representation to all cells of `adata`.

    Raises
    ------
    InputError
        For missing keys, NaN, an unknown kind, or more dimensions than available.
    """
    check_available(adata, settings)
    if settings.use_rep is None:
        x = open_expression(adata, settings.layer)
        fitted, components = _fit_expression(adata, x, settings)
    else:
        fitted, components = _fit_obsm(adata, settings.use_rep, settings)
    return _whiten(fitted, *components()) if settings.whiten else fitted


#: Function that returns count, mean and variance of the components.
_Components = Callable[[], Moments]


def _fit_expression(
    adata: AnnData, x: Matrix, settings: RepresentationSettings
) -> tuple[Representation, _Components]:
    names = gene_table(adata, settings.layer).index
    check_unique_genes(names)
    seen = _ValueCheck.of(x, adata.obs_names)
    kind = resolve_kind(adata, x, settings.kind, whole=seen.whole)
    if kind != "counts" and settings.layer is None:
        _suggest_counts(adata)
    scale = fit_scale(x, kind, seen.depth)
    if kind != "other" and not seen.depth.all():
        _warn_of_empty_cells(seen.depth)
        x = x[seen.depth != 0]
    stored, x = x, scale.to_log(x)
    genes = _select_genes(x, log_scale=kind != "other")
    x = take_columns(x, genes)
    _, mean, variance = moments(x)
    # Sums of equal numbers may differ in their last digits.
    if not (variance > CONSTANT * (1 + mean**2)).any():
        raise InputError("the expression is the same in all cells; there is nothing to embed")
    n_dims = resolve_n_dims(settings, min(x.shape) - 1, DEFAULT_DIMS, name_limit(x))
    spread = _spread_of_genes(variance, is_panel=kind == "other" and len(names) <= PANEL)
    linear = LinearMap(
        genes=tuple(names[genes]),
        mean=mean,
        scale=spread,
        loadings=principal_axes(x, mean, spread, n_dims),
    )
    if scale.log_base:
        linear = _decode_to(take_columns(stored, genes), x, linear)
    fitted = replace(
        _make_unwhitened(kind, settings.layer or "", linear, n_dims),
        log_base=scale.log_base,
        unit=scale.unit,
        target_sum=scale.target_sum,
        n_genes=len(names) if scale.target_sum else 0,
        gene_units=None if scale.gene_units is None else scale.gene_units[genes],
    )
    return fitted, lambda: moments(x, linear.encode)


def _decode_to(stored: Matrix, x: Matrix, linear: LinearMap) -> LinearMap:
    """Let a map of x decode to the stored values, by a regression of each gene through its mean.

    Decoded means are those of the stored values. The curve between both scales would not give
    them: decoded expression is a mean of cells with and without counts.
    """
    (_, mean, spread), (_, _, variance) = moments(stored), moments(x)
    sums = moments(stored + x)[2]
    covariance = (sums - spread - variance) / 2
    slope = np.divide(covariance, variance, out=np.ones_like(variance), where=variance > CONSTANT)
    return replace(linear, decoded_mean=mean, decoded_scale=linear.scale * slope)


def _spread_of_genes(variance: np.ndarray, *, is_panel: bool) -> np.ndarray:
    """Return the scale of each gene: its standard deviation for a panel, else 1.

    Channels of a panel have arbitrary units. In a transcriptome, scaling gives noise of rare genes
    the weight of signals.
    """
    if not is_panel:
        return np.ones_like(variance)
    return np.sqrt(np.where(variance > 0, variance, 1))


def _fit_obsm(
    adata: AnnData, key: str, settings: RepresentationSettings
) -> tuple[Representation, _Components]:
    values = read_embedding(adata, key)
    n_dims = resolve_n_dims(
        settings, values.shape[1], values.shape[1], f"dimensions of obsm[{key!r}]"
    )
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
        linear=linear,
        centre=np.zeros(n_dims),
        spread=np.ones(n_dims),
    )


def _whiten(
    fitted: Representation, _count: int, centre: np.ndarray, variance: np.ndarray
) -> Representation:
    spread = np.sqrt(variance)
    return replace(fitted, centre=centre, spread=np.where(spread > 0, spread, 1.0), whitened=True)


def kind_of(adata: AnnData, layer: str | None = None) -> str:
    """Return the kind of expression detected in `X` or a layer; `none` without an `X`."""
    if layer is None and (adata.X is None or adata.n_vars == 0):
        return "none"
    return detect_kind(adata, stored_expression(adata, layer))


def _suggest_counts(adata: AnnData) -> None:
    """Report where else in the data counts are stored."""
    for layer in list_layers(adata):
        if has_counts(stored_expression(adata, layer)):
            log_info(f"counts are stored in {layer!r}: layer={layer!r} (--layer {layer}) uses them")
            return


@dataclass(frozen=True)
class _ValueCheck:
    """Properties of the values of an expression matrix.

    Attributes
    ----------
    whole
        Whether all values are whole and non-negative.
    depth
        Sum over genes of each cell, shape (n,).
    """

    whole: bool
    depth: np.ndarray

    @classmethod
    def of(cls, x: Matrix, names: Sequence[str]) -> _ValueCheck:
        """Check all values.

        Raises
        ------
        InputError
            If values are NaN or infinite.
        """
        whole, parts = zip(*map_chunks(x, _check_chunk), strict=True)
        depth = np.concatenate(parts)
        # The sum of a cell is not finite if one of its values is not.
        check_finite(depth, "the expression matrix", names)
        return cls(all(whole), depth)


def _check_chunk(x: Matrix) -> tuple[bool, np.ndarray]:
    return is_counts(x), compute_depths(x)


def _warn_of_empty_cells(depth: np.ndarray) -> None:
    warnings.warn(
        f"{(depth == 0).sum()} of {len(depth)} cells have no counts; the embedding is computed "
        "without them, and they are placed as cells that express nothing, consider removing them",
        CellflowWarning,
        stacklevel=2,
    )


def _select_genes(x: Matrix, *, log_scale: bool) -> np.ndarray:
    """Return the columns to use: all, or the most variable of many."""
    if x.shape[1] <= MAX_GENES:
        return np.arange(x.shape[1])
    if not log_scale:
        return _select_by_variance(moments(x)[2])
    import scanpy as sc

    table = sc.pp.highly_variable_genes(AnnData(x), n_top_genes=MAX_GENES, inplace=False)
    return np.flatnonzero(table["highly_variable"])


def _select_by_variance(variance: np.ndarray) -> np.ndarray:
    """Return the columns of largest variance; all that vary if they were scaled to one variance."""
    varying = np.flatnonzero(variance > CONSTANT)
    low, high = np.quantile(variance[varying], (0.1, 0.9)) if len(varying) else (0, 0)
    if high <= _SCALED * low:
        return varying
    return np.sort(np.argsort(-variance, kind="stable")[:MAX_GENES])


def _read_loadings(adata: AnnData, key: str, values: np.ndarray, n_dims: int) -> LinearMap | None:
    """Return the map of scanpy's loadings for `X_pca`, if they reproduce it from `X`."""
    if key != "X_pca" or "PCs" not in adata.varm or adata.X is None:
        return None
    try:
        loadings = read_numbers(adata, "PCs", "varm").astype(np.float64)[:, :n_dims]
        x = open_expression(adata, None)
    except InputError:  # they were not asked for, so their errors do not matter here
        return None
    linear = LinearMap(
        genes=tuple(adata.var_names),
        mean=moments(x)[1],
        scale=np.ones(adata.n_vars),
        loadings=loadings,
    )
    if loadings.shape[1] == n_dims and _reproduces(linear, x, values[:, :n_dims]):
        return linear
    log_info("varm['PCs'] does not reproduce obsm['X_pca'] from X: predictions cannot be decoded")
    return None


def _reproduces(linear: LinearMap, x: Matrix, values: np.ndarray) -> bool:
    """Report whether the map reproduces these components for all cells."""
    tolerance, start = 1e-3 * values.std(), 0
    for part in map_chunks(x, linear.encode):
        stop = start + len(part)
        if not np.allclose(part, values[start:stop], rtol=1e-3, atol=tolerance):
            return False
        start = stop
    return True
