"""A fit before its first step: what is fitted to what, its units and its randomness."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cellflow.flow import Flow
from cellflow.marginals import Marginals
from cellflow.methods.method import Method
from cellflow.methods.recipes import Recipe


@dataclass(frozen=True)
class Fit:
    """A method that is fitted to populations in time; the builders of its parts are given it.

    Attributes
    ----------
    marginals
        Populations that training sees, at their flow times.
    method, recipe
        What is learned, and how.
    centre, length_scale
        Mean of the training cells, shape (d,), and the unit of lengths.
    generator
        Source of randomness, on the device of the fit.
    cost_scale
        Unit of costs.
    wfr_length_scale
        Length scale of unbalanced transport, in units of the representation.
    prior
        A flow fitted before, for couplings that require one.
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
        """Noise of the path, in units of the representation."""
        return self.method.path.sigma * self.length_scale
