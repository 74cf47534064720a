"""Distances between replicates: at which size, and what they are without and with a shift."""

import numpy as np
import pytest

from cellflow.metrics import Cloud, replicate_distance, wasserstein


def clouds(rng, sizes, shift=0.0):
    return [Cloud.of(rng.normal(loc=[k * shift, 0, 0], size=(n, 3))) for k, n in enumerate(sizes)]


@pytest.mark.parametrize("sizes", [(200, 200), (60, 140, 140), (40, 160)])
def test_replicates_of_one_population_are_as_far_as_fresh_cells_of_it(sizes, rng):
    fresh = np.mean([wasserstein(*clouds(rng, (400, 400))) for _ in range(4)])
    found = replicate_distance(clouds(rng, sizes), fresh, 0)
    assert fresh <= found < 1.1 * fresh


@pytest.mark.parametrize("sizes", [(200, 200), (60, 340)])
def test_a_shift_is_seen_at_the_size_of_the_reference(sizes, rng):
    fresh, shifted = (
        np.mean([wasserstein(*clouds(rng, (400, 400), shift)) for _ in range(4)])
        for shift in (0.0, 1.0)
    )
    found = replicate_distance(clouds(rng, sizes, 1.0), fresh, 0)
    assert found == pytest.approx(shifted, rel=0.1)
    assert found > 1.5 * fresh


def test_each_of_three_is_compared_with_the_others(rng):
    """One of three lies apart: its own distance is the shift, that of the others half of it."""
    points = [np.full((12, 2), [place, 0.0]) for place in (0, 0, 60)]
    found = replicate_distance([Cloud.of(each) for each in points], 0.0, 0)
    apart = (60**2 + 30**2 + 30**2) / 3
    pooled = Cloud.of(np.concatenate(points))
    # Random splits of the three differ by the share of the third that they draw.
    assert np.sqrt(apart) * 0.9 < found < np.sqrt(apart)
    assert replicate_distance([pooled, pooled], 0.0, 0) < 0.2 * found


def test_same_seed_same_distance(rng):
    replicates = clouds(rng, (50, 31, 44))
    first, second = (replicate_distance(replicates, 0.3, 3) for _ in range(2))
    assert first == second


def test_identical_replicates_have_the_distance_of_the_reference():
    same = [Cloud.of(np.zeros((20, 2))) for _ in range(2)]
    assert replicate_distance(same, 0.0, 0) == 0
    assert replicate_distance(same, 0.7, 0) == 0.7
