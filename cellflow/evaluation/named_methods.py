"""Methods to evaluate: a method with its recipe, or one of another package, under a name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from cellflow._checks import check_choice, check_positive, format_list
from cellflow._errors import InputError
from cellflow.methods.config import split_preset
from cellflow.methods.method import Method, method_of, setting_names
from cellflow.methods.names import EXTERNAL_METHODS, TIME_AXES
from cellflow.methods.presets import PRESETS
from cellflow.methods.recipes import Recipe, recipe_of

#: Keys of an entry that are not settings of a method or a recipe.
_KEYS = ("name", "method", "recipe", "prior_method", "time_axis")

#: Keys of an entry of another package; its other settings are fixed.
_EXTERNAL_KEYS = ("name", "method", "n_steps")


@dataclass(frozen=True)
class NamedMethod:
    """A method of cellflow with all settings of its fit.

    Attributes
    ----------
    name
        Name in tables.
    method, recipe
        The method and the recipe of its fit.
    prior
        Method of the prior flow, which is fitted first, if the method requires one.
    sigma_of_prior
        Whether a fine-tuning takes the noise of its prior's path instead of its own.
    time_axis
        Clock of its flow; None uses that of the data set.
    """

    role: ClassVar[str] = "model"

    name: str
    method: Method
    recipe: Recipe
    prior: Method | None = None
    sigma_of_prior: bool = False
    time_axis: str | None = None

    @property
    def needs_growth_rates(self) -> bool:
        """Whether it uses growth rates of cells, of gene sets or a column."""
        return self.method.needs_growth_rates

    def describe(self) -> dict[str, Any]:
        """Return all settings of a fit except cells and seed, as plain values."""
        return {
            "method": self.method.model_dump(mode="json"),
            "recipe": self.recipe.model_dump(mode="json"),
            "prior": None if self.prior is None else self.prior.model_dump(mode="json"),
            "sigma_of_prior": self.sigma_of_prior,
            "method_time_axis": self.time_axis,
        }


@dataclass(frozen=True)
class ExternalMethod:
    """A method of another package, run as its authors run it.

    Attributes
    ----------
    name
        Name in tables.
    kind
        One of `EXTERNAL_METHODS`.
    n_steps
        Training steps; None uses those of its published recipe for the number of cells.
    """

    role: ClassVar[str] = "external"
    needs_growth_rates: ClassVar[bool] = False

    name: str
    kind: str
    n_steps: int | None = None

    def describe(self) -> dict[str, Any]:
        """Return all settings of a fit except cells and seed, as plain values."""
        return {"external": self.kind, "n_steps": self.n_steps}


def name_method(
    method: str | Method | None,
    *,
    name: str | None = None,
    recipe: str | Recipe = "default",
    prior_method: str | Method | None = None,
    time_axis: str | None = None,
    **changes: Any,
) -> NamedMethod:
    """Make a method to evaluate, with some of its settings changed.

    Raises
    ------
    InputError
        For unknown names and settings, and a prior without effect or use.
    """
    chosen = method_of(method, **changes)
    if time_axis is not None:
        check_choice(time_axis, TIME_AXES, "time axis")
    return NamedMethod(
        name or (method if isinstance(method, str) else "method"),
        chosen,
        recipe_of(recipe),
        _choose_prior(chosen, prior_method),
        # A fine-tuning by name has no noise of its own.
        sigma_of_prior=isinstance(method, str) and changes.get("sigma") is None,
        time_axis=time_axis,
    )


def name_methods(
    methods: str | Iterable[str | Method | Mapping[str, Any] | NamedMethod | ExternalMethod],
    recipe: Recipe,
) -> tuple[NamedMethod | ExternalMethod, ...]:
    """Make methods to evaluate from names and mappings of settings.

    Parameters
    ----------
    methods
        Names, of ours or of `EXTERNAL_METHODS`; `Method` objects, which tables call by their parts
        (`low-rank + straight + velocity`); mappings with `method`, a name or a `Method`, and, all
        optional, `name`,
        `recipe` (a name, or a mapping with the changes to its `preset`), `prior_method`,
        `time_axis`, and settings of methods and recipes (`sigma`, `n_steps`, ...), for an external
        method only `n_steps`; or methods made before.
    recipe
        Recipe of methods of cellflow without one in their entry.

    Raises
    ------
    InputError
        For unknown keys and values, several methods of one name, or none at all.
    """
    entries = [methods] if isinstance(methods, str) else methods
    made = tuple(_read_entry(entry, recipe) for entry in entries)
    if not made:
        raise InputError("methods is empty; name one method or more, such as ot-cfm")
    names = [each.name for each in made]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(
            f"several methods are called {format_list(twice)}; give each a name of its own"
        )
    return made


def _read_entry(
    entry: str | Method | Mapping[str, Any] | NamedMethod | ExternalMethod, recipe: Recipe
) -> NamedMethod | ExternalMethod:
    if isinstance(entry, NamedMethod | ExternalMethod):
        return entry
    if isinstance(entry, str | Method):
        entry = {"method": entry}
    if not isinstance(entry, Mapping) or not isinstance(entry.get("method"), str | Method):
        raise InputError(
            "a method must be a name, a cellflow.method(...) or a mapping with the key method, "
            f"got {entry!r}"
        )
    method = entry["method"]
    if isinstance(method, str):
        check_choice(method, [*PRESETS, *EXTERNAL_METHODS], "method")
    called = method if isinstance(method, str) else " + ".join(part.name for part in method.parts)
    name = entry.get("name") or called
    if not isinstance(name, str):
        raise InputError(f"name of a method must be text, got {name!r}")
    if isinstance(method, str) and method in EXTERNAL_METHODS:
        return _read_external(method, name, entry)
    numbers = set(Recipe.model_fields)
    for key in entry:
        known = [*_KEYS, *Method.model_fields, *setting_names(), *numbers]
        check_choice(key, known, f"setting of method {name!r}")
    if "recipe" in entry:
        base, recipe_changes = split_preset(entry["recipe"], "recipe")
        recipe = recipe_of(base or "default", **recipe_changes)
    recipe = recipe_of(recipe, **{key: entry[key] for key in entry if key in numbers})
    changes = {key: entry[key] for key in entry if key not in numbers and key not in _KEYS}
    own = {key: entry.get(key) for key in ("prior_method", "time_axis")}
    return name_method(method, name=name, recipe=recipe, **own, **changes)


def _read_external(method: str, name: str, entry: Mapping[str, Any]) -> ExternalMethod:
    for key in entry:
        check_choice(key, _EXTERNAL_KEYS, f"setting of method {name!r}")
    n_steps = entry.get("n_steps")
    if n_steps is not None:
        if isinstance(n_steps, bool) or not isinstance(n_steps, int):
            raise InputError(f"n_steps of method {name!r} must be a whole number, got {n_steps!r}")
        check_positive(n_steps, f"n_steps of method {name!r}")
    return ExternalMethod(name, method, n_steps)


def _choose_prior(method: Method, prior: str | Method | None) -> Method | None:
    """Return the method of the prior flow; None if the method does not require a prior."""
    if not method.coupling.needs_prior:
        if prior is not None:
            raise InputError(
                f"coupling {method.coupling.name!r} does not use a flow fitted before, so "
                "prior_method has no effect; 'acceleration' does"
            )
        return None
    before = method_of("ot-cfm" if prior is None else prior)
    if before.coupling.needs_prior:
        raise InputError(
            "prior_method must not need a flow itself, and coupling 'acceleration' does; "
            "take ot-cfm"
        )
    if method.objective.fine_tunes and (
        before.objective.roles != ("velocity",) or before.path.draws_source
    ):
        raise InputError(
            f"oat-fm fine-tunes a velocity between populations; prior_method learns "
            f"{before.objective.name!r} on path {before.path.name!r}"
        )
    return before
