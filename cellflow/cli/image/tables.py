"""Scores of images on the terminal."""

from __future__ import annotations

from typing import Any

import pandas as pd

from cellflow.cli.tables import print_table

_HEADINGS = ("of", "by", "NFE", "measure", "", "kernel", "precision", "recall")

#: Column of the table, its format and factor.
_NUMBERS = {
    "frechet": ("{:.4g}", 1.0),
    "kernel": ("{:.3f}", 1e3),
    "precision": ("{:.3f}", 1.0),
    "recall": ("{:.3f}", 1.0),
}


def print_scores(table: pd.DataFrame) -> None:
    """Print what was measured, each number with the images that it is from."""
    spaces = ", ".join(dict.fromkeys(table["space"]))
    title = f"distance from the real images, space {spaces}; kernel distances in thousandths"
    print_table(title, _HEADINGS, [_row(row) for row in table.to_dict("records")])


def _row(row: dict[Any, Any]) -> tuple[str, ...]:
    by, nfe = row.get("by"), row.get("nfe")
    return (
        row["of"],
        by if isinstance(by, str) else "",
        "" if nfe is None or pd.isna(nfe) else f"{nfe:g}",
        row["measure"],
        *(pattern.format(factor * row[name]) for name, (pattern, factor) in _NUMBERS.items()),
    )
