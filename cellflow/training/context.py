"""Context of a fit: data, method, recipe, units and random generator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from cellflow.couplings import MixtureCoupling
from cellflow.flow import Flow
from cellflow.marginals import Marginals
from cellflow.methods.method import Method
from cellflow.methods.recipes import Recipe

#: Couples populations at the times of a fit, with its method; one component for each interval.
Couple = Callable[[Marginals], MixtureCoupling]


@dataclass(frozen=True)
class Fit:
    """Context of a fit, the first argument of the builders of coupling, path and objective.

    Attributes
    ----------
    marginals
        Populations to train on, with their flow times.
    method, recipe
        Coupling, path and objective; network and optimisation.
    centre, length_scale
        Mean of the training cells, shape (d,), and the unit of length.
    generator
        Source of randomness, on the device of the fit.
    cost_scale
        Unit of transport costs.
    wfr_length_scale
        Length scale of unbalanced transport, in units of the representation.
    prior
        Fitted flow, for couplings that require one.
    progress
        Show progress bars.
    """

    marginals: Marginals
    method: Method
    recipe: Recipe
    centre: Tensor
    length_scale: float
    generator: torch.Generator
    cost_scale: float = 1.0
    wfr_length_scale: float = 1.0
    prior: Flow | None = None
    progress: bool = False

    @property
    def sigma(self) -> float:
        """Standard deviation of the noise of the path, in units of the representation."""
        return self.method.path.sigma * self.length_scale
