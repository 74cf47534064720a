"""A time course: one population a time, in order."""

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
        Flow times, increasing, one a population.
    populations
        The populations, all of one dimension. The first of two may be noise: what is fitted then
        generates the second.
    shape
        That of one point where points lie on a grid, (channels, height, width); None for points
        that are rows of numbers.
    condition_shape
        The same of the first of its covariates, for nets that take them as a grid.
    """

    times: tuple[float, ...]
    populations: tuple[Population | Gaussian, ...]
    shape: tuple[int, ...] | None = None
    condition_shape: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if len(self.times) != len(self.populations) or len(self.times) < 2:
            raise InputError(
                f"a time course needs two or more times with one population each, got "
                f"{len(self.times)} times and {len(self.populations)} populations"
            )
        if any(later <= earlier for earlier, later in pairwise(self.times)):
            raise InputError(f"times must increase, got {self.times}")
        dims = [each.dim for each in self.populations]
        if len(set(dims)) > 1:
            raise InputError(f"populations must have one number of dimensions, got {dims}")
        noisy = [isinstance(each, Gaussian) for each in self.populations]
        if any(noisy) and noisy != [True, False]:
            raise InputError("noise can only be the first of two populations")

    @property
    def dim(self) -> int:
        """Number of dimensions of the points."""
        return self.populations[0].dim

    @property
    def finite(self) -> list[Population]:
        """Those of the populations that have points, in order of time."""
        return [each for each in self.populations if isinstance(each, Population)]

    @property
    def intervals(
        self,
    ) -> list[tuple[tuple[Population | Gaussian, Population | Gaussian], Interval]]:
        """Consecutive populations with their flow times."""
        return list(zip(pairwise(self.populations), pairwise(self.times), strict=True))

    @property
    def condition_dim(self) -> int:
        """Number of covariates of each point."""
        condition = self.finite[0].stored.condition
        return 0 if condition is None else condition.shape[1]

    def to(self, device: torch.device | str) -> Marginals:
        """The same time course on `device`."""
        return replace(self, populations=tuple(each.to(device) for each in self.populations))
