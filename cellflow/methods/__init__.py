"""Names of what exists, where it comes from, and the settings of a fit. Loads no torch."""

from cellflow.methods.names import COUPLINGS, PROTOCOLS
from cellflow.methods.recipes import RECIPES, Recipe, recipe_of

__all__ = ["COUPLINGS", "PROTOCOLS", "RECIPES", "Recipe", "recipe_of"]
