"""Discriminator guidance: a sampler that is led to where images look real."""

from __future__ import annotations

import math
from typing import Protocol, runtime_checkable

import torch

from cellflow._typing import Condition, Points, Rows
from cellflow.nets import vp_time

#: Times of the variance-preserving process between which there is guidance (Kim et al. 2023).
FIRST, LAST = 0.01, 1.0

#: Boosting: steps between two at which noise is added, the noise in units of `S_churn`, and steps
#: between two at which guidance is stronger, and how much (Kim et al. 2023, their code).
_CHURN_EVERY, _CHURN, _WEIGH_EVERY, _FACTOR = 5, 4.0, 2, 2.0

#: Most by which a level of noise is raised at once (Karras et al. 2022, arXiv 2206.00364).
_MOST = math.sqrt(2) - 1


@runtime_checkable
class LogRatio(Protocol):
    """Whatever knows a log-ratio of densities, real to generated, of noisy points."""

    def log_ratio(self, sigma: Rows, x: Points, condition: Condition | None = None) -> Rows:
        """The log-ratio at `x` = y + sigma n; gradients reach `x`."""
        ...


class DiscriminatorGuidance:
    """A guide of the sampler of EDM (Kim et al. 2023, arXiv 2211.17091, algorithm 1).

    Where the flow makes points of density p, and q is that of the data, both with noise sigma, its
    slope is -sigma grad ln p. With L = ln q / p, adding -sigma grad L makes it that of the data.
    Guidance is there at times from 0.01 to 1 of the variance-preserving process, sigma from 0.045.

    Boosting helps those that do not look real, L < 0: in every fifth step they begin with more
    noise, where L is that of the step before, and in every second their guidance of order 1 is
    doubled.

    Parameters
    ----------
    ratio
        Knows L.
    weights
        What guidance is multiplied by where a step begins, and at its end; 0 for none.
    condition
        Covariates of the points, shape (n, c).
    boost
        Whether to boost.
    generator
        Source of the noise of boosting.
    """

    def __init__(
        self,
        ratio: LogRatio,
        weights: tuple[float, float],
        *,
        condition: Condition | None = None,
        boost: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        self.ratio, self.weights, self.condition = ratio, weights, condition
        self.boost, self.generator = boost, generator
        self._last: Rows | None = None

    def add_noise(self, step: int, n_steps: int, sigma: Rows, x: Points) -> tuple[Rows, Points]:
        """Levels and points that a step begins with: boosted ones get noise."""
        if step == 0:
            self._last = None
        if not self.boost or self._last is None or step % _CHURN_EVERY:
            return sigma, x
        share = min(_CHURN / n_steps, _MOST)
        higher = torch.where(self._last < 0, (1 + share) * sigma, sigma)
        device = None if self.generator is None else self.generator.device
        noise = torch.randn(x.shape, generator=self.generator, device=device, dtype=x.dtype)
        added = (higher.square() - sigma.square()).sqrt()
        return higher, x + added[:, None] * noise.to(x.device)

    def slope_correction(self, step: int, order: int, sigma: Rows, x: Points) -> Points:
        """-w sigma grad L, zero outside of the times where there is guidance."""
        weight = self.weights[order - 1]
        tau = vp_time(sigma)
        guided = (tau >= FIRST) & (tau <= LAST)
        if not weight or not guided.any():
            if order == 1:
                self._last = None
            return torch.zeros_like(x)
        ratio, gradient = self._gradient(sigma, x)
        factors = torch.where(guided, weight * sigma, 0.0)
        if order == 1:
            self._last = torch.where(guided, ratio, torch.inf)
            if self.boost and step % _WEIGH_EVERY == 0:
                factors = torch.where(ratio < 0, _FACTOR * factors, factors)
        return -factors[:, None] * gradient

    def _gradient(self, sigma: Rows, x: Points) -> tuple[Rows, Points]:
        """L and its gradient."""
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            ratio = self.ratio.log_ratio(sigma, x, self.condition)
            (gradient,) = torch.autograd.grad(ratio.sum(), x)
        return ratio.detach(), gradient
