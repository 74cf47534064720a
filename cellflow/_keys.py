"""Every slot of an AnnData that cellflow reads or writes, in one place (prose in docs/slots.md)."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any

#: `obs` column with the elapsed time of each cell, as numbers.
TIME = "cellflow_time"
#: `obs` column with how much each predicted cell counts.
WEIGHT = "cellflow_weight"
#: `obsm` key with the representation that flows live in.
REPRESENTATION = "X_cellflow"
#: `uns` key under which everything else stands, a mapping for each verb.
UNS = "cellflow"
#: `uns["cellflow"]` entries.
TIME_POINTS = "time_points"
EMBED = "embed"
HOLDOUT = "holdout"
INTERPOLATE = "interpolate"
FIT = "fit"


def record(uns: MutableMapping[str, Any], key: str, entry: object) -> None:
    """Write `entry` to `uns["cellflow"][key]`."""
    uns[UNS] = {**uns.get(UNS, {}), key: entry}


def recorded(uns: Mapping[str, Any], key: str) -> Any | None:
    """Return `uns["cellflow"][key]`, or None where nothing was recorded."""
    return uns.get(UNS, {}).get(key)
