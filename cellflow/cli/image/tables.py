"""Scores of images on the terminal."""

from __future__ import annotations

from typing import Any

import pandas as pd

from cellflow.cli.tables import print_table

#: Column of the table, its heading, format and factor.
_NUMBERS = {
    "frechet": ("", "{:.4g}", 1.0),
    "kernel": ("kernel x 1e3", "{:.3f}", 1e3),
    "precision": ("precision", "{:.3f}", 1.0),
    "recall": ("recall", "{:.3f}", 1.0),
}


def print_scores(table: pd.DataFrame) -> None:
    """Print what was measured, each number with the images that it is from."""
    spaces = ", ".join(dict.fromkeys(table["space"]))
    headings = ("measure", "images", "NFE", *(heading for heading, *_ in _NUMBERS.values()))
    rows = [_row(row) for row in table.to_dict("records")]
    print_table(f"distance from the real images, space {spaces}", headings, rows)


def _row(row: dict[Any, Any]) -> tuple[str, ...]:
    by, nfe = row.get("by"), row.get("nfe")
    return (
        row["measure"],
        by if isinstance(by, str) else row["of"],
        "" if nfe is None or pd.isna(nfe) else f"{nfe:g}",
        *(pattern.format(factor * row[name]) for name, (_, pattern, factor) in _NUMBERS.items()),
    )
