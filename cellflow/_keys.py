"""Keys of all AnnData slots that cellflow reads or writes (described in docs/guide/slots.md)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any

import numpy as np

from cellflow._errors import InputError

#: `obs` columns: elapsed time of each cell, as numbers.
TIME = "cellflow_time"
#: Weight of each predicted cell.
WEIGHT = "cellflow_weight"
#: Growth rate of each cell, births minus deaths per unit of elapsed time.
GROWTH = "cellflow_growth"
#: Scores of the gene sets from which growth rates are computed.
PROLIFERATION, APOPTOSIS = "cellflow_proliferation", "cellflow_apoptosis"
#: Observed cell from which a predicted cell was simulated, and its time.
START_CELL, START_TIME = "start_cell", "start_time"
#: Pseudotime of each cell, and length of its path since the first time.
PSEUDOTIME, PATH_LENGTH = "cellflow_pseudotime", "cellflow_path_length"
#: Minus log-density of each cell under the flow of the cells of the first time.
POTENTIAL = "cellflow_potential"
#: Disagreement between seeds of a flow on a cell, and distance of its prediction from data.
UNCERTAINTY, FROM_DATA = "cellflow_uncertainty", "cellflow_distance"
#: Radius around the mean of the predicted descendants of a cell that holds 90 % of them.
RADIUS = "cellflow_radius"
#: Elapsed time of each cell as a category, the key of transition matrices for CellRank.
TIME_POINT = "cellflow_time_point"
#: Path that a cell of a trajectory belongs to.
TRAJECTORY = "trajectory"
#: `obs` columns with the weight of each cell among the ancestors or descendants of a group.
ANCESTORS, DESCENDANTS = "cellflow_ancestors", "cellflow_descendants"
#: `key_added` of fates, suffix of its `obsm` and `uns` keys, and suffix of its `obs` key.
FATE, PROBABILITIES, ENTROPY = "fate", "_probabilities", "_entropy"
#: `obs` column of terminal groups that `tl.fates` proposes.
TERMINAL = "cellflow_terminal"
#: `obsm` key of the representation in which flows are fitted.
REPRESENTATION = "X_cellflow"
#: Prefix of `obsm` keys, and name of the layer, of velocities.
VELOCITY = "velocity"
#: `uns` key of all records, a mapping with an entry per function.
UNS = "cellflow"
#: Entries of `uns["cellflow"]`; that of representations has one mapping per `obsm` key, that of
#: growth rates that flows learned one per `obs` key.
TIME_POINTS = "time_points"
GROWTH_SETTINGS = "growth"
LEARNED_GROWTH = "learned_growth"
REPRESENTATIONS = "representations"
FIT = "fit"
FINETUNE = "finetune"
INTERPOLATE = "interpolate"
HOLDOUT = "holdout"
SIMULATION = "simulation"
PUSH, PULL, TRAJECTORIES = "push", "pull", "trajectories"


def embedding_keys(obsm: Iterable[str]) -> list[str]:
    """Return the keys of `obsm` that may be embeddings: not fate probabilities and velocities."""
    return [
        key
        for key in obsm
        if not key.endswith(PROBABILITIES) and not key.startswith(f"{VELOCITY}_")
    ]


def write_record(uns: MutableMapping[str, Any], key: str, entry: object) -> None:
    """Write `entry` to `uns["cellflow"][key]`, without values that are None, tuples as lists."""
    uns[UNS] = {**_records(uns), key: _to_storable(entry)}


def remove_record(uns: MutableMapping[str, Any], key: str) -> None:
    """Remove `uns["cellflow"][key]` if it exists."""
    uns[UNS] = {name: entry for name, entry in _records(uns).items() if name != key}


def read_record(uns: Mapping[str, Any], key: str) -> Any | None:
    """Return `uns["cellflow"][key]`, or None if it does not exist."""
    return _records(uns).get(key)


def read_cautions(
    uns: Mapping[str, Any], key: str | None = None, *, skip: str | None = None
) -> list[str]:
    """Return the cautions in one entry of `uns["cellflow"]`; for None, in all but `skip`."""
    records = _records(uns)
    keys = [key] if key is not None else [name for name in records if name != skip]
    entries = [entry for name in keys if isinstance(entry := records.get(name), Mapping)]
    entries += [each for entry in entries for each in entry.values() if isinstance(each, Mapping)]
    found = [str(each) for entry in entries for each in np.atleast_1d(entry.get("cautions", ()))]
    return list(dict.fromkeys(found))


def is_learned_growth(uns: Mapping[str, Any], key: str) -> bool:
    """Return whether the growth rates in `obs[key]` are those that a flow learned."""
    return key in (read_record(uns, LEARNED_GROWTH) or {})


def is_relative_growth(uns: Mapping[str, Any], key: str) -> bool:
    """Return whether the growth rates in `obs[key]` compare cells of one time only."""
    entry = (read_record(uns, LEARNED_GROWTH) or {}).get(key, {})
    return bool(entry.get("growth") == "relative")


def _records(uns: Mapping[str, Any]) -> Mapping[str, Any]:
    entry = uns.get(UNS, {})
    if not isinstance(entry, Mapping):
        raise InputError(f"uns[{UNS!r}] was not written by cellflow; rename or remove it")
    return entry


def _to_storable(entry: object) -> object:
    """Return what an `.h5ad` file can hold: it has neither None nor tuples."""
    if isinstance(entry, tuple):
        return [_to_storable(value) for value in entry]
    if not isinstance(entry, Mapping):
        return entry
    return {key: _to_storable(value) for key, value in entry.items() if value is not None}
