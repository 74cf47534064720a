"""Distance between replicates of one time, at the size of the scores of predictions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cellflow.metrics.cloud import Cloud
from cellflow.metrics.distances import wasserstein

#: Baselines of a held-out replicate: the cells of the others at the same time, as they are and
#: shifted by the mean difference of the replicate from them at its neighbouring times.
OTHERS, OTHERS_SHIFTED = "others", "others_shifted"

#: Draws of cells that a squared distance is a mean of, over all comparisons together at least.
_N_DRAWS = 6


def replicate_distance(replicates: Sequence[Cloud], reference: float, seed: int) -> float:
    """Return the W1 of each replicate from the others together, at the size of a reference.

    Replicates are smaller than what is scored, and fewer cells are farther apart. So both sides of
    a comparison have as many cells as the smallest replicate, and so have random splits of the same
    cells. What the squared distances of replicates exceed those of the splits by, since squares of
    a shift and of sampling errors add, is added to the square of the reference. On simulated shifts
    and changes of composition in 2 to 20 dimensions this was within 12 % (root mean square) of the
    distance of fresh replicates, down to a tenth of the cells.

    Parameters
    ----------
    replicates
        Cells of each replicate, two or more clouds with equal weights.
    reference
        W1 that fresh cells without differences between replicates would have, at the size of
        scores: the lowest value that is returned.
    seed
        Seed of the draws.
    """
    pooled = Cloud.of(np.concatenate([each.points for each in replicates]))
    starts = np.cumsum([0, *map(len, replicates)])
    pairs = [
        (one, Cloud.of(np.delete(pooled.points, np.arange(start, start + len(one)), axis=0)))
        for one, start in zip(replicates, starts[:-1], strict=True)
    ]
    # Of two replicates, both comparisons are the same.
    pairs = pairs[: 1 if len(pairs) == 2 else None]
    m, rng = min(map(len, replicates)), np.random.default_rng(seed)
    n_draws = -(-_N_DRAWS // len(pairs))
    apart = [_distance(*pair, m, rng) for pair in pairs for _ in range(n_draws)]
    split = [_distance(*_split(pooled, m, rng), m, rng) for _ in range(_N_DRAWS)]
    excess = float(np.mean(np.square(apart)) - np.mean(np.square(split)))
    return float(np.sqrt(reference**2 + max(excess, 0.0)))


def _split(cloud: Cloud, n: int, rng: np.random.Generator) -> tuple[Cloud, Cloud]:
    """Draw two disjoint clouds of n points."""
    order = rng.permutation(len(cloud))[: 2 * n]
    return Cloud.of(cloud.points[order[:n]]), Cloud.of(cloud.points[order[n:]])


def _distance(one: Cloud, other: Cloud, n: int, rng: np.random.Generator) -> float:
    return wasserstein(one.resample(n, rng), other.resample(n, rng))
