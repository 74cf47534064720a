"""Decode genes that a representation was not made of, by least squares on its points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from anndata import AnnData
from scipy import sparse

from cellflow.io.matrices import Matrix
from cellflow.representation.chunks import map_chunks
from cellflow.representation.expression import find_genes, read_expression
from cellflow.representation.representation import LinearMap, Representation
from cellflow.representation.scales import to_log_scale
from cellflow.training.devices import cpu_threads


def extend_to_genes(
    fitted: Representation, adata: AnnData, genes: Sequence[str], points: np.ndarray
) -> tuple[Representation, dict[str, float]]:
    """Return a representation that decodes more genes, and how much of their variance it explains.

    A gene outside the representation is regressed on the points of the cells, as principal axes
    are the regression of the genes inside it. Without any map to genes, as of a latent space, the
    expression is that of `X` on a logarithmic scale.

    Parameters
    ----------
    fitted
        The representation.
    adata
        Cells with the expression of the genes.
    genes
        Names in `var_names`; those that it decodes already are left as they are.
    points
        Points of the cells, shape (n, d).

    Raises
    ------
    InputError
        If genes are missing.
    """
    linear = fitted.linear or _without_genes(fitted.n_dims)
    known = set(linear.genes)
    new = tuple(gene for gene in dict.fromkeys(genes) if gene not in known)
    if not new:
        return fitted, {}
    x = _read_genes(fitted, adata, new)
    components = points.astype(np.float64) * fitted.spread + fitted.centre
    mean, slopes, explained = _regress(x, components)
    extended = LinearMap(
        genes=(*linear.genes, *new),
        mean=np.append(linear.mean, mean),
        scale=np.append(linear.scale, np.ones(len(new))),
        loadings=np.vstack([linear.loadings, slopes.T]),
    )
    if linear.decoded_mean is not None and linear.decoded_scale is not None:
        extended = replace(
            extended,
            decoded_mean=np.append(linear.decoded_mean, mean),
            decoded_scale=np.append(linear.decoded_scale, np.ones(len(new))),
        )
    return replace(fitted, linear=extended), dict(zip(new, explained.tolist(), strict=True))


def read_genes(fitted: Representation, adata: AnnData, genes: Sequence[str]) -> np.ndarray:
    """Return the measured expression of genes, shape (n, g), on the scale that decoding returns.

    Parameters
    ----------
    fitted
        The representation; without a map to genes, expression is that of `X` on a logarithmic
        scale.
    adata
        The cells.
    genes
        Names in `var_names`.

    Raises
    ------
    InputError
        If the cells have no expression, or genes are missing.
    """
    x = _read_genes(fitted, adata, tuple(genes))
    return np.concatenate([each.astype(np.float32) for each in map_chunks(x, _to_dense)])


def _without_genes(n_dims: int) -> LinearMap:
    """Return a map to no genes."""
    return LinearMap((), np.zeros(0), np.zeros(0), np.zeros((0, n_dims)))


def _read_genes(fitted: Representation, adata: AnnData, genes: tuple[str, ...]) -> Matrix:
    """Return expression of genes on the scale of the representation, or a logarithmic one."""
    if fitted.linear is not None:
        return fitted.log_expression(adata, genes)
    columns = find_genes(adata, None, genes)
    return to_log_scale(adata, read_expression(adata, None))[:, columns]


@cpu_threads(None)
def _regress(x: Matrix, components: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Regress expression (n, g) on components (n, d) by least squares.

    Returns intercepts (g,), slopes (d, g), and the share of each gene's variance that is explained.
    """
    centre = components.mean(axis=0)
    centred = components - centre
    sums, squares = np.zeros((2, x.shape[1]))
    products, start = np.zeros((components.shape[1], x.shape[1])), 0
    for chunk in map_chunks(x, _to_dense):
        stop = start + len(chunk)
        sums += chunk.sum(axis=0)
        squares += (chunk**2).sum(axis=0)
        products += centred[start:stop].T @ chunk
        start = stop
    slopes = np.linalg.lstsq(centred.T @ centred, products, rcond=None)[0]
    mean = sums / len(components)
    total = squares - len(components) * mean**2
    explained = (slopes * products).sum(axis=0)
    share = np.divide(explained, total, out=np.zeros_like(total), where=total > 0)
    return mean - centre @ slopes, slopes, np.clip(share, 0, 1)


def _to_dense(x: Matrix) -> np.ndarray:
    return np.asarray(x.toarray() if sparse.issparse(x) else x, dtype=np.float64)
