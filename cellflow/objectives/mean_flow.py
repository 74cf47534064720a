"""Mean flows: regression of the average velocity, which moves points in a single step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from cellflow._batch import Pairs
from cellflow._random import uniform_like
from cellflow._typing import Condition, Points, Rows, Scalar
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
class Guidance:
    """Classifier-free guidance in the target (Geng et al. 2025, arXiv 2505.13447, section 4.2).

    With c the covariates and 0 in the place of unknown ones, the conditional velocity v is replaced
    by omega v + mix u(t, t, x | c) + (1 - omega - mix) u(t, t, x | 0), where
    omega = scale (1 - mix). Its fixed point is scale v(t, x | c) + (1 - scale) v(t, x | 0).

    Attributes
    ----------
    scale
        Weight of the velocity that depends on the covariates; 1 is no guidance.
    mix
        Share of the first velocity that is the network's own, which varies less than that of a
        pair.
    drop
        Probability that the covariates of a row are replaced by 0. The velocity of such a row is
        not guided, and learned at r = t, where alone it is needed.
    """

    scale: float
    mix: float = 0.5
    drop: float = 0.1


@dataclass(frozen=True)
class MeanFlow:
    """Regression of the average velocity u(t, r, x) on the MeanFlow identity.

    (r - t) u = integral of v from t to r implies u = v + (r - t) du/dt along the flow, for fixed r
    (Geng et al. 2025, arXiv 2505.13447, equation 6, with t and r exchanged). The target is the
    right-hand side with the conditional velocity as v, and du/dt by one Jacobian-vector product;
    gradients are stopped. The identity holds for r < t and r > t, so the flow is learned forward
    and backward.

    du/dt is the derivative along a velocity. With that of the pair, as first published, the noise
    of pairs enters the target twice; with the network's own u(t, t, x) it enters once (improved
    mean flows, Geng et al. 2025, arXiv 2512.02012).

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
    times, r_times
        Draw t and r.
    own_tangent
        Whether du/dt is along the network's own velocity instead of that of the pair.
    guidance
        Guidance by the covariates; None for none.
    """

    path: Path
    anchored: float = 0.75
    power: float = 1.0
    offset: float = 0.01
    unit: float = 1.0
    times: TimeSampler = uniform_times
    r_times: TimeSampler = uniform_times
    own_tangent: bool = False
    guidance: Guidance | None = None

    def loss(self, net: Fields, pairs: Pairs, generator: torch.Generator) -> Scalar:
        """Return the loss of one batch."""
        t = self.times(pairs, generator)
        r = self.r_times(pairs, generator)
        free = uniform_like(t, generator) >= self.anchored
        condition = condition_at(pairs, t)
        known = torch.ones_like(free)
        if self.guidance is not None and condition is not None:
            known = uniform_like(t, generator) >= self.guidance.drop
            condition = condition * known[:, None]
        r = torch.where(free & known, r, t)
        sample = sample_path(self.path, pairs, t, generator)

        def average(t: Tensor, x: Tensor) -> Tensor:
            return net.average(t, r, x, condition)

        # One pass gives u and du/dt, so that dropout and rounding are the same in both. Fused
        # attention and bf16 products have no forward-mode derivative.
        with sdpa_kernel(SDPBackend.MATH), disable_autocast(t):
            velocity = self._guided(net, t, sample.x, sample.u, condition, known)
            along = _velocity(net, t, sample.x, condition) if self.own_tangent else velocity
            value, slope = torch.func.jvp(  # type: ignore[misc]  # three values only with `has_aux`
                average, (t, sample.x), (torch.ones_like(t), along)
            )
        target = velocity + (r - t)[:, None] * slope.detach()
        error = ((value - target) / self.unit).square().sum(dim=1)
        weight = (error.detach() + self.offset) ** -self.power
        return (weight * error).mean()

    def _guided(
        self, net: Fields, t: Rows, x: Points, u: Points, condition: Condition | None, known: Tensor
    ) -> Points:
        """Return the guided velocity, that of the pair where covariates were replaced."""
        if self.guidance is None or condition is None:
            return u
        scale, mix = self.guidance.scale, self.guidance.mix
        omega = scale * (1 - mix)
        own = _velocity(net, t, x, condition)
        unknown = _velocity(net, t, x, torch.zeros_like(condition))
        guided = omega * u + mix * own + (1 - omega - mix) * unknown
        return torch.where(known[:, None], guided, u)


@torch.no_grad()
def _velocity(net: Fields, t: Rows, x: Points, condition: Condition | None) -> Points:
    """Return the network's velocity u(t, t, x), without dropout."""
    with _evaluating(net):
        return net.velocity(t, x, condition)


@contextmanager
def _evaluating(net: Fields) -> Iterator[None]:
    was_training = net.training
    net.eval()
    try:
        yield
    finally:
        net.train(was_training)
