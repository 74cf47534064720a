"""Recipes: every number of a fit, by name."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import (
    BaseModel,
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
from cellflow.methods.validation import validated


class Recipe(BaseModel):
    """Net, coupling and optimisation of one fit.

    Attributes
    ----------
    width, depth, residual, activation, time_features
        The nets: units of a hidden layer, hidden layers, whether each adds its input, nonlinearity,
        and periods of flow time that they see as waves.
    standardise
        Let the net work in units of the training cells' spread.
    batch_size, coupling_batch_size
        Pairs a training step; points a side of each transport problem.
    replace
        Draw pairs from the transport plan with replacement.
    train_fraction
        Share of each time's cells that training sees.
    patience
        Stop early: the number of checks, each after 50 steps, that the loss on the cells that
        training does not see may go without a new low; the weights of the lowest become the flow.
        None trains to the end. Needs `train_fraction` under 1.
    clip
        Largest norm of the gradient; None leaves it.
    n_steps, learning_rate, schedule, weight_decay
        AdamW's steps, step size, whether it stays constant or falls to zero along a cosine, and
        decoupled weight decay.
    ema_decay
        Decay a step of the exponential moving average of the weights that becomes the flow;
        0 takes the last weights.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    width: PositiveInt = 128
    depth: PositiveInt = 3
    residual: bool = False
    activation: Literal["selu", "silu", "relu"] = "silu"
    time_features: NonNegativeInt = 4
    standardise: bool = True
    batch_size: PositiveInt = 256
    coupling_batch_size: PositiveInt = 256
    replace: bool = False
    train_fraction: float = Field(default=1.0, gt=0, le=1)
    patience: PositiveInt | None = None
    clip: PositiveFloat | None = None
    n_steps: PositiveInt = 2000
    learning_rate: float = Field(default=2e-3, gt=0)
    schedule: Literal["constant", "cosine"] = "cosine"
    weight_decay: NonNegativeFloat = 1e-5
    ema_decay: float = Field(default=0.999, ge=0, lt=1)

    @property
    def sizes(self) -> dict[str, Any]:
        """What a net is made of."""
        names = ("width", "depth", "residual", "activation", "time_features")
        return {name: getattr(self, name) for name in names}


_RECIPES = {
    "default": Recipe(),
    # The runner of github.com/atong01/conditional-flow-matching at commit cacd4dc, OT-CFM on
    # single cells. Its epochs depend on the data; 11,100 steps are its 300 epochs on the 29,394
    # CITE-seq cells of docs/results.md.
    "torchcfm": Recipe(
        width=64,
        depth=3,
        activation="selu",
        time_features=0,
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
    """Return the recipe of that name with some of its numbers changed.

    Raises
    ------
    InputError
        For an unknown name or number, or a number out of range.
    """
    if isinstance(recipe, str):
        check_choice(recipe, RECIPES, "recipe")
        recipe = _RECIPES[recipe]
    if not isinstance(recipe, Recipe):
        raise InputError(f"recipe must be a name or a Recipe, got {recipe!r}")
    for name in changes:
        check_choice(name, Recipe.model_fields, "recipe setting")
    changed = validated(Recipe, {**recipe.model_dump(), **changes}, "recipe setting")
    if changed.patience is not None and changed.train_fraction == 1:
        raise InputError(
            f"recipe setting patience={changed.patience} needs cells to check on: "
            "set train_fraction under 1"
        )
    return changed
