"""What is compared: a method with its recipe, or a method of another package, under a name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cellflow._checks import check_choice, check_positive, format_list
from cellflow._errors import InputError
from cellflow.methods.config import named
from cellflow.methods.method import Method, method_of
from cellflow.methods.names import PEERS, TIME_AXES
from cellflow.methods.presets import PRESETS
from cellflow.methods.recipes import Recipe, recipe_of

#: Keys of an entry that are no settings of a method or a recipe.
_OWN = ("name", "method", "recipe", "prior_method", "time_axis")

#: Settings of a peer; the rest is as its package has it.
_OF_PEERS = ("name", "method", "n_steps")


@dataclass(frozen=True)
class Contestant:
    """A method of ours, with every number of its fit.

    Attributes
    ----------
    name
        What tables call it.
    method, recipe
        What is learned, and how.
    prior
        Method of the flow that it needs fitted first, where it needs one.
    keeps_sigma
        Whether the noise of a fine-tuning is the method's own, not that of the prior's path.
    time_axis
        Clock of its flow; None takes that of the data set.
    """

    name: str
    method: Method
    recipe: Recipe
    prior: Method | None = None
    keeps_sigma: bool = True
    time_axis: str | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """All that decides a fit beside the cells and the seed, as plain values."""
        return {
            "method": self.method.model_dump(mode="json"),
            "recipe": self.recipe.model_dump(mode="json"),
            "prior": None if self.prior is None else self.prior.model_dump(mode="json"),
            "keeps_sigma": self.keeps_sigma,
            "time_axis": self.time_axis,
        }


@dataclass(frozen=True)
class Peer:
    """A method of another package, run as its authors run it.

    Attributes
    ----------
    name
        What tables call it.
    kind
        Which of `PEERS`.
    n_steps
        Training steps; None takes those that its published recipe comes to on the data.
    """

    name: str
    kind: str
    n_steps: int | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """All that decides a fit beside the cells and the seed, as plain values."""
        return {"peer": self.kind, "n_steps": self.n_steps}


def contestant_of(
    method: str | Method | None,
    *,
    name: str | None = None,
    recipe: str | Recipe = "default",
    prior_method: str | Method | None = None,
    time_axis: str | None = None,
    **changes: Any,
) -> Contestant:
    """Make a contestant of a method with some of its parts and numbers changed.

    Raises
    ------
    InputError
        For unknown names and settings, and a prior that has no effect or no use.
    """
    chosen = method_of(method, **changes)
    if time_axis is not None:
        check_choice(time_axis, TIME_AXES, "time axis")
    # By name a fine-tuning takes the noise of its prior's path.
    keeps = not isinstance(method, str) or changes.get("sigma") is not None
    label = name or (method if isinstance(method, str) else "method")
    prior = _prior(chosen, prior_method)
    return Contestant(label, chosen, recipe_of(recipe), prior, keeps, time_axis)


def contestants_of(
    methods: Iterable[str | Mapping[str, Any] | Contestant | Peer], recipe: Recipe
) -> tuple[Contestant | Peer, ...]:
    """Make contestants of names and mappings of settings.

    Parameters
    ----------
    methods
        Names, of ours or `torchcfm:ot-cfm`, `torchcfm:i-cfm`; mappings with `method` and, all
        optional, `name`, `recipe` (a name, or a mapping with the changes to its `preset`),
        `prior_method`, `time_axis`, and settings of methods and recipes (`sigma`, `n_steps`, ...),
        for a peer `n_steps` alone; or ready contestants.
    recipe
        Of methods of ours that name none.

    Raises
    ------
    InputError
        For unknown keys and values, two of one name, or none at all.
    """
    made = tuple(_made(entry, recipe) for entry in methods)
    if not made:
        raise InputError("methods is empty; name one method or more, such as ot-cfm")
    names = [each.name for each in made]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(
            f"several methods are called {format_list(twice)}; give each a name of its own"
        )
    return made


def _made(entry: str | Mapping[str, Any] | Contestant | Peer, recipe: Recipe) -> Contestant | Peer:
    if isinstance(entry, Contestant | Peer):
        return entry
    if isinstance(entry, str):
        entry = {"method": entry}
    if not isinstance(entry, Mapping) or not isinstance(entry.get("method"), str):
        raise InputError(f"a method must be a name or a mapping with the key method, got {entry!r}")
    kind = entry["method"]
    check_choice(kind, [*PRESETS, *PEERS], "method")
    label = entry.get("name") or kind
    if not isinstance(label, str):
        raise InputError(f"name of a method must be text, got {label!r}")
    if kind in PEERS:
        return _peer(kind, label, entry)
    numbers = set(Recipe.model_fields)
    for key in entry:
        check_choice(key, [*_OWN, *Method.model_fields, *numbers], f"setting of method {label!r}")
    if "recipe" in entry:
        base, recipe_changes = named(entry["recipe"], "recipe")
        recipe = recipe_of(base or "default", **recipe_changes)
    recipe = recipe_of(recipe, **{key: entry[key] for key in entry if key in numbers})
    changes = {key: entry[key] for key in entry if key not in numbers and key not in _OWN}
    own = {key: entry.get(key) for key in ("prior_method", "time_axis")}
    return contestant_of(kind, name=label, recipe=recipe, **own, **changes)


def _peer(kind: str, label: str, entry: Mapping[str, Any]) -> Peer:
    for key in entry:
        check_choice(key, _OF_PEERS, f"setting of method {label!r}")
    steps = entry.get("n_steps")
    if steps is not None:
        if isinstance(steps, bool) or not isinstance(steps, int):
            raise InputError(f"n_steps of method {label!r} must be a whole number, got {steps!r}")
        check_positive(steps, f"n_steps of method {label!r}")
    return Peer(label, kind, steps)


def _prior(method: Method, prior: str | Method | None) -> Method | None:
    """Method of the flow that this one needs fitted before, if it needs one."""
    if method.coupling != "acceleration":
        if prior is not None:
            raise InputError(
                f"coupling {method.coupling!r} asks no flow fitted before, so prior_method has no "
                "effect; 'acceleration' does"
            )
        return None
    before = method_of("ot-cfm" if prior is None else prior)
    if before.coupling == "acceleration":
        raise InputError(
            "prior_method must need no flow itself, and coupling 'acceleration' does; take ot-cfm"
        )
    if method.objective == "oat" and (before.objective != "velocity" or before.path == "target"):
        raise InputError(
            f"oat-fm goes on from a velocity alone between populations; prior_method learns "
            f"{before.objective!r} on path {before.path!r}"
        )
    return before
