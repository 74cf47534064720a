"""Distances between replicates: at which size, and what they are without and with a shift."""

import numpy as np
import pytest

from cellflow.metrics import Cloud, replicate_distance, wasserstein


def clouds(rng, sizes, shift=0.0):
    return [Cloud.of(rng.normal(loc=[k * shift, 0, 0], size=(n, 3))) for k, n in enumerate(sizes)]


@pytest.mark.parametrize("sizes", [(200, 200), (130, 130, 140)])
def test_replicates_of_one_population_are_as_far_as_fresh_cells_of_it(sizes, rng):
    found = replicate_distance(clouds(rng, sizes), 400, 0)
    fresh = [wasserstein(*clouds(rng, (400, 400))) for _ in range(4)]
    assert found == pytest.approx(np.mean(fresh), rel=0.12)


def test_a_large_shift_is_the_distance_at_every_size(rng):
    replicates = clouds(rng, (100, 60), shift=20.0)
    for size in (30, 60, 500):
        assert replicate_distance(replicates, size, 0) == pytest.approx(20, rel=0.03)


def test_distances_fall_with_the_size_that_they_are_extrapolated_to(rng):
    replicates = clouds(rng, (80, 80))
    at = [replicate_distance(replicates, size, 0) for size in (80, 160, 320)]
    assert at[0] == pytest.approx(wasserstein(*replicates))
    assert at[0] > at[1] > at[2]
    assert at[1] / at[0] == pytest.approx(at[2] / at[1])


def test_each_of_three_is_compared_with_the_others(rng):
    """One of three lies apart: its own distance is the shift, that of the others half of it."""
    near = clouds(rng, (90, 90))
    far = Cloud.of(rng.normal(loc=[60, 0, 0], size=(90, 3)))
    assert replicate_distance([*near, far], 90, 0) == pytest.approx((60 + 30 + 30) / 3, rel=0.05)


def test_same_seed_same_distance(rng):
    replicates = clouds(rng, (50, 31, 44))
    first, second = (replicate_distance(replicates, 60, 3) for _ in range(2))
    assert first == second


def test_identical_replicates_have_no_distance():
    same = Cloud.of(np.zeros((20, 2)))
    assert replicate_distance([same, Cloud.of(np.zeros((20, 2)))], 40, 0) == 0
