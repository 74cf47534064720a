"""Wasserstein distances against brute force, closed forms and their invariances."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import wasserstein_distance

from cellflow import InputError
from cellflow.metrics import Cloud, midpoint, wasserstein

seeds = st.integers(0, 2**32 - 1)


def clouds(seed: int, n: int, m: int, d: int = 3) -> tuple[Cloud, Cloud]:
    rng = np.random.default_rng(seed)
    return (
        Cloud.of(rng.normal(size=(n, d)), rng.random(n) + 0.01),
        Cloud.of(rng.normal(size=(m, d)) + 1, rng.random(m) + 0.01),
    )


@pytest.mark.parametrize("power", [1, 2])
@given(seed=seeds, n=st.integers(1, 6))
def test_uniform_clouds_of_one_size_against_all_permutations(power, seed, n):
    x, y = (cloud.with_equal_weights() for cloud in clouds(seed, n, n))
    costs = np.linalg.norm(x.points[:, None] - y.points, axis=2) ** power
    best = min(costs[range(n), list(order)].mean() for order in permutations(range(n)))
    assert wasserstein(x, y, power=power) == pytest.approx(best ** (1 / power), abs=1e-10)


@given(seed=seeds, n=st.integers(1, 20), m=st.integers(1, 20))
def test_weighted_clouds_on_a_line_against_their_quantiles(seed, n, m):
    x, y = clouds(seed, n, m, d=1)
    expected = wasserstein_distance(x.points[:, 0], y.points[:, 0], x.weights, y.weights)
    assert wasserstein(x, y) == pytest.approx(expected, abs=1e-10)


@given(seed=seeds, n=st.integers(2, 15))
def test_invariances(seed, n):
    x, y = clouds(seed, n, n + 3)
    rng = np.random.default_rng(seed)
    order, shift = rng.permutation(n), rng.normal(size=3)
    value = wasserstein(x, y)
    assert wasserstein(y, x) == pytest.approx(value)
    assert wasserstein(Cloud.of(x.points[order], x.weights[order]), y) == pytest.approx(value)
    moved = (Cloud(cloud.points + shift, cloud.weights) for cloud in (x, y))
    assert wasserstein(*moved) == pytest.approx(value)
    away = Cloud(x.points + shift, x.weights)
    for power in (1, 2):
        assert wasserstein(x, away, power=power) == pytest.approx(np.linalg.norm(shift))
    assert wasserstein(x, x) == pytest.approx(0, abs=1e-12)


@given(seed=seeds, n=st.integers(1, 12), fraction=st.floats(0.05, 0.95))
def test_midpoint_lies_on_the_geodesic(seed, n, fraction):
    """W2 along the displacement interpolation grows in proportion to the fraction."""
    x, y = clouds(seed, n, n + 2)
    whole = wasserstein(x, y, power=2)
    middle = midpoint(x, y, fraction)
    assert wasserstein(x, middle, power=2) == pytest.approx(fraction * whole, abs=1e-6)
    assert wasserstein(middle, y, power=2) == pytest.approx((1 - fraction) * whole, abs=1e-6)


def test_the_midpoint_keeps_labels_and_what_lies_beside_the_points():
    """Two pairs that change places; a label that one side lacks is left out."""
    x, y = Cloud.of([[0.0], [4.0], [9.0]]), Cloud.of([[0.0], [4.0]])
    labels = np.array([1, 0, 2]), np.array([0, 1])
    middle = midpoint(x, y, 0.5, labels=labels)
    assert sorted(middle.points.ravel()) == [2, 2]
    beside = np.array([[10.0], [0.0]])
    middle = midpoint(Cloud.of(x.points[:2]), y, 0.25, beside=(beside, beside[::-1]))
    assert sorted(middle.points.ravel()) == [1, 3]
    apart = midpoint(x, y, 0.5, labels=(labels[0], labels[1] + 7))
    assert apart.weights.sum() == pytest.approx(1)


@pytest.mark.parametrize(("aside", "ends"), [(2.9, [0, 3, 99]), (3.1, [1.5, 1.5, 99])])
def test_what_lies_beside_the_points_adds_its_squared_distance(aside, ends):
    """Two points 3 apart stay where they are if that costs 2 aside^2, less than 2 * 3^2."""
    cloud = Cloud.of(np.array([[0.0], [3.0], [99.0]]))
    beside, other = np.array([[[0.0], [aside], [0.0]], [[aside], [0.0], [0.0]]])
    middle = midpoint(cloud, cloud, 0.5, beside=(beside, other))
    assert sorted(middle.points.ravel()) == ends


def test_the_midpoint_has_the_mean_mass_of_each_label():
    masses = np.array([[1, 1, 2, 4], [3, 2, 2, 1]])
    x, y = (Cloud.of(np.arange(4.0)[:, None], mass) for mass in masses)
    labels = np.array([0, 0, 1, 1])
    middle = midpoint(x, y, 0.5, labels=(labels, labels))
    first = middle.weights[middle.points[:, 0] < 1.5].sum()
    assert first == pytest.approx((2 / 8 + 5 / 8) / 2)


def test_other_powers_are_refused(rng):
    x = Cloud.of(rng.normal(size=(3, 2)))
    with pytest.raises(InputError, match="unknown power '3'; valid: 1, 2"):
        wasserstein(x, x, power=3)
