"""Settings of a fine-tuning, which follow those of the flow fitted before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cellflow._errors import InputError
from cellflow.flow import Flow
from cellflow.marginals import Gaussian, Marginals
from cellflow.methods.method import Method, method_of
from cellflow.methods.recipes import Recipe, recipe_of
from cellflow.methods.sizes import MLPSizes


def check_tunable(prior: Flow, marginals: Marginals) -> None:
    """Check that a flow can be fine-tuned: it has only a velocity, and the same source.

    Raises
    ------
    InputError
        If the flow has other networks, or its path starts from noise at every time.
    """
    _check_roles(prior)
    from_noise = isinstance(marginals.populations[0], Gaussian)
    if prior.method.path.draws_source and not from_noise:
        raise InputError(
            "the prior starts from noise at every time (path 'target'), and fine-tuning from the "
            "points of the time before; fit it with path 'straight'"
        )


def _check_roles(prior: Flow) -> None:
    if prior.nets.roles != ("velocity",):
        raise InputError(
            "objective 'oat' fine-tunes flows of a velocity alone, and the prior has "
            f"{' and '.join(prior.nets.roles)}; fit it with objective 'velocity' "
            "(method 'ot-cfm' or 'i-cfm')"
        )


def resolve_fine_tuning(
    prior: Flow,
    method: str | Method,
    recipe: str | Recipe | None,
    changes: Mapping[str, Any],
    numbers: Mapping[str, Any],
) -> tuple[Method, Recipe]:
    """Return the method and the recipe to fine-tune a flow with.

    A method by name takes sigma from the prior if its path is straight, else 0. Recipe None is
    that of the prior. Changes of both that are None have no effect.

    Raises
    ------
    InputError
        For a flow of other nets than a velocity, a method of another objective, unknown names, or
        numbers out of range.
    """
    _check_roles(prior)
    changes = {name: value for name, value in changes.items() if value is not None}
    if isinstance(method, str):
        changes = {"sigma": choose_sigma(prior), **changes}
    chosen = method_of(method, **changes)
    if not chosen.objective.fine_tunes:
        raise InputError(
            f"fine-tuning has objective 'oat', this method "
            f"{chosen.objective.name!r}; fits take others"
        )
    given = {name: value for name, value in numbers.items() if value is not None}
    return chosen, recipe_of(prior.recipe if recipe is None else recipe, **given)


def choose_sigma(prior: Flow) -> float:
    """Return the noise of the path to fine-tune a flow with: its own if it is straight, else 0."""
    path = prior.method.path
    return path.sigma if path.is_straight else 0.0


def tuning_recipe(recipe: Recipe, prior: Flow) -> Recipe:
    """Return the recipe with the net of the prior.

    Pairs are never drawn ahead, since they depend on the net.

    Raises
    ------
    InputError
        If the recipe has another net, and not the default one.
    """
    known = prior.recipe
    if recipe.net not in (known.net, MLPSizes()):
        raise InputError(
            f"fine-tuning keeps the net of the prior ({known.net}), and the recipe has another "
            f"({recipe.net}); leave the net out"
        )
    changes = {"net": known.net, "standardise": known.standardise, "ahead": 0}
    return recipe.model_copy(update=changes)
