"""Values to colour cells by: a column of `obs`, or the expression of a gene."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from cellflow._checks import check_choice, format_list
from cellflow._errors import InputError
from cellflow.io import GeneNames
from cellflow.representation.expression import RAW, gene_table, read_expression
from cellflow.representation.scales import to_log_scale


def values_of(adata: AnnData, color: str, gene_symbols: str | None = None) -> pd.Series:
    """Return an `obs` column, or else the expression of a gene on a logarithmic scale.

    The expression is that of `X`, or of `raw` if only that has the gene.

    Raises
    ------
    InputError
        If there is no such column or gene, or several genes have the symbol.
    """
    columns = [str(name) for name in adata.obs]
    if gene_symbols is not None:
        check_choice(gene_symbols, map(str, adata.var), "var column of gene symbols")
    if color in columns:
        return adata.obs[color]
    layer, names = None, GeneNames.read(adata.var, gene_symbols)
    found = names.find(color)
    if not found and adata.raw is not None:
        layer, names = RAW, GeneNames.read(gene_table(adata, RAW), gene_symbols)
        found = names.find(color)
    if not found:
        check_choice(color, [*columns, *names.labels], "obs column or gene")
    if len(found) > 1:
        ids = [names.ids[column] for column in found]
        raise InputError(
            f"{color!r} is the symbol of {len(found)} genes; give the identifier of one: "
            f"{format_list(ids)}"
        )
    values = to_log_scale(adata, read_expression(adata, layer))[:, found[0]]
    dense = values.toarray() if sparse.issparse(values) else values
    return pd.Series(np.ravel(dense), index=adata.obs_names, name=str(names.labels[found[0]]))
