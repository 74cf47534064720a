"""Tables as text: labels of a foreign file must not run as formulas in a spreadsheet.

A program such as Excel takes a text that begins with `=`, `+`, `-` or `@` for a formula. One that
calls a function, or refers to another program or file, can send cells of the table elsewhere. An
apostrophe before such a text keeps it text. Others are written as they are: names of genotypes,
`+/-`, and of genes, `-`, reach nothing outside the table.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellflow._checks import format_list
from cellflow._files import atomic_file
from cellflow._log import log_info

if TYPE_CHECKING:
    import pandas as pd

#: Begins as a formula, also with full-width signs, as of East Asian keyboards, and calls a function
#: or refers to another program (a bar) or file (a bracket, an exclamation mark).
_FORMULA = r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20].*?(?:[\w.]\s*\(|[|!\[])"

#: Texts that get an apostrophe, and those that have got one.
_BARE, _QUOTED = (re.compile(start + _FORMULA, re.DOTALL) for start in ("'*", "'+"))


def write_csv(table: pd.DataFrame, path: Path, *, separator: str = ",", overwrite: bool) -> None:
    """Write a table without its index, atomically.

    Raises
    ------
    FileError
        If `path` exists and `overwrite` is False, or if it cannot be written.
    """
    formulas: set[str] = set()
    returns: set[str] = set()

    def write_text(text: str) -> str:
        if "\r" in text:
            returns.add(text)
        if not _BARE.match(text):
            return text
        formulas.add(text)
        return f"'{text}"

    table = _map_texts(table, write_text)
    with atomic_file(path, overwrite=overwrite) as staged:
        table.to_csv(
            staged,
            sep=separator,
            index=False,
            # A carriage return outside quotes ends a row, and Python 3.11 does not quote for it.
            quoting=csv.QUOTE_NONNUMERIC if returns else csv.QUOTE_MINIMAL,
        )
    if formulas:
        log_info(
            f"{path}: an apostrophe was put before texts that spreadsheets would run as formulas: "
            f"{format_list([repr(text) for text in sorted(formulas)[:3]])} (docs/guide/formats.md)"
        )


def restore_texts(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table that was read from a file of `write_csv` with its original texts."""
    return _map_texts(table, lambda text: text[1:] if _QUOTED.match(text) else text)


def _map_texts(table: pd.DataFrame, change: Callable[[str], str]) -> pd.DataFrame:
    """Apply a function to names of columns and texts in them."""

    def map_text(value: Any) -> Any:
        return change(value) if isinstance(value, str) else value

    changed = table.copy()
    for name in table.select_dtypes(exclude=["number", "bool", "datetime", "timedelta"]):
        changed[name] = table[name].map(map_text)
    return changed.rename(columns=map_text)
