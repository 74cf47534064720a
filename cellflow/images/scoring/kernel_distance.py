"""The kernel distance: unbiased squared MMD of the cubic kernel, which needs no Gaussians."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from cellflow._checks import check_positive
from cellflow._errors import InputError
from cellflow._typing import OtherPoints, Points

#: Entries of kernel matrices in memory at a time.
_ENTRIES = 2**22


@dataclass(frozen=True)
class KernelDistance:
    """Mean and standard deviation of the kernel distance over subsets.

    Attributes
    ----------
    mean
        Unbiased, so it can be slightly negative for two samples of one distribution.
    std
        Standard deviation over the subsets, with divisor `subsets`; not an error of the mean, as
        subsets overlap.
    subsets, subset_size
        Their number, and points of each side in one of them.
    """

    mean: float
    std: float
    subsets: int
    subset_size: int


def kernel_distance(
    x: Points,
    y: OtherPoints,
    generator: torch.Generator,
    subsets: int = 100,
    subset_size: int = 1000,
) -> KernelDistance:
    """Return the squared MMD with kernel (x . y / d + 1)^3, over subsets without replacement.

    On Inception features it is the KID (Binkowski et al. 2018, section 4). Unlike that of the
    Frechet distance, its expectation does not depend on the number of points, only its spread does.

    Parameters
    ----------
    x, y
        Features, (n, d) and (m, d), on any device.
    generator
        Source of the subsets.
    subsets
        Their number.
    subset_size
        Points of each side in a subset. If a sample has fewer, subsets are as large as the
        smaller sample, which each of them contains whole; if both are as small, all subsets are
        equal and `std` is zero.

    Raises
    ------
    InputError
        For fewer than two points on a side, or features of different dimensions.
    """
    check_positive(subsets, "subsets")
    if x.shape[1] != y.shape[1]:
        raise InputError(f"features must have equal dimensions, got {x.shape[1]} and {y.shape[1]}")
    size = min(subset_size, len(x), len(y))
    if size < 2:
        raise InputError(f"a subset needs 2 points or more of each side, got {size}")
    at_once = max(1, _ENTRIES // (size * max(size, x.shape[1])))
    parts = []
    for start in range(0, subsets, at_once):
        # Drawn one by one, so that the subsets do not depend on the number computed at once.
        rows = [
            (_rows(len(x), size, generator), _rows(len(y), size, generator))
            for _ in range(min(at_once, subsets - start))
        ]
        of_x, of_y = (torch.stack(side) for side in zip(*rows, strict=True))
        parts.append(_square_mmd(x[of_x.to(x.device)].double(), y[of_y.to(y.device)].double()))
    values = torch.cat(parts).cpu().numpy()
    return KernelDistance(float(np.mean(values)), float(np.std(values)), subsets, size)


def _rows(n: int, size: int, generator: torch.Generator) -> Tensor:
    return torch.randperm(n, generator=generator, device=generator.device)[:size]


def _square_mmd(x: Float[Tensor, "s k d"], y: Float[Tensor, "s k d"]) -> Float[Tensor, " s"]:
    """Return the unbiased estimate, without pairs of a point with itself."""
    within = _mean_of_pairs(_cubic(x, x)) + _mean_of_pairs(_cubic(y, y))
    return within - 2 * _cubic(x, y).mean(dim=(1, 2))


def _cubic(x: Tensor, y: Tensor) -> Tensor:
    return (x @ y.mT / x.shape[2] + 1) ** 3


def _mean_of_pairs(kernel: Tensor) -> Tensor:
    n = kernel.shape[1]
    others = kernel.sum(dim=(1, 2)) - kernel.diagonal(dim1=1, dim2=2).sum(dim=1)
    return others / (n * (n - 1))
