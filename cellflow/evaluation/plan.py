"""What a comparison of methods compares, on which data, as a YAML file."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, field_validator

from cellflow._checks import check_choice
from cellflow._errors import InputError
from cellflow.evaluation.named_methods import Contestant, Peer, contestants_of
from cellflow.evaluation.protocols import PROTOCOLS
from cellflow.methods.config import named, read_mapping
from cellflow.methods.names import EXPRESSION_KINDS, TIME_AXES
from cellflow.methods.recipes import recipe_of
from cellflow.methods.validation import validated

#: Keys of a benchmark's file.
KEYS = ("data", "methods", "recipe", "seeds")


class HeldOut(BaseModel):
    """How the times of one data set are held out.

    Attributes
    ----------
    time_key, times, use_rep, layer, kind, n_dims, whiten, protocol, time_axis
        As in `tl.holdout`, with its defaults.
    condition_keys, label_key, lineage_key, cost_rep, max_cells
        The same.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    time_key: str | None = None
    times: tuple[float | str, ...] | None = None
    use_rep: str | None = None
    layer: str | None = None
    kind: str = "auto"
    n_dims: PositiveInt | None = None
    whiten: bool = True
    protocol: str = "strict"
    time_axis: str | None = None
    condition_keys: tuple[str, ...] = ()
    label_key: str | None = None
    lineage_key: str | None = None
    cost_rep: str | None = None
    max_cells: int | None = Field(default=None, ge=4)

    @field_validator("times", "condition_keys", mode="before")
    @classmethod
    def _several(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str | int | float) else value


def held_out_of(name: str, values: Mapping[str, Any]) -> HeldOut:
    """Read the settings of one data set.

    Raises
    ------
    InputError
        For unknown settings and values, naming the data set.
    """
    what = f"setting of data {name!r}"
    for key in values:
        check_choice(key, HeldOut.model_fields, what)
    settings = validated(HeldOut, values, what)
    check_choice(settings.protocol, PROTOCOLS, f"protocol of data {name!r}")
    check_choice(settings.kind, EXPRESSION_KINDS, f"kind of expression of data {name!r}")
    if settings.time_axis is not None:
        check_choice(settings.time_axis, TIME_AXES, f"time axis of data {name!r}")
    return settings


@dataclass(frozen=True)
class Benchmark:
    """Data sets, methods and seeds.

    Attributes
    ----------
    files, settings
        File of each data set and how its times are held out, by name.
    methods
        What is compared.
    seeds
        Of the fits.
    """

    files: Mapping[str, Path]
    settings: Mapping[str, HeldOut]
    methods: tuple[Contestant | Peer, ...]
    seeds: tuple[int, ...]


def read_benchmark(path: str | Path) -> Benchmark:
    """Read a benchmark from a YAML file.

    Keys: `data`, a list of mappings with `file` (relative to the YAML file, environment variables
    as `${NAME}`), optionally `name` (the file's, where there is none) and settings of `HeldOut`;
    `methods`, a list as in `contestants_of` (`default` where there is none); `recipe` of the
    methods that name none; `seeds`, a list (0 where there is none).

    Raises
    ------
    FileError
        If the file cannot be read or is no YAML mapping.
    InputError
        For unknown keys and values, and two data sets or methods of one name.
    """
    path = Path(path)
    values = read_mapping(path, KEYS)
    recipe, numbers = named(values.get("recipe"), "recipe")
    files, settings = _data(_list(values, "data", [], path), path.parent)
    return Benchmark(
        files,
        settings,
        contestants_of(
            _list(values, "methods", ["default"], path), recipe_of(recipe or "default", **numbers)
        ),
        tuple(_list(values, "seeds", [0], path)),
    )


def _list(values: Mapping[str, Any], key: str, default: list[Any], path: Path) -> list[Any]:
    entries = values.get(key, default)
    if not isinstance(entries, list) or not entries:
        raise InputError(f"{key} in {path} must be a list with one entry or more")
    return entries


def _data(entries: list[Any], folder: Path) -> tuple[dict[str, Path], dict[str, HeldOut]]:
    files: dict[str, Path] = {}
    settings = {}
    for entry in entries:
        if isinstance(entry, str):
            entry = {"file": entry}  # noqa: PLW2901
        if not isinstance(entry, dict) or not isinstance(entry.get("file"), str):
            raise InputError(f"data must be files or mappings with the key file, got {entry!r}")
        rest = dict(entry)
        file = folder / _expanded(rest.pop("file"))
        name = rest.pop("name", file.stem)
        if not isinstance(name, str):
            raise InputError(f"name of a data set must be text, got {name!r}")
        for key in rest:
            check_choice(key, ["name", "file", *HeldOut.model_fields], f"setting of data {name!r}")
        add_file(files, name, file)
        settings[name] = held_out_of(name, rest)
    return files, settings


def add_file(files: dict[str, Path], name: str, file: Path) -> None:
    """Add a file under a name that no other has.

    Raises
    ------
    InputError
        If one of that name is there.
    """
    if name in files:
        raise InputError(f"several data sets are called {name!r}; give each a name of its own")
    files[name] = file


def _expanded(file: str) -> Path:
    """Put in environment variables and the home folder."""
    full = os.path.expandvars(file)
    if unset := re.findall(r"\$\{?(\w+)", full):
        raise InputError(f"environment variable {unset[0]} in file {file} is not set")
    return Path(full).expanduser()
