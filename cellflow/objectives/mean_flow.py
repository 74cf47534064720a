"""Mean flows: regression of the average velocity, which moves points in a single step."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from cellflow._batch import Pairs
from cellflow._random import uniform_like
from cellflow._typing import Scalar
from cellflow.nets import Fields
from cellflow.objectives.objective import (
    TimeSampler,
    condition_at,
    disable_autocast,
    sample_path,
    uniform_times,
)
from cellflow.paths import Path


@dataclass(frozen=True)
class MeanFlow:
    """Regression of the average velocity u(t, r, x) on the MeanFlow identity.

    (r - t) u = integral of v from t to r implies u = v + (r - t) du/dt along the flow, for fixed r
    (Geng et al. 2025, arXiv 2505.13447, equation 6, with t and r exchanged). The target is the
    right-hand side with the conditional velocity as v, and du/dt by one Jacobian-vector product;
    gradients are stopped. The identity holds for r < t and r > t, so the flow is learned forward
    and backward.

    Attributes
    ----------
    path
        Conditional path.
    anchored
        Probability of r = t, where the loss is that of flow matching.
    power, offset
        Squared errors are divided by (error + offset)^power, without gradient.
    unit
        Length scale of the data, the unit of errors.
    times
        Draws t and r.
    """

    path: Path
    anchored: float = 0.75
    power: float = 1.0
    offset: float = 0.01
    unit: float = 1.0
    times: TimeSampler = uniform_times

    def loss(self, net: Fields, pairs: Pairs, generator: torch.Generator) -> Scalar:
        """Return the loss of one batch."""
        t = self.times(pairs, generator)
        r = self.times(pairs, generator)
        free = uniform_like(t, generator) >= self.anchored
        r = torch.where(free, r, t)
        condition = condition_at(pairs, t)
        sample = sample_path(self.path, pairs, t, generator)

        def average(t: Tensor, x: Tensor) -> Tensor:
            return net.average(t, r, x, condition)

        # One pass gives u and du/dt, so that dropout and rounding are the same in both. Fused
        # attention and bf16 products have no forward-mode derivative.
        with sdpa_kernel(SDPBackend.MATH), disable_autocast(t):
            tangents = (torch.ones_like(t), sample.u)
            value, slope = torch.func.jvp(  # type: ignore[misc]  # three values only with `has_aux`
                average, (t, sample.x), tangents
            )
        target = sample.u + (r - t)[:, None] * slope.detach()
        error = ((value - target) / self.unit).square().sum(dim=1)
        weight = (error.detach() + self.offset) ** -self.power
        return (weight * error).mean()
