"""Genes whose mean expression differs between conditions."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import stats

from cellflow.io import GeneNames
from cellflow.io.matrices import Matrix
from cellflow.representation.chunks import moments
from cellflow.representation.expression import (
    CONSTANT,
    describe_raw,
    gene_table,
    read_expression,
)
from cellflow.representation.scales import to_log_scale
from cellflow.tl._condition_pairs import ConditionPairs, Samples


def compare_genes(
    adata: AnnData,
    found: ConditionPairs,
    *,
    genes: str | Sequence[str] | None,
    gene_symbols: str | None,
    layer: str | None,
    n_top: int | None,
) -> pd.DataFrame:
    """Return a row for each condition, time and gene; see `tl.compare`."""
    names = GeneNames.read(gene_table(adata, layer), gene_symbols)
    columns = names.find_all(genes, hint=describe_raw(adata, layer))
    values = to_log_scale(adata, read_expression(adata, layer))
    values = values if genes is None else values[:, columns]
    by_replicates = found.replicate_key is not None
    tables = [
        _test_genes(values, sides, by_replicates).assign(
            condition=pair.condition,
            reference=pair.reference,
            time=time,
            gene=names.labels[columns],
        )
        for pair in found.pairs
        for time, sides in pair.samples.items()
    ]
    table = pd.concat(tables, ignore_index=True)
    table["size"] = table["effect"].abs()
    order = ["condition", "time"]
    for name in ("condition", "gene"):
        table[name] = pd.Categorical(table[name], categories=table[name].unique())
    table = table.sort_values(
        [*order, "p", "size"], ascending=[True, True, True, False], ignore_index=True
    )
    if n_top is not None:
        table = table.groupby(order, observed=True, sort=False).head(n_top).reset_index(drop=True)
    table["condition"], table["gene"] = table["condition"].astype(str), table["gene"].astype(str)
    chosen = ["condition", "reference", "time", "gene", "mean", "mean_reference", "difference",
              "effect", "p", "q", "units", "n", "n_reference"]  # fmt: skip
    return names.add_ids(found.add_unit(table[chosen]))


def _test_genes(
    values: Matrix, sides: tuple[Samples, Samples], by_replicates: bool
) -> pd.DataFrame:
    """Test each gene at one time by Welch's t test of cells, or of the means of replicates."""
    first, second = (_read_moments(values, side, by_replicates) for side in sides)
    (n, mean, between, within), (m, other, between_other, within_other) = second, first
    difference, spread = mean - other, np.sqrt((within + within_other) / 2)
    varies = spread**2 > CONSTANT * (1 + mean**2)
    p, q, effect = np.full((3, len(mean)), np.nan)
    effect[varies] = difference[varies] / spread[varies]
    if min(n, m) > 1:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            p[varies] = stats.ttest_ind_from_stats(
                mean[varies],
                np.sqrt(between[varies]),
                n,
                other[varies],
                np.sqrt(between_other[varies]),
                m,
                equal_var=False,
            ).pvalue
    # Of one time: pooled, many genes that differ late would let false ones in at early times.
    if (tested := np.isfinite(p)).any():
        q[tested] = stats.false_discovery_control(p[tested])
    return pd.DataFrame(
        {
            "mean": mean,
            "mean_reference": other,
            "difference": difference,
            "effect": effect,
            "p": p,
            "q": q,
            "units": "replicates" if by_replicates else "cells",
            "n": n,
            "n_reference": m,
        }
    )


def _read_moments(
    values: Matrix, samples: Samples, by_replicates: bool
) -> tuple[int, np.ndarray, np.ndarray, np.ndarray]:
    """Return the number of units, their mean and variance, and the variance of cells of one unit.

    Units are cells, or the means of replicates.
    """
    found = [moments(values[rows]) for rows in samples.values()]
    if not by_replicates:
        ((n, mean, variance),) = found
        unbiased = variance * n / (n - 1)
        return n, mean, unbiased, unbiased
    means = np.stack([mean for _, mean, _ in found])
    within = np.mean([variance * n / (n - 1) for n, _, variance in found], axis=0)
    between = means.var(axis=0, ddof=1) if len(means) > 1 else np.full(means.shape[1], np.nan)
    return len(means), means.mean(axis=0), between, within
