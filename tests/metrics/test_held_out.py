"""The held-out score as a whole."""

import numpy as np
import pytest

from cellflow.metrics import BASELINES, Cloud, make_baselines, score_held_out, wasserstein


@pytest.fixture
def times(rng):
    """A cloud that moves by one a time; the middle one is held out."""
    return [Cloud.of(rng.normal(size=(40, 2)) * 0.2 + [k, 0]) for k in range(3)]


def test_midpoint_is_nearest_where_cells_move_straight(times, rng):
    before, real, after = times
    baselines = make_baselines(before, after, 0.5)
    score = score_held_out(baselines["midpoint"], baselines, real, rng)
    assert tuple(score.baselines) == BASELINES
    assert score.method.w1 == score.baselines["midpoint"].w1
    for name in ("previous", "next"):
        assert score.baselines[name].w1 == pytest.approx(1, abs=0.1)
        assert score.baselines["midpoint"].w1 < score.baselines[name].w1
    assert score.baselines["midpoint_0.7"].var_ratio == pytest.approx(
        0.49 * score.baselines["midpoint"].var_ratio
    )


def test_the_real_cells_themselves_close_the_whole_gap(times, rng):
    before, real, after = times
    baselines = make_baselines(before, after, 0.3)
    score = score_held_out(real, baselines, real, rng)
    assert score.method.w1 == pytest.approx(0, abs=1e-12)
    assert score.w2 == pytest.approx(0, abs=1e-6)
    assert score.mmd == pytest.approx(0, abs=1e-7)
    assert score.gap_closed > 0.9


def test_weights_count_and_uniform_stands_beside(times, rng):
    before, real, after = times
    both = np.concatenate([before.points, real.points])
    weights = np.r_[np.zeros(len(before)), np.ones(len(real))]
    score = score_held_out(Cloud.of(both, weights), make_baselines(before, after, 0.5), real, rng)
    assert score.method.w1 == pytest.approx(0, abs=1e-12)
    assert score.w1_uniform == pytest.approx(wasserstein(Cloud.of(both), real))
    assert score.w1_uniform > 0.3


def test_same_generator_same_score(times):
    before, real, after = times
    baselines = make_baselines(before, after, 0.5)
    scores = [score_held_out(before, baselines, real, np.random.default_rng(3)) for _ in range(2)]
    assert scores[0] == scores[1]
