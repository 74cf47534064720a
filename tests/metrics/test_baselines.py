"""The held-out score as a whole."""

from dataclasses import astuple
from itertools import combinations

import numpy as np
import pytest

from cellflow.metrics import BASELINES, Baselines, Cloud, make_baselines, wasserstein


@pytest.fixture
def times(rng):
    """A cloud that moves by one a time; the middle one is held out."""
    return [Cloud.of(rng.normal(size=(40, 2)) * 0.2 + [k, 0]) for k in range(3)]


@pytest.fixture
def baselines(times):
    before, real, after = times
    return Baselines.fit(real, make_baselines(before, after, 0.5), seed=0)


def test_midpoint_is_nearest_where_cells_move_straight(times, baselines):
    assert tuple(baselines.scores) == BASELINES
    middle = baselines.scores["midpoint"]
    for name in ("previous", "next"):
        assert baselines.scores[name].w1 == pytest.approx(1, abs=0.1)
        assert middle.w1 < baselines.scores[name].w1
    shrunken = baselines.scores["midpoint_0.7"]
    assert shrunken.var_ratio == pytest.approx(0.49 * middle.var_ratio)
    assert shrunken.mean_error == pytest.approx(middle.mean_error)


def test_a_baseline_measured_as_a_prediction_scores_the_same(times, baselines):
    before, _, after = times
    score = baselines.score(make_baselines(before, after, 0.5)["midpoint"])
    middle = baselines.scores["midpoint"]
    assert (score.w1, score.w1_half, score.energy) == (middle.w1, middle.w1_half, middle.energy)
    assert score.gap_closed == 0


def test_the_real_cells_themselves_close_the_whole_gap(times):
    before, real, after = times
    baselines = Baselines.fit(real, make_baselines(before, after, 0.2), seed=0)
    score = baselines.score(real)
    assert score.w1 == pytest.approx(0, abs=1e-12)
    assert score.w2 == pytest.approx(0, abs=1e-6)
    assert score.mmd == pytest.approx(0, abs=1e-7)
    assert score.gap_closed > 0.9


def test_reference_is_the_mean_distance_of_the_halves(baselines):
    distances = [wasserstein(*pair) for pair in baselines.halves]
    assert baselines.reference == pytest.approx(np.mean(distances))
    for one, other in baselines.halves:
        assert len(one) == len(other) == 20
        joined = np.concatenate([one.points, other.points])
        np.testing.assert_array_equal(np.sort(joined, 0), np.sort(baselines.real.points, 0))


def test_references_are_written_out_for_the_quarters_of_eight_cells(rng):
    """Both halves of a split are cut in two, and all six pairs of quarters compared."""
    real = Cloud.of(rng.normal(size=(8, 1)))
    found = Baselines.fit(real, {"midpoint": real}, 0)
    halves, quarters = [], []
    for pair in found.halves:
        one, other = (half.points[:, 0] for half in pair)
        halves.append(np.abs(np.sort(one) - np.sort(other)).mean())
        four = [np.sort(points) for points in (one[:2], one[2:], other[:2], other[2:])]
        quarters += [np.abs(a - b).mean() for a, b in combinations(four, 2)]
    ratio = np.mean(halves) / np.mean(quarters)
    deviations = np.array(halves) - np.mean(halves)
    spread = np.sqrt(np.square(deviations).sum() / 4)
    assert found.w1_reference == pytest.approx(ratio * np.mean(halves), rel=1e-9)
    assert found.w1_reference_sd == pytest.approx(ratio * spread, rel=1e-9)


def test_the_reference_of_fresh_cells_is_not_above_that_of_halves():
    """With seed 37 four splits of five set the pairs apart: halves are farther than quarters."""
    pairs = Cloud.of(np.array([[0.0], [0], [1], [1]]))
    found = Baselines.fit(pairs, {"midpoint": pairs}, 37)
    assert found.reference > 2 / 3
    assert found.w1_reference == found.reference


