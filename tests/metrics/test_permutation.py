"""Distances of labelled units against closed forms, and the test over several times."""

import numpy as np

from cellflow.metrics import Cloud, energy_distance, permutation_test, split_distances
from cellflow.transport import distances


def labels_of(n, m):
    return np.repeat([False, True], [n, m])[None]


def test_paired_with_themselves_points_have_the_energy_distance(rng):
    x, y = rng.normal(size=(9, 3)), rng.normal(size=(6, 3)) + 0.5
    both = np.concatenate([x, y])
    found = split_distances(distances(both, both), labels_of(9, 6), self_pairs=True)
    np.testing.assert_allclose(found, energy_distance(Cloud.of(x), Cloud.of(y)))


def test_half_of_squared_distances_give_the_squared_distance_of_means(rng):
    both = rng.normal(size=(11, 2))
    half = distances(both, both) ** 2 / 2
    apart = np.sum((both[:7].mean(axis=0) - both[7:].mean(axis=0)) ** 2)
    np.testing.assert_allclose(split_distances(half, labels_of(7, 4), self_pairs=True), apart)


def test_without_themselves_every_labelling_of_one_population_is_zero_in_the_mean(rng):
    between = distances(*2 * (rng.normal(size=(5, 2)),))
    every = np.array([[k in (i, j) for k in range(5)] for i in range(5) for j in range(i)])
    assert abs(split_distances(between, every, self_pairs=False).mean()) < 1e-12
    assert split_distances(between, every, self_pairs=True).mean() > 0.1


def test_p_is_the_share_of_labellings_as_far_out_at_any_time():
    # Standardised, both times have the values -1 and 1; the first row is highest at the first.
    values = np.array([[3.0, 10.0], [1.0, 30.0], [1.0, 10.0], [3.0, 30.0]])
    p, threshold = permutation_test(values, alpha=0.05)
    np.testing.assert_allclose(p, [0.75, 1.0])
    np.testing.assert_allclose(threshold, [3.0, 30.0])


def test_only_distances_above_the_threshold_have_a_small_p(rng):
    for _ in range(20):
        values = rng.normal(size=(100, 3)) ** 2
        values[0] += 2
        p, threshold = permutation_test(values, alpha=0.05)
        assert ((p <= 0.05) == (values[0] > threshold + 1e-6)).all()


def test_a_time_at_which_all_labellings_are_equal_tells_nothing():
    p, threshold = permutation_test(np.array([[5.0, 9.0], *[[5.0, k] for k in range(8)]]), 0.2)
    assert p[0] == 1
    assert threshold[0] == 5
    assert p[1] == 1 / 9
