"""Scores of the fate benchmark in closed form."""

import sys
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks" / "fates"


@pytest.fixture
def scores(monkeypatch):
    """The module `benchmarks/fates/scores.py`."""
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.delitem(sys.modules, "scores", raising=False)
    import scores as module

    yield module
    sys.modules.pop("scores", None)


def pairs(p):
    """Probabilities of two fates."""
    return np.column_stack([p, 1 - np.asarray(p)])


def test_the_brier_score_of_two_fates_is_that_of_either(scores):
    truth, predicted = pairs([1.0, 0.0, 0.25]), pairs([0.5, 0.0, 0.75])
    expected = np.mean([0.25, 0, 0.25 + 0.25 * 0.75])
    assert scores.brier(predicted, truth) == pytest.approx(expected)


def test_the_brier_score_is_the_mean_over_fates_drawn_from_the_truth(scores):
    rng = np.random.default_rng(0)
    truth, predicted = rng.dirichlet([1, 1, 1], 2), rng.dirichlet([1, 1, 1], 2)
    drawn = np.stack([np.eye(3)[rng.choice(3, 40_000, p=each)] for each in truth])
    empirical = ((drawn - predicted[:, None]) ** 2).sum(axis=2).mean() / 2
    assert scores.brier(predicted, truth) == pytest.approx(empirical, abs=0.005)


def test_the_truth_has_the_least_brier_score_and_is_calibrated(scores):
    truth = np.random.default_rng(1).dirichlet([1, 2], 500)
    others = [pairs(np.full(500, truth[:, 0].mean())), pairs((truth[:, 0] > 0.5) * 1.0)]
    assert all(scores.brier(truth, truth) < scores.brier(each, truth) for each in others)
    assert scores.calibration_error(truth, truth) == 0
    assert scores.squared_distance(truth, truth) == 0


def test_the_base_rate_is_calibrated_and_orders_nothing(scores):
    truth = pairs([1.0, 0.0, 0.5, 0.5])
    base = pairs(np.full(4, 0.5))
    assert scores.calibration_error(base, truth) == pytest.approx(0)
    assert scores.auroc(base, truth) == pytest.approx(0.5)


def test_certain_predictions_that_are_half_right_are_half_off(scores):
    truth, predicted = pairs(np.full(10, 0.5)), pairs([1.0] * 5 + [0.0] * 5)
    assert scores.calibration_error(predicted, truth) == pytest.approx(0.5)
    assert scores.confident_share(predicted) == 1
    assert scores.confident_right(predicted, truth) == pytest.approx(0.5)


def test_the_auroc_is_the_share_of_pairs_in_order(scores):
    rng = np.random.default_rng(2)
    q, p = rng.random(30), rng.random(30).round(1)
    weights = q[:, None] * (1 - q)[None]
    order = (p[:, None] > p[None]) + 0.5 * (p[:, None] == p[None])
    expected = (weights * order).sum() / weights.sum()
    assert scores.auroc(pairs(p), pairs(q)) == pytest.approx(expected)


def test_nothing_to_distinguish_has_no_auroc(scores):
    assert np.isnan(scores.auroc(pairs([0.5, 0.7]), pairs([1.0, 1.0])))
