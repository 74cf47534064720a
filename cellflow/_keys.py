"""Every slot of an AnnData that cellflow reads or writes, in one place (prose in docs/slots.md)."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any

from cellflow._errors import InputError

#: `obs` columns: elapsed time of each cell, as numbers.
TIME = "cellflow_time"
#: How much each predicted cell counts.
WEIGHT = "cellflow_weight"
#: Growth rate of each cell, births minus deaths per unit of elapsed time.
GROWTH = "cellflow_growth"
#: Scores of the two gene sets that growth rates come from.
PROLIFERATION, APOPTOSIS = "cellflow_proliferation", "cellflow_apoptosis"
#: The observed cell that a predicted one was carried from, and its time.
START_CELL, START_TIME = "start_cell", "start_time"
#: The time at which each cell is at home, and how far it has come since the first time.
PSEUDOTIME, PATH_LENGTH = "cellflow_pseudotime", "cellflow_path_length"
#: Minus log-density of each cell in what a flow makes of the cells of the first time.
POTENTIAL = "cellflow_potential"
#: How far the seeds of a flow disagree on a cell, and how far from data they take it.
UNCERTAINTY, FROM_DATA = "cellflow_uncertainty", "cellflow_distance"
#: Elapsed time of each cell as a category, which couplings for CellRank are named by.
TIME_POINT = "cellflow_time_point"
#: The path that a cell of a trajectory belongs to.
TRAJECTORY = "trajectory"
#: `obs` columns of how much each cell counts among the ancestors or descendants of a group.
ANCESTORS, DESCENDANTS = "cellflow_ancestors", "cellflow_descendants"
#: `key_added` of fates, and what its `obsm` and `uns`, and its `obs` key have behind it.
FATE, PROBABILITIES, ENTROPY = "fate", "_probabilities", "_entropy"
#: `obsm` key with the representation that flows live in.
REPRESENTATION = "X_cellflow"
#: Prefix of `obsm` keys, and name of the layer, with velocities.
VELOCITY = "velocity"
#: `uns` key under which everything else stands, a mapping for each verb.
UNS = "cellflow"
#: `uns["cellflow"]` entries; that of representations holds a map for each `obsm` key.
TIME_POINTS = "time_points"
GROWTH_SETTINGS = "growth"
LEARNED_GROWTH = "learned_growth"
REPRESENTATIONS = "representations"
FIT = "fit"
FINETUNE = "finetune"
INTERPOLATE = "interpolate"
HOLDOUT = "holdout"
PUSH, PULL, TRAJECTORIES = "push", "pull", "trajectories"


def write_record(uns: MutableMapping[str, Any], key: str, entry: object) -> None:
    """Write `entry` to `uns["cellflow"][key]`; values that are None are left out."""
    uns[UNS] = {**_ours(uns), key: _without_none(entry)}


def remove_record(uns: MutableMapping[str, Any], key: str) -> None:
    """Remove `uns["cellflow"][key]`, where it is there."""
    uns[UNS] = {name: entry for name, entry in _ours(uns).items() if name != key}


def read_record(uns: Mapping[str, Any], key: str) -> Any | None:
    """Return `uns["cellflow"][key]`, or None where nothing was recorded."""
    return _ours(uns).get(key)


def _ours(uns: Mapping[str, Any]) -> Mapping[str, Any]:
    entry = uns.get(UNS, {})
    if not isinstance(entry, Mapping):
        raise InputError(f"uns[{UNS!r}] was not written by cellflow; rename or remove it")
    return entry


def _without_none(entry: object) -> object:
    if not isinstance(entry, Mapping):
        return entry
    return {key: _without_none(value) for key, value in entry.items() if value is not None}