@pytest.mark.parametrize(("dim", "n"), [(1, 80), (2, 200), (5, 100)])
def test_the_reference_is_extrapolated_to_the_distance_of_fresh_cells(rng, dim, n):
    found, fresh = [], []
    for _ in range(12):
        real, other = (Cloud.of(rng.normal(size=(n, dim))) for _ in range(2))
        fitted = Baselines.fit(real, {"midpoint": other}, seed=0)
        assert fitted.w1_reference < fitted.reference
        found.append(fitted.w1_reference)
        fresh.append(wasserstein(real, other))
    assert np.mean(found) == pytest.approx(np.mean(fresh), rel=0.06 if dim > 1 else 0.2)


def test_references_are_in_units_of_the_points_and_zero_where_all_are_one(rng):
    points = rng.normal(size=(20, 2))
    one, three, none = (
        Baselines.fit(Cloud.of(k * points), {"midpoint": Cloud.of(k * points)}, 0).references
        for k in (1, 3, 0)
    )
    assert three == pytest.approx({name: 3 * value for name, value in one.items()})
    assert set(none.values()) == {0.0}


def test_four_cells_have_references():
    four = Cloud.of(np.arange(4.0)[:, None])
    found = Baselines.fit(four, {"midpoint": four}, 0)
    assert 0 < found.w1_reference <= found.reference


def test_weights_count_and_uniform_stands_beside(times, baselines):
    before, real, _ = times
    both = np.concatenate([before.points, real.points])
    weights = np.r_[np.zeros(len(before)), np.ones(len(real))]
    score = baselines.score(Cloud.of(both, weights))
    assert score.w1 == pytest.approx(0, abs=1e-12)
    assert score.w1_uniform == pytest.approx(wasserstein(Cloud.of(both), real))
    assert score.w1_uniform > 0.3


def test_a_midpoint_at_the_reference_leaves_no_gap_to_close():
    same = Cloud.of(np.zeros((8, 2)))
    baselines = Baselines.fit(same, make_baselines(same, same, 0.5), seed=0)
    assert np.isnan(baselines.score(same).gap_closed)


def test_filters_of_warnings_are_left_alone(times):
    import warnings

    before, real, after = times
    filters = list(warnings.filters)
    for seed in range(5):
        Baselines.fit(real, make_baselines(before, after, 0.5), seed=seed)
    assert warnings.filters == filters


def test_a_sample_says_how_far_it_is_from_all_cells(rng):
    every = [Cloud.of(k + rng.normal(size=(400, 3))) for k in (0, 0.2, 0.4)]
    whole = wasserstein(every[0], every[1])
    few = [cloud.resample(50, np.random.default_rng(0)) for cloud in every]
    baselines = make_baselines(few[0], few[2], 0.5)
    previous = Baselines.fit(few[1], baselines, 0, log2_ratio=3).scores["previous"]
    assert previous.w1 - previous.w1_excess - 2 * previous.w1_error < whole < previous.w1
    assert previous.w1_excess == pytest.approx(3 * (previous.w1_half - previous.w1))


def test_standard_error_is_the_spread_of_fresh_samples(rng):
    def drawn(shift):
        return Cloud.of(rng.normal(size=(60, 1)) + shift)

    samples = [(drawn(0), drawn(3)) for _ in range(60)]
    spread = np.std([wasserstein(*pair) for pair in samples])
    stated = [
        Baselines.fit(real, {"midpoint": one}, 0, log2_ratio=1).scores["midpoint"].w1_error
        for one, real in samples[:20]
    ]
    assert np.sqrt(np.mean(np.square(stated))) == pytest.approx(spread, rel=0.3)


def test_scores_of_all_cells_have_no_error(times, baselines):
    assert np.isnan(baselines.score(times[0]).w1_error)
    assert np.isnan(baselines.scores["next"].w1_excess)


def test_same_seed_same_baselines(times, baselines):
    before, real, after = times
    again = Baselines.fit(real, make_baselines(before, after, 0.5), seed=0)
    # Some scores are NaN, which equals itself in an array only if that is asked for.
    for name, score in baselines.scores.items():
        np.testing.assert_array_equal(astuple(again.scores[name]), astuple(score))
    assert again.scores.keys() == baselines.scores.keys()
    assert again.reference == baselines.reference
