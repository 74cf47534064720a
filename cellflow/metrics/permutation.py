"""Distances between two groups of points under permuted labels, and a test over several times."""

from __future__ import annotations

import numpy as np

#: Share of the spread of permuted distances within which two distances are equal.
_TIE = 1e-9


def split_distances(between: np.ndarray, labels: np.ndarray, *, self_pairs: bool) -> np.ndarray:
    """Compute the energy distance between two groups for several ways to label their units.

    A unit is a point, or a population of points such as a replicate. With `between` the Euclidean
    distances it is 2 E|X - Y| - E|X - X'| - E|Y - Y'| (Szekely and Rizzo 2013, equation 5), with
    half of the squared distances the squared distance of the means.

    Parameters
    ----------
    between
        Mean distance between the points of two units, symmetric, shape (n, n).
    labels
        Whether a unit is in the second group, shape (s, n); all rows have as many.
    self_pairs
        Pair units with themselves too, as populations are; without, pairs are of different points,
        so that the expectation is zero for groups of one distribution, whatever their sizes.

    Returns
    -------
    Distances, shape (s,).
    """
    second = labels.astype(np.float64)
    n = int(labels[0].sum())
    m = labels.shape[1] - n
    towards = second @ between
    total, row_sums = between.sum(), between.sum(axis=1)
    within_second = np.einsum("sn,sn->s", towards, second)
    across = second @ row_sums - within_second
    within_first = total - 2 * across - within_second
    pairs = [k * k if self_pairs else max(k * (k - 1), 1) for k in (m, n)]
    return 2 * across / (m * n) - within_first / pairs[0] - within_second / pairs[1]


def permutation_test(distances: np.ndarray, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """Test distances at several times together by the largest of them, standardised.

    Distances are standardised by the mean and spread of all labellings at their time, so the
    probability of any false alarm over all times is at most `alpha`.

    Parameters
    ----------
    distances
        Distance of each labelling at each time, shape (s, t); the first row is of true labels.
    alpha
        Probability of a false alarm.

    Returns
    -------
    For each time, the share of labellings that are as far out at any time (p), and the distance
    above which p is at most `alpha`.
    """
    centre, spread = distances.mean(axis=0), distances.std(axis=0)
    # Where all labellings give one distance, nothing can be told.
    flat = spread <= _TIE * np.abs(centre)
    scores = (distances - centre) / np.where(flat, np.inf, spread)
    largest = scores.max(axis=1)
    p = (largest[:, None] >= scores[0] - _TIE).mean(axis=0)
    level = np.sort(largest)[::-1][int(alpha * len(largest))]
    return p, centre + level * np.where(flat, 0.0, spread)
