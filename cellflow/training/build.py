"""What the builders of couplings and paths are given."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cellflow.couplings import COSTS, Cost, LineageCost
from cellflow.flow import Flow
from cellflow.methods.method import Method
from cellflow.methods.recipes import Recipe


@dataclass(frozen=True)
class Build:
    """Settings of one fit and the units that they are in.

    Attributes
    ----------
    method, recipe
        Parts and numbers.
    centre, scale
        Mean of the training cells, shape (d,), and the unit of lengths.
    generator
        Source of randomness, on the device of the fit.
    cost_scale
        Unit of costs.
    delta
        Length scale of unbalanced transport, in units of the representation.
    prior
        A fitted flow that couplings may ask.
    progress
        Show progress bars.
    """

    method: Method
    recipe: Recipe
    centre: Tensor
    scale: float
    generator: torch.Generator
    cost_scale: float = 1.0
    delta: float = 1.0
    prior: Flow | None = None
    progress: bool = False

    @property
    def sigma(self) -> float:
        """Noise of the path, in units of the representation."""
        return self.method.sigma * self.scale

    @property
    def cost(self) -> Cost:
        """Ground cost between cells; where clones are known, lower between relatives."""
        return LineageCost(COSTS[self.method.cost], self.method.lineage_strength)
