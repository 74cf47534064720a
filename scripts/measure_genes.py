"""Measure how well genes outside a representation are decoded by regression on its points.

    CELLFLOW_DATA=/folder/of/data python scripts/measure_genes.py

The cells of the worm data are halved at random, three times. One half makes the representation, of
2,000 of 7,360 genes, and the regression; the other half is decoded from its points. Prints the root
mean square error of the means of genes per time, over genes that 5 % of the cells express, inside
and outside the representation; beside those of the mean of all times of the first half, and of its
means per time, which is about what sampling alone costs. Embeddings without a map to genes are made
of ten dimensions, and all genes are outside. Needs umap-learn.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import umap
from anndata import AnnData

from cellflow.representation import (
    Representation,
    RepresentationSettings,
    extend_to_genes,
    fit_representation,
)

#: Share of the cells that must express a gene.
EXPRESSED = 0.05

#: Points of both halves to points of an embedding.
Embedding = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def embed_umap(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a UMAP of one half, and the places of the other in it."""
    fitted = umap.UMAP(random_state=0).fit(one)
    return fitted.embedding_, fitted.transform(other)


#: Dimensions, and embedding of each case; None for the representation itself.
CASES: dict[str, tuple[int, Embedding | None]] = {
    "10 dimensions": (10, None),
    "50 dimensions": (50, None),
    "tanh of 10 dimensions": (10, lambda *points: (np.tanh(points[0]), np.tanh(points[1]))),
    "UMAP of 10 dimensions": (10, embed_umap),
}


def expression(fitted: Representation, adata: AnnData) -> pd.DataFrame:
    """Return expression on the scale that decoding returns, with times as the index."""
    x = fitted.log_expression(adata, tuple(adata.var_names))
    return pd.DataFrame(np.asarray(x.todense()), adata.obs["time"], adata.var_names)


def errors(one: AnnData, other: AnnData, n_dims: int, embedding: Embedding | None) -> pd.DataFrame:
    """Return the squared errors of each gene, and whether it is inside the representation."""
    fitted = fit_representation(one, RepresentationSettings(n_dims=n_dims, whiten=True))
    first, second = expression(fitted, one), expression(fitted, other)
    genes = list(first.columns[(first > 0).mean() > EXPRESSED])
    first, truth = first[genes], second[genes].groupby(level=0).mean()
    inside = pd.Index(genes).isin(fitted.require_linear().genes)
    points, others = fitted.transform(one), fitted.transform(other)
    if embedding is not None:
        points, others = embedding(points, others)
        n_dims, inside = points.shape[1], np.zeros(len(genes), dtype=bool)
        plain = {"kind": "obsm", "centre": np.zeros(n_dims), "spread": np.ones(n_dims)}
        fitted = replace(fitted, linear=None, whitened=False, **plain)
    extended, _ = extend_to_genes(fitted, one, genes, points)
    names = list(extended.require_linear().genes)
    decoded = pd.DataFrame(extended.decode(others), second.index, names)[genes]
    guesses = {
        "decoded": decoded.groupby(level=0).mean(),
        "mean of all times": pd.DataFrame([first.mean()] * len(truth), truth.index),
        "other half": first.groupby(level=0).mean(),
    }
    squares = {name: ((guess - truth) ** 2).mean() for name, guess in guesses.items()}
    return pd.DataFrame(squares).assign(inside=inside)


def main() -> None:
    """Print the errors of each case."""
    adata = anndata.read_h5ad(Path(os.environ["CELLFLOW_DATA"]) / "worm_amphid_packer.h5ad")
    for name, case in CASES.items():
        tables = []
        for seed in range(3):
            half = np.random.default_rng(seed).random(adata.n_obs) < 0.5
            tables.append(errors(adata[half].copy(), adata[~half].copy(), *case))
        groups = pd.concat(tables).groupby("inside")
        print(name)
        print(groups.mean().pow(0.5).assign(genes=groups.size() // 3).round(4).to_string())


if __name__ == "__main__":
    main()
