"""Precision and recall: the share of one sample within the support of the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from cellflow._errors import InputError
from cellflow._typing import OtherPoints, Points, Rows

#: Distances in memory at a time.
_ENTRIES = 2**24


class PrecisionRecall(NamedTuple):
    """Precision and recall, shares from 0 to 1.

    Attributes
    ----------
    precision
        Share of the generated points that lie within the support of the real ones: fidelity.
    recall
        Share of the real points that lie within the support of the generated ones: diversity.
    """

    precision: float
    recall: float


def precision_recall(real: Points, generated: OtherPoints, k: int = 3) -> PrecisionRecall:
    """Return precision and recall of Kynkaanniemi et al. 2019, equations 1 and 2.

    The support of a sample is the union of balls around its points, each with the distance to the
    point's `k`-th nearest neighbour in the sample as radius. Both shares depend on the numbers of
    points, so compare at equal numbers only.

    Parameters
    ----------
    real, generated
        Features, (n, d) and (m, d), on one device, more than `k` each. Time grows with
        (n + m)^2 d; memory with n + m, as distances are made in chunks.
    k
        Number of the neighbour that sets the radius of a ball.
    """
    if real.shape[1] != generated.shape[1]:
        raise InputError(
            f"features must have equal dimensions, got {real.shape[1]} and {generated.shape[1]}"
        )
    if not 1 <= k < min(len(real), len(generated)):
        raise InputError(
            f"neighbour k = {k} needs more than k points on each side, "
            f"got {len(real)} real and {len(generated)} generated"
        )
    # Distances by matrix products are exact to rounding errors of the norms: keep those small.
    centre = real.double().mean(dim=0)
    real, generated = real.double() - centre, generated.double() - centre
    return PrecisionRecall(
        precision=_share_within(generated, real, _radii(real, k)),
        recall=_share_within(real, generated, _radii(generated, k)),
    )


def _radii(points: Points, k: int) -> Rows:
    """Return the distance of each point to its `k`-th nearest neighbour, itself excluded."""
    return torch.cat([distances.kthvalue(k + 1).values for distances in _distances(points, points)])


def _share_within(points: Points, centres: OtherPoints, radii: Tensor) -> float:
    inside = [(distances <= radii).any(dim=1).double() for distances in _distances(points, centres)]
    return float(torch.cat(inside).mean())


def _distances(points: Points, centres: OtherPoints) -> Iterator[Tensor]:
    """Iterate over blocks of rows of the distance matrix."""
    for part in torch.split(points, max(1, _ENTRIES // len(centres))):
        yield torch.cdist(part, centres)
