"""What is told of potentials that were found before a training, beside them."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellflow._checks import listed
from cellflow._errors import CellflowWarning
from cellflow._files import check_file_target, new_file

if TYPE_CHECKING:
    import pandas as pd

FORMAT = "cellflow-image-couplings"
#: Names of the files in the folder of the potentials.
JSON, TSV = "report.json", "report.tsv"


def check_report_target(folder: Path, *, overwrite: bool) -> None:
    """Refuse a folder whose report is in the way."""
    for name in (JSON, TSV):
        check_file_target(folder / name, overwrite=overwrite)


def write_report(
    folder: Path, table: pd.DataFrame, settings: Mapping[str, Any], *, overwrite: bool
) -> None:
    """Write the table, as JSON with the settings and as tab-separated values."""
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    document = {"format": FORMAT, "settings": dict(settings), "rows": rows}
    with new_file(folder / JSON, overwrite=overwrite) as staged:
        staged.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    with new_file(folder / TSV, overwrite=overwrite) as staged:
        table.to_csv(staged, sep="\t", index=False)


def warn_of_others(folder: Path, settings: Mapping[str, Any]) -> None:
    """Warn where the report tells of potentials for other settings, which will not be read."""
    try:
        document = json.loads((folder / JSON).read_text(encoding="utf-8"))
        told = dict(document["settings"])
    except (OSError, ValueError, KeyError, TypeError):
        return
    others = [name for name, value in settings.items() if told.get(name) != value]
    if others:
        pairs = (f"{name} {told.get(name)} there, {settings[name]} here" for name in others)
        warnings.warn(
            f"the potentials that {folder / JSON} tells of are for other settings "
            f"({listed(pairs)}); those for this training are read or found apart from them",
            CellflowWarning,
            stacklevel=3,
        )
