"""Plan of a benchmark: data sets, methods and seeds, from a YAML file or from arguments."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anndata import AnnData

from cellflow._checks import check_choice
from cellflow._errors import InputError
from cellflow.evaluation.evaluation import Evaluation
from cellflow.evaluation.held_out import HeldOut, make_held_out
from cellflow.evaluation.named_methods import ExternalMethod, NamedMethod, name_methods
from cellflow.io.courses import NPZ_REP, published
from cellflow.methods.config import read_mapping, split_preset
from cellflow.methods.recipes import recipe_of

#: Keys of the file.
_KEYS = ("data", "methods", "recipe", "seeds")


@dataclass(frozen=True)
class DataSet:
    """A data set with the settings of how its times are held out.

    Attributes
    ----------
    name
        Name in tables.
    source
        Cells, or their file.
    settings
        How its times are held out.
    """

    name: str
    source: AnnData | Path
    settings: HeldOut

    def make_evaluation(self, adata: AnnData) -> Evaluation:
        """Apply the settings to the cells; those of an `.npz` are in `X_pca` by default."""
        settings = self.settings
        is_npz = isinstance(self.source, Path) and self.source.suffix == ".npz"
        if is_npz and settings.use_rep is None:
            settings = settings.model_copy(update={"use_rep": NPZ_REP})
        return Evaluation(adata, settings)

    @property
    def published(self) -> str:
        """Whether its file is one of published scores: `yes`, `no`, or empty if unknown."""
        return published(self.source) if isinstance(self.source, Path) else ""


@dataclass(frozen=True)
class BenchmarkPlan:
    """Data sets, methods and seeds to compare.

    Attributes
    ----------
    data
        The data sets, with names that differ.
    methods
        The methods, with names that differ.
    seeds
        Seeds of the fits.
    """

    data: tuple[DataSet, ...]
    methods: tuple[NamedMethod | ExternalMethod, ...]
    seeds: tuple[int, ...]

    def __post_init__(self) -> None:
        names = [each.name for each in self.data]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise InputError(f"several data sets are called {twice!r}; give each a name of its own")


def read_plan(path: str | Path) -> BenchmarkPlan:
    """Read the plan of a benchmark from a YAML file.

    Keys: `data`, a list of files or of mappings with `file` (relative to the YAML file, environment
    variables as `${NAME}`), optionally `name` (by default the file's) and settings of `HeldOut`;
    `methods`, a list as in `name_methods` (by default `default`); `recipe` of the methods that name
    none; `seeds`, a list (by default 0).

    Raises
    ------
    FileError
        If the file cannot be read or is not a YAML mapping.
    InputError
        For unknown keys and values, and several data sets or methods of one name.
    """
    path = Path(path)
    values = read_mapping(path, _KEYS)
    recipe, changes = split_preset(values.get("recipe"), "recipe")
    return BenchmarkPlan(
        tuple(_read_data_set(entry, path.parent) for entry in _read_list(values, "data", [], path)),
        name_methods(
            _read_list(values, "methods", ["default"], path),
            recipe_of(recipe or "default", **changes),
        ),
        tuple(_read_list(values, "seeds", [0], path)),
    )


def _read_list(values: Mapping[str, Any], key: str, default: list[Any], path: Path) -> list[Any]:
    entries = values.get(key, default)
    if not isinstance(entries, list) or not entries:
        raise InputError(f"{key} in {path} must be a list with one entry or more")
    return entries


def _read_data_set(entry: Any, folder: Path) -> DataSet:
    if isinstance(entry, str):
        entry = {"file": entry}
    if not isinstance(entry, dict) or not isinstance(entry.get("file"), str):
        raise InputError(f"data must be files or mappings with the key file, got {entry!r}")
    settings = dict(entry)
    file = folder / _expand(settings.pop("file"))
    name = settings.pop("name", file.stem)
    if not isinstance(name, str):
        raise InputError(f"name of a data set must be text, got {name!r}")
    for key in settings:
        check_choice(key, ["name", "file", *HeldOut.model_fields], f"setting of data {name!r}")
    return DataSet(name, file, make_held_out(settings, name))


def _expand(file: str) -> Path:
    """Replace environment variables and the home folder."""
    full = os.path.expandvars(file)
    if unset := re.findall(r"\$\{?(\w+)", full):
        raise InputError(f"environment variable {unset[0]} in file {file} is not set")
    return Path(full).expanduser()
