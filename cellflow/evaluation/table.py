"""Scores of a benchmark as one table, a row a fit or baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

#: Columns, in order.
COLUMNS = (
    "data", "published", "protocol", "time_axis", "n_dims", "whiten", "max_cells",
    "representation_may_have_seen_held_out", "time", "method", "role", "seed",
    "w1", "w1_error", "w1_excess", "w1_half", "reference",
    "energy", "mean_error", "cov_error", "var_ratio",
    "gap_closed", "gap_closed_best", "rival", "w1_uniform", "w2", "mmd",
    "seconds", "n_predicted", "n_true", "error",
)  # fmt: skip

_WHOLE = ("n_dims", "max_cells", "seed", "n_predicted", "n_true")
_TEXT = ("published", "rival", "error")

#: Whom `gap_closed_best` is measured against: the best of these.
_RIVALS = ("baseline", "peer")


def table_of(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Gather rows, and measure each against the best rival of its data set."""
    table = pd.DataFrame(rows).reindex(columns=list(COLUMNS))
    for column in _WHOLE:
        table[column] = table[column].astype("Int64")
    for column in _TEXT:
        table[column] = table[column].fillna("").astype(str)
    parts = [_against_the_best(part.copy()) for _, part in table.groupby("data", sort=False)]
    return pd.concat(parts, ignore_index=True)


def _against_the_best(part: pd.DataFrame) -> pd.DataFrame:
    """Fill in `rival` and `gap_closed_best` of one data set."""
    rivals = part[part["role"].isin(_RIVALS)]
    # Means over some of the folds would not compare.
    whole = rivals.groupby("method")["w1"].filter(lambda scores: scores.notna().all())
    means = rivals.loc[whole.index].groupby("method", sort=False)["w1"].mean()
    if means.empty:
        return part
    best = str(means.idxmin())
    start = part["time"].map(part[part["method"] == best].groupby("time")["w1_half"].mean())
    gap = start - part["reference"]
    part["rival"] = best
    # A rival at the reference, or below it where shrinking pays, leaves no gap to close.
    part["gap_closed_best"] = (start - part["w1_half"]) / gap.where(gap > 0)
    return part
