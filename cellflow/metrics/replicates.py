"""Distance between replicates of one time, at the size of the scores of predictions."""

from __future__ import annotations

from collections.abc import Sequence
from math import log2

import numpy as np

from cellflow.metrics.cloud import Cloud
from cellflow.metrics.distances import wasserstein

#: Name of a baseline of a held-out replicate: the cells of the others at the same time.
OTHERS = "others"

#: Draws of cells that a distance is a mean of, over all comparisons together at least.
_N_DRAWS = 6


def replicate_distance(replicates: Sequence[Cloud], size: int, seed: int) -> float:
    """Return the W1 of each replicate from the others together, mean over replicates.

    Both sides of a comparison have as many cells as the smallest replicate, m. The distance is
    extrapolated to `size` cells a side by its ratio r to that of m / 2 cells, since W1 falls by
    about as much with each doubling of the cells: times r to the power of log2(size / m).

    Parameters
    ----------
    replicates
        Cells of each replicate, two or more clouds of four points or more with equal weights.
    size
        Cells that predictions are scored at.
    seed
        Seed of the draws.
    """
    pairs = [
        (one, Cloud.of(np.concatenate([each.points for each in replicates if each is not one])))
        for one in replicates
    ]
    # Of two replicates, both comparisons are the same.
    pairs = pairs[: 1 if len(replicates) == 2 else None]
    m = min(map(len, replicates))
    rng = np.random.default_rng(seed)
    n_draws = -(-_N_DRAWS // len(pairs))
    whole, half = (
        np.mean([_distance(pair, n, rng) for pair in pairs for _ in range(n_draws)])
        for n in (m, m // 2)
    )
    ratio = min(float(whole / half), 1.0) if half else 1.0
    return float(whole) * ratio ** max(log2(size / m), 0.0)


def _distance(pair: tuple[Cloud, Cloud], n: int, rng: np.random.Generator) -> float:
    one, other = (cloud.resample(n, rng) for cloud in pair)
    return wasserstein(one, other)
