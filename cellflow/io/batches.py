"""Columns of batches, recognised by their names."""

from __future__ import annotations

import re

_WORDS = {
    "batch", "donor", "sample", "replicate", "rep", "library", "plate", "chip", "lane", "channel",
    "patient", "experiment", "tube", "run", "pool",
}  # fmt: skip


def names_batches(column: str) -> bool:
    """Return whether a column of `obs` has a usual name of batches, such as `donor_id`."""
    return not _WORDS.isdisjoint(re.split("[^a-z]+", column.lower()))
