"""Settings of a fine-tuning: what is taken from the flow that was fitted before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cellflow._errors import InputError
from cellflow.flow import Flow
from cellflow.marginals import Gaussian, Marginals
from cellflow.methods.method import Method, method_of
from cellflow.methods.recipes import Recipe, recipe_of
from cellflow.methods.sizes import MLPSizes
from cellflow.methods.validation import validated

#: The step size is the prior's divided by this, and so are the steps and the warm-up.
_SLOWER, _SHORTER = 10, 4


def check_tunable(prior: Flow, marginals: Marginals) -> None:
    """Refuse a flow that has other nets than that of the velocity, or starts elsewhere.

    Raises
    ------
    InputError
        With what it has.
    """
    if prior.nets.roles != ("velocity",):
        raise InputError(
            "objective 'oat' fine-tunes flows of a velocity alone, and the prior has "
            f"{' and '.join(prior.nets.roles)}; fit it with objective 'velocity' "
            "(method 'ot-cfm' or 'i-cfm')"
        )
    check_origin(prior)
    from_noise = isinstance(marginals.populations[0], Gaussian)
    if prior.method.path.draws_source and not from_noise:
        raise InputError(
            "the prior starts from noise at every time (path 'target'), and fine-tuning from the "
            "points of the time before; fit it with path 'straight'"
        )


def check_origin(prior: Flow) -> None:
    """Refuse a flow that does not say how it was fitted.

    Raises
    ------
    InputError
        If so.
    """
    if not {"method", "recipe"} <= set(prior.settings):
        raise InputError("the prior does not say with which method and recipe it was fitted")


def settings_after(
    prior: Flow,
    method: str | Method,
    recipe: str | Recipe | None,
    changes: Mapping[str, Any],
    numbers: Mapping[str, Any],
) -> tuple[Method, Recipe]:
    """Method and recipe to fine-tune a flow with.

    A method by name takes the noise of the path from the prior, where that was straight, else
    none. No recipe stands for the prior's, slower and shorter. Changes of both that are None leave
    what is there.

    Raises
    ------
    InputError
        For a method of another objective, unknown names, or numbers out of range.
    """
    check_origin(prior)
    changes = {name: value for name, value in changes.items() if value is not None}
    if isinstance(method, str):
        changes = {"sigma": sigma_after(prior), **changes}
    chosen = method_of(method, **changes)
    if not chosen.objective.fine_tunes:
        raise InputError(
            f"fine-tuning has objective 'oat', this method "
            f"{chosen.objective.name!r}; fits take others"
        )
    given = {name: value for name, value in numbers.items() if value is not None}
    return chosen, recipe_of(_shorter(prior) if recipe is None else recipe, **given)


def sigma_after(prior: Flow) -> float:
    """Noise of the path after a flow: its own where its path is straight, else none."""
    path = prior.method.path
    return path.sigma if path.is_straight else 0.0


def _shorter(prior: Flow) -> Recipe:
    """The prior's recipe, slower and shorter; that of a fine-tuning stays as it is."""
    numbers = dict(prior.settings["recipe"])
    if not prior.method.objective.fine_tunes:
        numbers["learning_rate"] /= _SLOWER
        numbers["n_steps"] = -(-numbers["n_steps"] // _SHORTER)
        numbers["warmup"] //= _SHORTER
    return validated(Recipe, numbers, "recipe setting of the prior")


def tuning_recipe(recipe: Recipe, prior: Flow) -> Recipe:
    """The recipe with the net of a flow; pairs are never drawn ahead of the net that they ask.

    Raises
    ------
    InputError
        If the recipe asks for another net; the default one counts as not asked for.
    """
    known = validated(Recipe, prior.settings["recipe"], "recipe setting of the prior")
    if recipe.net not in (known.net, MLPSizes()):
        raise InputError(
            f"fine-tuning keeps the net of the prior ({known.net}), and the recipe has another "
            f"({recipe.net}); leave the net out"
        )
    kept = {"net": known.net, "standardise": known.standardise, "ahead": 0}
    return recipe.model_copy(update=kept)
