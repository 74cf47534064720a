"""Measure how well genes outside a representation are decoded by regression on its points.

    CELLFLOW_DATA=/folder/of/data python scripts/measure_genes.py

The cells of the worm data are halved at random, three times. One half makes the representation, of
2,000 of 7,360 genes, and the regression; the other half is decoded from its points. Prints the root
mean square error of the means of genes per time, over genes that 5 % of the cells express, inside
and outside the representation; beside those of the mean of all times of the first half, and of its
means per time, which is about what sampling alone costs.
"""

from __future__ import annotations

import os
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
from anndata import AnnData

from cellflow.representation import (
    Representation,
    RepresentationSettings,
    extend_to_genes,
    fit_representation,
)

#: Share of the cells that must express a gene.
EXPRESSED = 0.05


def expression(fitted: Representation, adata: AnnData) -> pd.DataFrame:
    """Return expression on the scale that decoding returns, with times as the index."""
    x = fitted.log_expression(adata, tuple(adata.var_names))
    return pd.DataFrame(np.asarray(x.todense()), adata.obs["time"], adata.var_names)


def errors(one: AnnData, other: AnnData, n_dims: int) -> pd.DataFrame:
    """Return the errors of each gene, with whether it is inside the representation."""
    fitted = fit_representation(one, RepresentationSettings(n_dims=n_dims))
    first, second = expression(fitted, one), expression(fitted, other)
    genes = list(first.columns[(first > 0).mean() > EXPRESSED])
    first, truth = first[genes], second[genes].groupby(level=0).mean()
    extended = extend_to_genes(fitted, one, genes, fitted.transform(one))
    decoded = extended.decode(fitted.transform(other))
    table = pd.DataFrame(decoded, second.index, list(extended.require_linear().genes))[genes]
    flat = pd.DataFrame([first.mean()] * len(truth), truth.index)
    guesses = {
        "decoded": table.groupby(level=0).mean(),
        "mean of all times": flat,
        "other half": first.groupby(level=0).mean(),
    }
    squares = {name: ((guess - truth) ** 2).mean() for name, guess in guesses.items()}
    inside = pd.Index(genes).isin(fitted.require_linear().genes)
    return pd.DataFrame(squares).assign(inside=inside)


def main() -> None:
    """Print the errors with 10 and 50 dimensions."""
    adata = anndata.read_h5ad(Path(os.environ["CELLFLOW_DATA"]) / "worm_amphid_packer.h5ad")
    for n_dims in (10, 50):
        tables = []
        for seed in range(3):
            half = np.random.default_rng(seed).random(adata.n_obs) < 0.5
            tables.append(errors(adata[half].copy(), adata[~half].copy(), n_dims))
        groups = pd.concat(tables).groupby("inside")
        print(f"{n_dims} dimensions")
        print(groups.mean().pow(0.5).assign(genes=groups.size() // 3).round(4).to_string())


if __name__ == "__main__":
    main()
