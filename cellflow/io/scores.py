"""Held-out scores as JSON, for other programs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from cellflow._errors import FileError, InputError
from cellflow._files import atomic_file, check_ending, read_json
from cellflow._keys import HOLDOUT, read_record
from cellflow.metrics import BASELINES, MIXTURE, NEAREST, OTHERS, OTHERS_SHIFTED

#: Ending of a file of scores.
SCORES = (".json",)


def write_scores(
    adata: AnnData, path: str | Path, *, key: str = HOLDOUT, overwrite: bool = False
) -> None:
    """Write the scores that `tl.holdout` stored in `uns` to a JSON file, atomically.

    The file has `settings`, `folds`, `mean_w1` and `versions`. A fold has the columns of the
    table; those of baselines are nested: `baselines` holds the W1 of each, `baseline_scores` all
    of their scores.
    """
    check_ending(Path(path), SCORES, "scores")
    entry = read_record(adata.uns, key)
    if entry is None:
        raise InputError(f"no held-out scores under {key!r}; run cellflow.tl.holdout first")
    folds = [_nest(row) for row in entry["scores"].to_dict("records")]
    document = {
        "settings": entry["settings"],
        "folds": folds,
        "mean_w1": float(np.mean([fold["w1"] for fold in folds])),
        "versions": entry["versions"],
    }
    text = json.dumps(document, indent=1, default=_plain, allow_nan=False)
    with atomic_file(Path(path), overwrite=overwrite) as staged:
        staged.write_text(text + "\n", encoding="utf-8")


def read_scores(path: str | Path) -> pd.DataFrame:
    """Read the table of scores from a file that `write_scores` wrote.

    `attrs["settings"]` of the table holds their settings.

    Raises
    ------
    FileError
        If the file is missing or does not hold scores.
    """
    path = Path(path)
    document = read_json(path)
    try:
        table = pd.DataFrame([_flatten(fold) for fold in document["folds"]])
        table.attrs["settings"] = dict(document["settings"])
        return table
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FileError(
            f"{path} does not hold held-out scores, which cellflow holdout writes as .json"
        ) from error


def _nest(row: Mapping[str, Any]) -> dict[str, Any]:
    fold: dict[str, Any] = {name: _or_null(value) for name, value in row.items()}
    scores: dict[str, dict[str, float | None]] = {}
    for column in row:
        metric, name = _split(column)
        if name:
            scores.setdefault(name, {})[metric] = fold.pop(column)
    fold["baselines"] = {name: values["w1"] for name, values in scores.items()}
    fold["baseline_scores"] = scores
    return fold


def _flatten(fold: Mapping[str, Any]) -> dict[str, Any]:
    nested = {"baselines", "baseline_scores"}
    row = {name: value for name, value in fold.items() if name not in nested}
    for name, values in fold["baseline_scores"].items():
        row |= {f"{metric}_{name}": value for metric, value in values.items()}
    return row


def _split(column: str) -> tuple[str, str]:
    """Split a column name into metric and baseline; the baseline of the method's own is empty."""
    for name in (*BASELINES, OTHERS, OTHERS_SHIFTED, NEAREST, MIXTURE):
        if column.endswith(f"_{name}"):
            return column.removesuffix(f"_{name}"), name
    return column, ""


def _or_null(value: Any) -> Any:
    """Replace NaN, which is not valid JSON, by null."""
    return None if isinstance(value, float) and np.isnan(value) else value


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"{type(value)} cannot be written as JSON")
