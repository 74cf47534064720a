"""Discriminator guidance: add the slope of a discriminator's log-ratio to the sampler of EDM."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from cellflow._errors import CellflowWarning, InputError
from cellflow._typing import Condition, Points, Rows
from cellflow.flow import Flow
from cellflow.images.encoders import Encoder
from cellflow.images.guidance import Integrate
from cellflow.images.guidance.discriminator import Discriminator
from cellflow.images.guidance.noisy_classifier import vp_time
from cellflow.images.space import ImageSpace
from cellflow.integrate import Solution

#: Times of the variance-preserving process between which samples are guided (Kim et al. 2023).
FIRST, LAST = 0.01, 1.0

#: Boosting: steps between two additions of noise, the noise in units of `S_churn`, steps between
#: two with stronger guidance, and its factor (Kim et al. 2023, their code).
_CHURN_EVERY, _CHURN, _WEIGH_EVERY, _FACTOR = 5, 4.0, 2, 2.0

#: Largest relative increase of a level of noise (Karras et al. 2022, arXiv 2206.00364).
_MOST = math.sqrt(2) - 1


@dataclass(frozen=True)
class DiscriminatorGuidance:
    """Guidance by a discriminator of real and generated images, with solver `edm-heun`.

    Parameters
    ----------
    discriminator
        Discriminator returned by `train_discriminator`.
    weight
        Weight of the guidance at the start of a step, or a pair of weights, for start and end.
        None uses the published 2, or 1 for a discriminator that depends on classes.
    boost
        Whether samples that look generated get noise and stronger guidance; they then depend on the
        batch size. None boosts with classes only, as published.

    Raises
    ------
    InputError
        For weights that are negative, not finite, or more than two.

    References
    ----------
    Kim et al. 2023, arXiv 2211.17091.
    """

    discriminator: Discriminator
    weight: float | Sequence[float] | None = None
    boost: bool | None = None

    def __post_init__(self) -> None:
        if not all(0 <= each < float("inf") for each in self.weights):
            raise InputError(f"weights of the guidance must be at least 0, got {self.weight}")

    @property
    def weights(self) -> tuple[float, float]:
        """Weights at the start and at the end of a step."""
        if self.weight is None:
            return (1.0 if self.discriminator.condition_dim else 2.0), 0.0
        if not isinstance(self.weight, Sequence):
            return float(self.weight), 0.0
        if len(self.weight) != 2:
            raise InputError(f"weight must be one number or two, got {self.weight}")
        first, second = self.weight
        return float(first), float(second)

    @property
    def boosts(self) -> bool:
        """Whether samples that look generated are boosted."""
        return self.discriminator.condition_dim > 0 if self.boost is None else self.boost

    @property
    def name(self) -> str:
        """Suffix of the solver's name in tables."""
        first, second = self.weights
        weights = f"{first:g}" + (f":{second:g}" if second else "")
        return f"+dg:{weights}" + ("+boost" if self.boosts else "")

    @property
    def n_trajectories(self) -> int:
        """Trajectories integrated for each image."""
        return 1

    def bind(
        self,
        flow: Flow,
        space: ImageSpace,  # noqa: ARG002
        *,
        encoder: Encoder | None,  # noqa: ARG002
        solver: str,
        n: int,  # noqa: ARG002
        generator: torch.Generator,
    ) -> Integrate:
        """Check the discriminator against `flow`.

        Parameters
        ----------
        flow
            The flow that is guided.
        space
            Its space.
        encoder
            Your own encoder, for flows in its latents.
        solver
            Solver of the samples.
        n
            Number of images.
        generator
            Source of further random draws.

        Returns
        -------
        The integration of a batch.
        """
        check_guidable(flow)
        if solver != "edm-heun":
            raise InputError(f"discriminator guidance requires solver 'edm-heun', got {solver!r}")
        _check_fit(flow, self.discriminator)
        return partial(self._integrate, flow, generator)

    def _integrate(
        self,
        flow: Flow,
        generator: torch.Generator,
        condition: Condition | None,
        starts: Points,
        rows: Tensor,  # noqa: ARG002
        labels: Tensor,  # noqa: ARG002
        **options: Any,
    ) -> Solution:
        """Integrate a batch; `rows` and `labels` are those of `Integrate`."""
        guide = DiscriminatorGuide(
            self.discriminator,
            self.weights,
            condition=condition,
            boost=self.boosts,
            generator=generator,
        )
        return flow.trajectory(starts, condition=condition, guide=guide, **options)


@runtime_checkable
class LogRatio(Protocol):
    """An estimate of the log-ratio of the densities of real and generated noisy points."""

    def log_ratio(self, sigma: Rows, x: Points, condition: Condition | None = None) -> Rows:
        """Return the log-ratio at `x` = y + sigma n; gradients reach `x`."""
        ...


class DiscriminatorGuide:
    """A `Guide` of the sampler of EDM (Kim et al. 2023, arXiv 2211.17091, algorithm 1).

    Let the flow generate points of density p, and q be that of the data, both with noise sigma. The
    slope of the flow is -sigma grad ln p. With L = ln q / p, adding -sigma grad L makes it that of
    the data. Samples are guided at times from 0.01 to 1 of the variance-preserving process, sigma
    from 0.045.

    Boosting: every fifth step adds noise to samples whose log-ratio L was negative at the step
    before, and every second step doubles their guidance of order 1.

    Parameters
    ----------
    ratio
        Estimate of L.
    weights
        Factors of the guidance at the start and at the end of a step; 0 disables it.
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
        """Return noise levels and points at the start of a step; boosted points get more noise."""
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
        """Return -w sigma grad L, or zero at times without guidance."""
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
        """Return L and its gradient."""
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            ratio = self.ratio.log_ratio(sigma, x, self.condition)
            (gradient,) = torch.autograd.grad(ratio.sum(), x)
        return ratio.detach(), gradient


def check_guidable(flow: Flow) -> None:
    """Check that the points of a flow are images with Gaussian noise.

    Raises
    ------
    InputError
        For a flow of average velocities, from points, or on paths that are not straight.
    """
    if flow.is_mean_flow:
        raise InputError(
            "this flow has an average velocity; discriminator guidance requires one that is "
            "integrated in steps"
        )
    if not flow.inputs.from_noise:
        raise InputError("this flow starts from images; discriminator guidance requires noise")
    path = flow.method.path
    if not path.is_straight:
        raise InputError(
            "discriminator guidance requires path 'straight', whose points are images with noise; "
            f"this flow has path {path.name!r}"
        )


def _check_fit(flow: Flow, discriminator: Discriminator) -> None:
    mine = (discriminator.net.dim, discriminator.condition_dim)
    theirs = (flow.dim, flow.condition_dim)
    if mine != theirs:
        raise InputError(
            f"the discriminator takes points with {mine[0]} coordinates and {mine[1]} covariates, "
            f"the flow has {theirs[0]} and {theirs[1]}: train it with this flow"
        )
    if discriminator.settings.get("flow") not in (None, flow.fingerprint):
        warnings.warn(
            "the discriminator was trained on images of another flow than the one it guides",
            CellflowWarning,
            stacklevel=4,
        )
