"""Labels that the couplings of a flow kept to: cells of one were paired among themselves."""

from __future__ import annotations

import numpy as np
from anndata import AnnData

from cellflow.flow import Flow
from cellflow.io import Conditions, SideColumns


def labels_of(adata: AnnData, flow: Flow) -> np.ndarray:
    """Number of each cell's label, shape (n,): of `label_key` and the categorical conditions.

    All cells have the same one where the flow was fitted without.
    """
    conditions = Conditions(tuple(flow.context.settings.get("conditions", ())))
    labels = SideColumns(flow.settings.get("label_key")).labels(adata.obs, conditions)
    return np.zeros(adata.n_obs, dtype=np.int64) if labels is None else labels.numpy()


def common_labels(before: np.ndarray, after: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Places of each label that both of two lists of labels, shape (n,) and (m,), have."""
    return [
        (np.flatnonzero(before == each), np.flatnonzero(after == each))
        for each in np.intersect1d(before, after)
    ]
