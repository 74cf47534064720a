"""Tables of scores as JSON: what other programs read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from cellflow._errors import FileError
from cellflow._files import new_file

if TYPE_CHECKING:
    import pandas as pd

FORMAT = "cellflow-image-scores"


def write_table(table: pd.DataFrame, path: str | Path, *, overwrite: bool = False) -> None:
    """Write the rows of `score_flow`, or of `Scores.rows`, whole or not at all.

    Parameters
    ----------
    table
        The rows.
    path
        The file.
    overwrite
        Whether a file of that name is replaced.

    Raises
    ------
    FileError
        If `path` cannot be written, or exists while `overwrite` is off.
    """
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    text = json.dumps({"format": FORMAT, "rows": rows}, indent=1, allow_nan=False)
    with new_file(Path(path), overwrite=overwrite) as staged:
        staged.write_text(text + "\n", encoding="utf-8")


def read_table(path: str | Path) -> pd.DataFrame:
    """Read the table back.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    The rows.

    Raises
    ------
    FileError
        If the file is missing or holds no scores of images.
    """
    import pandas as pd

    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FileError(f"{path} cannot be read: {error}") from error
    known = isinstance(document, dict) and document.get("format") == FORMAT
    rows = document.get("rows") if known else None
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise FileError(f"{path} holds no scores of images (cellflow image score)")
    return pd.DataFrame(rows)
