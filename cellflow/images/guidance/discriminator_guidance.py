"""Discriminator guidance: a sampler that is led to where images look real."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from cellflow._errors import CellflowWarning, InputError
from cellflow._typing import Condition, Points, Rows
from cellflow.flow import Flow
from cellflow.images.guidance.discriminator import Discriminator
from cellflow.images.guidance.noisy_classifier import vp_time
from cellflow.integrate import Solution

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


@dataclass(frozen=True)
class Guiding:
    """A discriminator with how much it weighs.

    Attributes
    ----------
    discriminator
        Of `train_discriminator`.
    weights
        Of guidance where a step begins, and at its end.
    boost
        Whether images that do not look real get more of it.
    generator
        Source of the noise of boosting.
    """

    discriminator: Discriminator
    weights: tuple[float, float]
    boost: bool
    generator: torch.Generator

    @classmethod
    def of(
        cls,
        flow: Flow,
        discriminator: Discriminator | None,
        weight: float | Sequence[float] | None,
        boost: bool | None,
        *,
        solver: str | None,
        generator: torch.Generator,
    ) -> Guiding | None:
        """What the options of `sample` ask for; None without a discriminator.

        Raises
        ------
        InputError
            For a discriminator of other points or classes, another solver than `edm-heun`, weights
            that are none, or weights or boosting without a discriminator.
        """
        if discriminator is None:
            if weight is not None or boost is not None:
                raise InputError("a weight of guidance and boosting need a discriminator")
            return None
        check_guidable(flow)
        if solver != "edm-heun":
            raise InputError(f"guidance goes with solver 'edm-heun', not with {solver!r}")
        _check_fit(flow, discriminator)
        conditional = discriminator.condition_dim > 0
        chosen = _weights((1.0 if conditional else 2.0) if weight is None else weight)
        boost = conditional if boost is None else boost
        return cls(discriminator, chosen, boost, generator)

    def carried(
        self,
        flow: Flow,
        condition: Condition | None,
        starts: Points,
        _rows: Tensor,
        _labels: Tensor,
        times: Sequence[float],
        **options: Any,
    ) -> Solution:
        """A batch of images."""
        guide = DiscriminatorGuidance(
            self.discriminator,
            self.weights,
            condition=condition,
            boost=self.boost,
            generator=self.generator,
        )
        return flow.trajectory(starts, times, condition=condition, guide=guide, **options)

    @property
    def named(self) -> str:
        """What is added to the name of the solver."""
        first, second = self.weights
        weights = f"{first:g}" + (f":{second:g}" if second else "")
        return f"+dg:{weights}" + ("+boost" if self.boost else "")


def check_guidable(flow: Flow) -> None:
    """Refuse flows whose points are no noisy images.

    Raises
    ------
    InputError
        For a flow of average velocities, from points, or on paths that are not straight.
    """
    if "average" in flow.nets.roles:
        raise InputError("this flow has an average velocity, which takes no steps to guide")
    if not flow.settings.get("from_noise", True):
        raise InputError("this flow starts from images, and guidance is for flows from noise")
    path = flow.method.path
    if not path.is_straight:
        raise InputError(
            f"guidance is for flows on path 'straight', whose points are images with noise, not on "
            f"{path.name!r}"
        )


def _check_fit(flow: Flow, discriminator: Discriminator) -> None:
    mine = (discriminator.net.dim, discriminator.condition_dim)
    theirs = (flow.dim, flow.condition_dim)
    if mine != theirs:
        raise InputError(
            f"the discriminator is of points with {mine[0]} coordinates and {mine[1]} covariates, "
            f"the flow of {theirs[0]} and {theirs[1]}: train it with this flow"
        )
    if discriminator.settings.get("flow") not in (None, flow.fingerprint):
        warnings.warn(
            "the discriminator was trained on images of another flow than the one it guides",
            CellflowWarning,
            stacklevel=4,
        )


def _weights(weight: float | Sequence[float]) -> tuple[float, float]:
    pair = tuple(weight) if isinstance(weight, Sequence) else (weight, 0.0)
    if len(pair) != 2 or not all(0 <= each < float("inf") for each in pair):
        raise InputError(
            f"discriminator_weight must be a number from 0 or two, of first and second order; got "
            f"{weight}"
        )
    return float(pair[0]), float(pair[1])
