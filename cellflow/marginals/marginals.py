"""Marginals of a time course: one population per flow time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import torch

from cellflow._batch import Interval
from cellflow._errors import InputError
from cellflow.marginals.gaussian import Gaussian
from cellflow.marginals.population import Population


@dataclass(frozen=True)
class Marginals:
    """Populations at increasing flow times.

    Attributes
    ----------
    times
        Flow times, increasing, one per population.
    populations
        The populations, of equal dimension. The first of two may be noise; the flow then generates
        the second.
    shape
        Shape of one point on a grid, (channels, height, width); None for vectors.
    condition_shape
        Shape of the leading covariates of one point, for nets that take them as a grid.
    """

    times: tuple[float, ...]
    populations: tuple[Population | Gaussian, ...]
    shape: tuple[int, ...] | None = None
    condition_shape: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if len(self.times) != len(self.populations) or len(self.times) < 2:
            raise InputError(
                f"a time course requires two or more times with one population each, got "
                f"{len(self.times)} times and {len(self.populations)} populations"
            )
        if any(later <= earlier for earlier, later in pairwise(self.times)):
            raise InputError(f"times must increase, got {self.times}")
        dims = [each.dim for each in self.populations]
        if len(set(dims)) > 1:
            raise InputError(f"populations must have equal numbers of dimensions, got {dims}")
        noisy = [isinstance(each, Gaussian) for each in self.populations]
        if any(noisy) and noisy != [True, False]:
            raise InputError("noise can only be the first of two populations")

    @property
    def dim(self) -> int:
        """Number of dimensions of the points."""
        return self.populations[0].dim

    @property
    def finite(self) -> list[Population]:
        """Populations that are not noise, in order of time."""
        return [each for each in self.populations if isinstance(each, Population)]

    @property
    def intervals(
        self,
    ) -> list[tuple[tuple[Population | Gaussian, Population | Gaussian], Interval]]:
        """Pairs of consecutive populations with their flow times."""
        return list(zip(pairwise(self.populations), pairwise(self.times), strict=True))

    @property
    def condition_dim(self) -> int:
        """Number of covariates per point."""
        condition = self.finite[0].stored.condition
        return 0 if condition is None else condition.shape[1]

    def to(self, device: torch.device | str) -> Marginals:
        """Return a copy on `device`."""
        return replace(self, populations=tuple(each.to(device) for each in self.populations))
