"""Tables of genes and groups as text files, one row per line."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from cellflow._checks import check_choice
from cellflow._csv import restore_texts, write_csv
from cellflow._errors import FileError
from cellflow._files import check_ending, check_file_target, check_is_file

#: Separator of columns by ending of the file.
TABLES = {".csv": ",", ".tsv": "\t"}

#: Columns of names, which are read as text even if a name is 1 or NA.
_NAMES = (
    "condition", "gene", "gene_id", "group", "groups", "note", "reference", "regulator",
    "regulator_id", "source", "target", "target_id",
)  # fmt: skip


def check_table_target(path: Path, *, overwrite: bool) -> None:
    """Raise an error if no table can be written to `path`; call it before long work.

    Raises
    ------
    InputError
        If its ending is not that of a table.
    FileError
        If it cannot be written, or exists and `overwrite` is False.
    """
    check_ending(path, TABLES, "tables")
    check_file_target(path, overwrite=overwrite)


def write_table(table: pd.DataFrame, path: Path, *, overwrite: bool = False) -> None:
    """Write a table atomically; missing numbers are empty, and no text is a formula."""
    check_table_target(path, overwrite=overwrite)
    write_csv(table, path, separator=TABLES[path.suffix], overwrite=overwrite)


def read_table(path: str | Path) -> pd.DataFrame:
    """Read a table that `write_table` wrote.

    Raises
    ------
    FileError
        If the file is missing or not a table.
    """
    path = Path(path)
    check_choice(path.suffix, TABLES, "table format")
    check_is_file(path)
    text, separator = dict.fromkeys(_NAMES, str), TABLES[path.suffix]
    try:
        table = pd.read_csv(path, sep=separator, dtype=text, keep_default_na=False, na_values=[""])
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise FileError(f"{path} is not a table: {' '.join(str(error).split())}") from error
    return restore_texts(table.fillna(dict.fromkeys(_NAMES, "")))
