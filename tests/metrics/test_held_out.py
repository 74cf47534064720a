"""The held-out score as a whole."""

import numpy as np
import pytest

from cellflow.metrics import BASELINES, Cloud, Yardstick, make_baselines, wasserstein


@pytest.fixture
def times(rng):
    """A cloud that moves by one a time; the middle one is held out."""
    return [Cloud.of(rng.normal(size=(40, 2)) * 0.2 + [k, 0]) for k in range(3)]


@pytest.fixture
def yardstick(times):
    before, real, after = times
    return Yardstick.make(real, make_baselines(before, after, 0.5), seed=0)


def test_midpoint_is_nearest_where_cells_move_straight(times, yardstick):
    assert tuple(yardstick.baselines) == BASELINES
    middle = yardstick.baselines["midpoint"]
    for name in ("previous", "next"):
        assert yardstick.baselines[name].w1 == pytest.approx(1, abs=0.1)
        assert middle.w1 < yardstick.baselines[name].w1
    shrunken = yardstick.baselines["midpoint_0.7"]
    assert shrunken.var_ratio == pytest.approx(0.49 * middle.var_ratio)
    assert shrunken.mean_error == pytest.approx(middle.mean_error)


def test_a_baseline_measured_as_a_prediction_scores_the_same(times, yardstick):
    before, _, after = times
    score = yardstick.measure(make_baselines(before, after, 0.5)["midpoint"])
    middle = yardstick.baselines["midpoint"]
    assert (score.w1, score.w1_half, score.energy) == (middle.w1, middle.w1_half, middle.energy)
    assert score.gap_closed == 0


def test_the_real_cells_themselves_close_the_whole_gap(times):
    before, real, after = times
    yardstick = Yardstick.make(real, make_baselines(before, after, 0.2), seed=0)
    score = yardstick.measure(real)
    assert score.w1 == pytest.approx(0, abs=1e-12)
    assert score.w2 == pytest.approx(0, abs=1e-6)
    assert score.mmd == pytest.approx(0, abs=1e-7)
    assert score.gap_closed > 0.9


def test_reference_is_the_mean_distance_of_the_halves(yardstick):
    distances = [wasserstein(*pair) for pair in yardstick.halves]
    assert yardstick.reference == pytest.approx(np.mean(distances))
    for one, other in yardstick.halves:
        assert len(one) == len(other) == 20
        joined = np.concatenate([one.points, other.points])
        np.testing.assert_array_equal(np.sort(joined, 0), np.sort(yardstick.real.points, 0))


def test_weights_count_and_uniform_stands_beside(times, yardstick):
    before, real, _ = times
    both = np.concatenate([before.points, real.points])
    weights = np.r_[np.zeros(len(before)), np.ones(len(real))]
    score = yardstick.measure(Cloud.of(both, weights))
    assert score.w1 == pytest.approx(0, abs=1e-12)
    assert score.w1_uniform == pytest.approx(wasserstein(Cloud.of(both), real))
    assert score.w1_uniform > 0.3


def test_a_midpoint_at_the_reference_leaves_no_gap_to_close():
    same = Cloud.of(np.zeros((8, 2)))
    yardstick = Yardstick.make(same, make_baselines(same, same, 0.5), seed=0)
    assert np.isnan(yardstick.measure(same).gap_closed)


def test_filters_of_warnings_are_left_alone(times):
    import warnings

    before, real, after = times
    filters = list(warnings.filters)
    for seed in range(5):
        Yardstick.make(real, make_baselines(before, after, 0.5), seed=seed)
    assert warnings.filters == filters


def test_a_sample_says_how_far_it_is_from_all_cells(rng):
    every = [Cloud.of(k + rng.normal(size=(400, 3))) for k in (0, 0.2, 0.4)]
    whole = wasserstein(every[0], every[1])
    few = [cloud.drawn(50, np.random.default_rng(0)) for cloud in every]
    baselines = make_baselines(few[0], few[2], 0.5)
    previous = Yardstick.make(few[1], baselines, 0, doublings=3).baselines["previous"]
    assert previous.w1 - previous.w1_excess - 2 * previous.w1_error < whole < previous.w1
    assert previous.w1_excess == pytest.approx(3 * (previous.w1_half - previous.w1))


def test_standard_error_is_the_spread_of_fresh_samples(rng):
    def drawn(shift):
        return Cloud.of(rng.normal(size=(60, 1)) + shift)

    samples = [(drawn(0), drawn(3)) for _ in range(60)]
    spread = np.std([wasserstein(*pair) for pair in samples])
    stated = [
        Yardstick.make(real, {"midpoint": one}, 0, doublings=1).baselines["midpoint"].w1_error
        for one, real in samples[:20]
    ]
    assert np.sqrt(np.mean(np.square(stated))) == pytest.approx(spread, rel=0.3)


def test_scores_of_all_cells_have_no_error(times, yardstick):
    assert np.isnan(yardstick.measure(times[0]).w1_error)
    assert np.isnan(yardstick.baselines["next"].w1_excess)


def test_same_seed_same_yardstick(times, yardstick):
    before, real, after = times
    again = Yardstick.make(real, make_baselines(before, after, 0.5), seed=0)
    assert again.baselines == yardstick.baselines
    assert again.reference == yardstick.reference
