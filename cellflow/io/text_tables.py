"""Tables of genes and of groups as text files, one row a line."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from cellflow._checks import check_choice
from cellflow._errors import FileError
from cellflow._files import atomic_file, check_file_target

#: Endings that a table can have, and what stands between its columns.
SEPARATORS = {".csv": ",", ".tsv": "\t"}

#: Columns of names, which may be called 1 or NA.
_NAMES = ("gene", "group", "groups", "regulator", "source", "target")


def check_table_target(path: Path, *, overwrite: bool) -> None:
    """Refuse a `path` that no table could be written to, before any work.

    Raises
    ------
    InputError
        If its ending is none of a table.
    FileError
        If it cannot be written, or exists while `overwrite` is off.
    """
    check_choice(path.suffix, SEPARATORS, "table format")
    check_file_target(path, overwrite=overwrite)


def write_table(table: pd.DataFrame, path: Path, *, overwrite: bool = False) -> None:
    """Write a table, whole or not at all; missing numbers are empty."""
    check_table_target(path, overwrite=overwrite)
    with atomic_file(path, overwrite=overwrite) as staged:
        table.to_csv(staged, sep=SEPARATORS[path.suffix], index=False)


def read_table(path: Path) -> pd.DataFrame:
    """Read a table that `write_table` wrote; names stay text.

    Raises
    ------
    FileError
        If the file is missing or no table.
    """
    check_choice(path.suffix, SEPARATORS, "table format")
    text, separator = dict.fromkeys(_NAMES, str), SEPARATORS[path.suffix]
    try:
        table = pd.read_csv(path, sep=separator, dtype=text, keep_default_na=False, na_values=[""])
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise FileError(f"{path} holds no table: {' '.join(str(error).split())}") from error
    return table.fillna(dict.fromkeys(_NAMES, ""))
