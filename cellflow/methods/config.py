"""Settings of a fit as a YAML file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from cellflow._checks import check_choice, format_list
from cellflow._errors import FileError, InputError
from cellflow._files import check_is_file
from cellflow.methods.method import Method, method_of
from cellflow.methods.recipes import Recipe, recipe_of

#: Largest number of values in a file of settings.
_MAX_VALUES = 10_000


@dataclass(frozen=True)
class Config:
    """A method and a recipe.

    Attributes
    ----------
    method
        Coupling, path and objective.
    recipe
        Net and optimisation.
    named
        Which of `method` and `recipe` the file has; the other is the default.
    """

    method: Method
    recipe: Recipe
    named: tuple[str, ...] = field(default=(), compare=False, repr=False)

    def to_yaml(self) -> str:
        """Write every setting as YAML, which `read_config` reads.

        Returns
        -------
        The text.
        """
        values = {"method": self.method.model_dump(), "recipe": self.recipe.model_dump()}
        return yaml.safe_dump(values, sort_keys=False)


def read_config(path: str | Path) -> Config:
    """Read settings of a fit from a YAML file.

    `method` and `recipe` are each a name, or a mapping with the settings that differ from those
    of the name under `preset` (without it the method is `ot-cfm`, or `default` where nothing
    is changed, and the recipe `default`); both may be left out. The settings of a method are the
    keywords of `cellflow.method`: parts by name with their settings, or parts as mappings with a
    `name`, as `Config.to_yaml` writes them.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    Method and recipe with every number.

    Raises
    ------
    FileError
        If the file cannot be read or is not a YAML mapping.
    InputError
        For unknown names and settings, values out of range, or parts that are not compatible.

    Examples
    --------
    A file with

        method: {preset: sb-cfm, sigma: 0.3}
        recipe: {n_steps: 500}

    is SB-CFM with less noise and fewer steps.
    """
    values = read_mapping(Path(path), ("method", "recipe"))
    method, changes = split_preset(values.get("method"), "method")
    recipe, numbers = split_preset(values.get("recipe"), "recipe")
    named = tuple(name for name, value in values.items() if value is not None)
    return Config(method_of(method, **changes), recipe_of(recipe or "default", **numbers), named)


def read_mapping(path: Path, keys: Sequence[str]) -> dict[str, Any]:
    """Read a YAML mapping whose keys are some of `keys`.

    Raises
    ------
    FileError
        If the file cannot be read or is not a YAML mapping.
    InputError
        For another key.
    """
    check_is_file(path)
    try:
        text = path.read_text(encoding="utf-8")
        _check_size(yaml.compose(text, yaml.SafeLoader), path)
        values = yaml.safe_load(text)
    except RecursionError as error:
        raise FileError(f"{path} cannot be read: its values are nested too deeply") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise FileError(f"{path} cannot be read as YAML: {error}") from error
    if not isinstance(values, dict):
        raise FileError(f"{path} is not a YAML mapping with the keys {format_list(keys)}")
    for key in values:
        check_choice(key, keys, f"key in {path}")
    return values


def _check_size(root: yaml.Node | None, path: Path) -> None:
    """Raise `FileError` if aliases of aliases would make more values than settings have.

    Such a file has some lines and fills the memory when its values are shown.
    """
    sizes: dict[int, int] = {}

    def count(node: yaml.Node, above: tuple[int, ...] = ()) -> int:
        if id(node) in above:
            raise FileError(f"{path} has a value that contains itself, by an alias (*name)")
        if id(node) not in sizes:
            parts = node.value if isinstance(node, yaml.CollectionNode) else []
            members = [
                each for part in parts for each in (part if isinstance(part, tuple) else [part])
            ]
            sizes[id(node)] = 1 + sum(count(each, (*above, id(node))) for each in members)
        return sizes[id(node)]

    if root is not None and (n_values := count(root)) > _MAX_VALUES:
        raise FileError(
            f"{path} has {n_values:,} values by its aliases (*name), and at most {_MAX_VALUES:,} "
            "are read; write them out"
        )


def split_preset(value: Any, what: str) -> tuple[str | None, dict[str, Any]]:
    """Split an entry, a name or a mapping, into the name of a preset and the changes to it."""
    if value is None:
        return None, {}
    if isinstance(value, str):
        return value, {}
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        changes = dict(value)
        name = changes.pop("preset", None)
        return None if name is None else str(name), changes
    raise InputError(f"{what} must be a name or a mapping of settings, got {value!r:.80}")
