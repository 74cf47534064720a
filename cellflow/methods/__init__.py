"""Names of what exists, where it comes from, and the settings of a fit. Loads no torch."""

from cellflow.methods.names import COUPLINGS, TIME_AXES
from cellflow.methods.protocols import PROTOCOLS, Protocol
from cellflow.methods.recipes import RECIPES, Recipe, recipe_of

__all__ = ["COUPLINGS", "PROTOCOLS", "RECIPES", "TIME_AXES", "Protocol", "Recipe", "recipe_of"]
