"""Scores of fate probabilities against true ones.

Arrays are (n cells, k fates), rows sum to one. Where there are two fates, the Brier score is that
of either; with more it is half the sum over fates, so that one scale serves all.
"""

from __future__ import annotations

import numpy as np
from sklearn.metrics import roc_auc_score

BINS = 10


def score_fates(predicted: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Return all scores of some cells."""
    return {
        "brier": brier(predicted, truth),
        "squared_distance": squared_distance(predicted, truth),
        "calibration_error": calibration_error(predicted, truth),
        "auroc": auroc(predicted, truth),
        "confident": confident_share(predicted),
        "confident_right": confident_right(predicted, truth),
    }


def brier(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Return the expected Brier score against a fate drawn from the true probabilities."""
    noise = (truth * (1 - truth)).sum(axis=1) / 2
    return squared_distance(predicted, truth) + float(noise.mean())


def squared_distance(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Return the mean squared distance to the true probabilities."""
    return float(((predicted - truth) ** 2).sum(axis=1).mean() / 2)


def calibration_error(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Return the expected calibration error over ten bins of equal width.

    In each bin the mean prediction is compared with the mean true probability; bins are weighted by
    their entries. All fates are pooled.
    """
    table = reliability(predicted, truth)
    gap = np.abs(table[:, 0] - table[:, 1])
    return float((gap * table[:, 2]).sum() / table[:, 2].sum())


def reliability(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return mean prediction, mean true probability and number of entries of each filled bin."""
    p, q = predicted.ravel(), truth.ravel()
    places = np.minimum((p * BINS).astype(int), BINS - 1)
    counts = np.bincount(places, minlength=BINS)
    filled = counts > 0
    sums = [np.bincount(places, each, minlength=BINS)[filled] for each in (p, q)]
    return np.column_stack([each / counts[filled] for each in sums] + [counts[filled]])


def auroc(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Return the mean over fates of the area under the ROC curve, for a fate drawn from the truth.

    Each cell counts as one that has the fate with its true probability, and as one that has it not
    with the rest. NaN if nothing distinguishes the cells.
    """
    areas = []
    for p, q in zip(predicted.T, truth.T, strict=True):
        weights = np.concatenate([q, 1 - q])
        has = np.repeat([1, 0], len(q))
        if weights[has == 1].sum() > 0 and weights[has == 0].sum() > 0:
            areas.append(roc_auc_score(has, np.tile(p, 2), sample_weight=weights))
    return float(np.mean(areas)) if areas else float("nan")


def confident_share(predicted: np.ndarray, level: float = 0.95) -> float:
    """Return the share of cells with a fate above `level`."""
    return float((predicted.max(axis=1) > level).mean())


def confident_right(predicted: np.ndarray, truth: np.ndarray, level: float = 0.95) -> float:
    """Return how often the fate named above `level` comes true; NaN if none is."""
    sure = predicted.max(axis=1) > level
    named = predicted[sure].argmax(axis=1)
    return float(truth[sure][np.arange(len(named)), named].mean()) if sure.any() else float("nan")
