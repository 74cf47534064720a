"""Mean flows: a net of the average velocity, which moves points any distance in one step."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from cellflow._batch import Pairs
from cellflow._random import uniform_like
from cellflow._typing import Scalar
from cellflow.nets import Fields
from cellflow.objectives.objective import TimeLaw, condition_at, on_path, precise, uniform_times
from cellflow.paths import Path


@dataclass(frozen=True)
class MeanFlow:
    """Regression of the average velocity u(t, r, x) on the identity that defines it.

    From (r - t) u = integral of v from t to r follows u = v + (r - t) du/dt along the flow, with r
    fixed (Geng et al. 2025, arXiv 2505.13447, equation 6, there with the times exchanged). The
    right-hand side, with the conditional velocity for v and du/dt by one Jacobian-vector product,
    is the target, through which no gradient flows. It holds for r before and after t alike, so
    points go forward and backward.

    Attributes
    ----------
    path
        Gives x_t and u_t.
    anchored
        Share of the rows with r = t, where the objective is plain flow matching.
    power, offset
        Each row's squared error is divided by (error + offset)^power, held fixed.
    unit
        What errors are measured in: a typical length of the data.
    times
        Draws t, and r.
    """

    path: Path
    anchored: float = 0.75
    power: float = 1.0
    offset: float = 0.01
    unit: float = 1.0
    times: TimeLaw = uniform_times

    def loss(self, net: Fields, pairs: Pairs, generator: torch.Generator) -> Scalar:
        """Adaptively weighted squared error on one batch."""
        t = self.times(pairs, generator)
        r = self.times(pairs, generator)
        free = uniform_like(t, generator) >= self.anchored
        r = torch.where(free, r, t)
        condition = condition_at(pairs, t)
        sample = on_path(self.path, pairs, t, generator)

        def average(t: Tensor, x: Tensor) -> Tensor:
            return net.average(t, r, x, condition)

        # Neither fused attention nor products in brain floats have forward derivatives.
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), precise(t):
            tangents = (torch.ones_like(t), sample.u)
            slope = torch.func.jvp(average, (t, sample.x), tangents)[1]
            target = sample.u + (r - t)[:, None] * slope
        error = ((average(t, sample.x) - target) / self.unit).square().sum(dim=1)
        weight = (error.detach() + self.offset) ** -self.power
        return (weight * error).mean()
