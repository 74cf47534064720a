"""How sampling is guided by a discriminator, and by which one."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cellflow._errors import CellflowWarning, InputError
from cellflow._typing import Condition, Points
from cellflow.flow import Discriminator, DiscriminatorGuidance, Flow
from cellflow.integrate import Solution


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
    path = flow.settings["method"]["path"]
    if path != "straight":
        raise InputError(
            f"guidance is for flows on path 'straight', whose points are images with noise, not on "
            f"{path!r}"
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
