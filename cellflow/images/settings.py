"""Every number of a training of images, from what was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cellflow._errors import InputError
from cellflow.images.augment import N_LABELS, SHARE
from cellflow.images.config import config_of, method_for
from cellflow.images.data import ImageSet
from cellflow.images.space import ImageSpace
from cellflow.methods.config import Config
from cellflow.methods.method import Method
from cellflow.methods.recipes import Recipe, recipe_of
from cellflow.methods.sizes import DenoiserSizes, NetSizes


def settled(
    space: ImageSpace,
    data: ImageSet,
    config: str | Path | Config | None,
    method: str | Method | None,
    recipe: str | Recipe | None = None,
    numbers: Mapping[str, int | None] | None = None,
    **parts: Any,
) -> tuple[Method, Recipe]:
    """Method and recipe of a training, every number; those that are None are the recipe's."""
    if config is None and space.grid is None:
        config = Config(Method(), recipe_of("default"))
    chosen = config_of(config, data.shape)
    moves = method_for(chosen, method, **parts)
    changes = {name: value for name, value in (numbers or {}).items() if value is not None}
    return moves, _suited(recipe_of(recipe or chosen.recipe, **changes), moves, space)


def flips_for(space: ImageSpace, data: ImageSet, flips: bool | None, augment: float = 0.0) -> bool:
    """Whether images are mirrored; by default RGB ones that are only generated, not augmented."""
    if flips is None:
        plain = space.grid is not None and space.low_res is None and not augment
        return plain and data.shape[0] == 3
    return flips


def _suited(recipe: Recipe, method: Method, space: ImageSpace) -> Recipe:
    """The recipe, as the method needs it; refused where the space does not take its net."""
    if space.grid is None and recipe.net.takes == "grid":
        raise InputError(
            f"net {recipe.net.kind!r} takes images, and latents are rows of numbers: take a "
            "config or recipe with net 'mlp', or give neither"
        )
    if method.objective == "mean-flow":
        # Group normalisation has no forward derivatives of grids with their channels last.
        return recipe_of(recipe, channels_last=False)
    return recipe


def share_of(augment: float | None, net: NetSizes) -> float:
    """Share of the images that each change befalls."""
    told = isinstance(net, DenoiserSizes) and net.augment_dim == N_LABELS
    if augment is None:
        return SHARE if told else 0.0
    if not 0 <= augment <= 1:
        raise InputError(f"augment must be a share from 0 to 1, got {augment}")
    if augment and not told:
        raise InputError(
            f"augment={augment:g} needs a net that is told how images were changed, or it makes "
            f"such images: net 'edm' with augment_dim {N_LABELS}"
        )
    return augment
