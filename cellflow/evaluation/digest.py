"""What tells the cells of one evaluation from those of another."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from cellflow._keys import GROWTH, GROWTH_SETTINGS, read_record
from cellflow.evaluation.predict import Evaluation


def digest_of(evaluation: Evaluation) -> str:
    """Digest of all of the cells that a fold may use."""
    adata, asked, known = evaluation.adata, evaluation.asked, evaluation.known
    digest = hashlib.sha256()
    growth = (read_record(adata.uns, GROWTH_SETTINGS) or {}).get("key_added", GROWTH)
    _add(digest, evaluation.points.elapsed)
    if asked.use_rep is None:
        layers = adata.layers
        _add(digest, adata.X if asked.layer is None else layers.get(asked.layer))
        _add(digest, ["log1p" in adata.uns, *adata.var_names])
    for key in (asked.use_rep, known.cost_rep, known.lineage_key):
        if key in adata.obsm:
            _add(digest, adata.obsm[key])
    for key in (*evaluation.condition_keys, known.label_key, known.lineage_key, growth):
        if key in adata.obs:
            _add(digest, adata.obs[key].astype(str).tolist())
    return digest.hexdigest()[:32]


def _add(digest: Any, values: Any) -> None:
    values = values.to_memory() if hasattr(values, "to_memory") else values
    if sparse.issparse(values):
        rows = sparse.csr_matrix(values)
        for part in (rows.data, rows.indices.astype(np.int64), rows.indptr.astype(np.int64)):
            _add(digest, part)
    elif isinstance(values, list) or values is None:
        digest.update(repr(values).encode())
    else:
        array = np.ascontiguousarray(
            values.to_numpy() if isinstance(values, pd.DataFrame) else values
        )
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(array.tobytes())
