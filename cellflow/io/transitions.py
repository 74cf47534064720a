"""Tables of `tl.transitions` as CSV."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from cellflow._checks import listed
from cellflow._errors import FileError
from cellflow._files import new_file

_NEEDED = ("groups", "source_time", "target_time", "source", "target", "probability", "mass")


def write_transitions(table: pd.DataFrame, path: str | Path, *, overwrite: bool = False) -> None:
    """Write a table of `tl.transitions` as CSV, whole or not at all.

    Raises
    ------
    FileError
        If `path` cannot be written, or exists while `overwrite` is off.
    """
    with new_file(Path(path), overwrite=overwrite) as staged:
        table.to_csv(staged, index=False)


def read_transitions(path: str | Path) -> pd.DataFrame:
    """Read the table back; names of groups are text.

    Raises
    ------
    FileError
        If the file is missing or is no such table.
    """
    path = Path(path)
    try:
        # Groups may be called 1 or NA.
        text = dict.fromkeys(("groups", "source", "target"), str)
        table = pd.read_csv(path, dtype=text, keep_default_na=False, na_values={"probability": [""],
                            "mass": [""]})  # fmt: skip
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise FileError(f"{path} is no table of transitions") from error
    if missing := [name for name in _NEEDED if name not in table]:
        raise FileError(f"{path} is no table of transitions; missing: {listed(missing)}")
    return table
