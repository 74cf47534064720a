"""Recipes: settings of the network and of the optimisation, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import (
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
)

from cellflow._checks import check_choice
from cellflow._errors import InputError
from cellflow.methods.names import RECIPES
from cellflow.methods.sizes import MLPSizes, NetSizes, Sizes
from cellflow.methods.validation import StrictSettings, report_first_error, validate_settings


class Recipe(StrictSettings):
    """Settings of the network and of the optimisation.

    Attributes
    ----------
    net
        Kind and sizes of the nets.
    standardise
        Let a multilayer perceptron use the spread of the training points as its unit.
    batch_size, coupling_batch_size
        Pairs per training step; points per side of each transport problem.
    replace
        Draw pairs from the transport plan with replacement.
    train_fraction
        Share of the points of each time that are used for training.
    patience
        Early stopping: number of validation checks, one every 50 steps, without a new minimum of
        the loss on the other points after which training stops; the flow uses the weights of the
        minimum. None disables it. Requires `train_fraction` under 1.
    clip
        Largest norm of the gradient; None does not clip.
    n_steps, learning_rate, warmup, schedule, weight_decay
        AdamW: number of steps, learning rate, steps of linear warm-up from zero, schedule
        (`constant`, or `cosine` decay to zero), and decoupled weight decay.
    ema_decay, ema_ramp
        Decay per step of the exponential moving average of the weights, which the flow uses; 0
        uses the last weights. Whether the decay is smaller in early steps, so that the average of
        a short training does not include the initial weights.
    ema_halflife
        Half-life of the average in training points, instead of `ema_decay`; with `ema_ramp` at
        most a twentieth of the points seen so far, as in EDM.
    precision
        `fp32`, or `bf16` for autocast of the network to bfloat16.
    channels_last, compile
        Memory layout of a network on grids, and whether it is compiled; both affect speed only.
    accumulate
        Number of chunks of a batch for gradient accumulation, to save memory.
    ahead
        Number of batches of pairs that a second thread prefetches.
    threads
        CPU threads of the network; None uses the default of torch.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    net: Sizes = MLPSizes()
    standardise: bool = True
    batch_size: PositiveInt = 256
    coupling_batch_size: PositiveInt = 256
    replace: bool = False
    train_fraction: float = Field(default=1.0, gt=0, le=1)
    patience: PositiveInt | None = None
    clip: PositiveFloat | None = None
    n_steps: PositiveInt = 2000
    learning_rate: float = Field(default=2e-3, gt=0)
    warmup: NonNegativeInt = 0
    schedule: Literal["constant", "cosine"] = "cosine"
    weight_decay: NonNegativeFloat = 1e-5
    ema_decay: float = Field(default=0.999, ge=0, lt=1)
    ema_ramp: bool = True
    ema_halflife: PositiveFloat | None = None
    precision: Literal["fp32", "bf16"] = "fp32"
    channels_last: bool = False
    compile: bool = False
    accumulate: PositiveInt = 1
    ahead: NonNegativeInt = 0
    # The networks of cell flows are so small that more threads do not save time, and cost much if
    # other processes use the cores; with one thread, sums do not depend on the number of cores.
    threads: PositiveInt | None = 1

    def __init__(self, **values: Any) -> None:
        with report_first_error("recipe setting"):
            super().__init__(**values)


_RECIPES = {
    "default": Recipe(),
    # The runner of github.com/atong01/conditional-flow-matching at commit cacd4dc, OT-CFM on
    # single cells. Its epochs depend on the data; 11,100 steps are its 300 epochs on the 29,394
    # CITE-seq cells of docs/benchmarks/accuracy.md.
    "torchcfm": Recipe(
        net=MLPSizes(width=64, depth=3, activation="selu", time_features=0),
        standardise=False,
        batch_size=128,
        coupling_batch_size=128,
        replace=True,
        train_fraction=0.8,
        n_steps=11_100,
        learning_rate=1e-3,
        schedule="constant",
        weight_decay=1e-5,
        ema_decay=0.0,
    ),
}


def recipe_of(recipe: str | Recipe, **changes: Any) -> Recipe:
    """Return a recipe by name, with some of its settings changed.

    Parameters
    ----------
    recipe
        A name, or a recipe to start from.
    **changes
        Settings of `Recipe`. `net` may be a mapping of the sizes that change; with another `kind`,
        the others are the defaults of that kind.

    Returns
    -------
    The recipe.

    Raises
    ------
    InputError
        For an unknown name or setting, or a number out of range.
    """
    if isinstance(recipe, str):
        check_choice(recipe, RECIPES, "recipe")
        recipe = _RECIPES[recipe]
    if not isinstance(recipe, Recipe):
        raise InputError(f"recipe must be a name or a Recipe, got {recipe!r}")
    for name in changes:
        check_choice(name, Recipe.model_fields, "recipe setting")
    values = {**recipe.model_dump(), **changes}
    if isinstance(changes.get("net"), Mapping):
        values["net"] = _merge_sizes(recipe.net, changes["net"])
    changed = validate_settings(Recipe, values, "recipe setting")
    if changed.patience is not None and changed.train_fraction == 1:
        raise InputError(
            f"recipe setting patience={changed.patience} needs points to check on: "
            "set train_fraction under 1"
        )
    if changed.standardise and changed.net.takes == "grid":
        raise InputError(
            f"net {changed.net.kind!r} takes images as they are: set the recipe's standardise=False"
        )
    return changed


def _merge_sizes(sizes: NetSizes, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return sizes with some of them changed."""
    if changes.get("kind", sizes.kind) != sizes.kind:
        return dict(changes)
    return {**sizes.model_dump(), **changes}
