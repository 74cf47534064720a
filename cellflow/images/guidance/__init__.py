"""Guided sampling: autoguidance by a weaker flow, and guidance by a discriminator.

`images.sample` takes one of the two as `guidance`; both have a `name` for tables, a number of
trajectories per image, and a `bind` that checks them against a flow.
"""

from __future__ import annotations

from typing import Protocol

import torch

from cellflow.flow import Flow
from cellflow.images.encoders import Encoder
from cellflow.images.space import ImageSpace
from cellflow.integrate import Solution


class Integrate(Protocol):
    """Integrate a batch from time 0: images `rows`, with these conditions, starts and labels."""

    def __call__(
        self,
        condition: torch.Tensor | None,
        starts: torch.Tensor,
        rows: torch.Tensor,
        labels: torch.Tensor,
        **options: object,
    ) -> Solution:
        """Return the positions at the `times` among the options of `cellflow.integrate.solve`."""
        ...


class Guidance(Protocol):
    """A modification of the velocity, or of the sampler, that `images.sample` integrates."""

    @property
    def name(self) -> str:
        """Suffix of the solver's name in tables."""
        ...

    @property
    def n_trajectories(self) -> int:
        """Trajectories integrated for each image."""
        ...

    def bind(
        self,
        flow: Flow,
        space: ImageSpace,
        *,
        encoder: Encoder | None,
        solver: str,
        n: int,
        generator: torch.Generator,
    ) -> Integrate:
        """Check the guidance against `flow`, and return the integration of `n` images."""
        ...
