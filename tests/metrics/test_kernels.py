"""Energy distance and MMD."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import energy_distance as scipy_energy_distance

from cellflow.metrics import Cloud, distances, energy_distance, mmd


@given(st.integers(0, 2**32 - 1), st.integers(1, 25), st.integers(1, 25))
def test_energy_distance_on_a_line_against_scipy(seed, n, m):
    """scipy gives the root of the same quantity."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=n), rng.normal(size=m)
    a, b = rng.random(n) + 0.01, rng.random(m) + 0.01
    value = energy_distance(Cloud.of(x[:, None], a), Cloud.of(y[:, None], b))
    assert value == pytest.approx(scipy_energy_distance(x, y, a, b) ** 2, abs=1e-9)


def test_mmd_of_two_points_by_hand():
    """One point against two: E k(x, x) = 1, and the bandwidths depend on the second cloud only."""
    x, y = Cloud.of(np.array([[0.0]])), Cloud.of(np.array([[0.0], [3.0]]))
    widths = np.array([0.25, 0.5, 1, 2, 4]) * 1.5  # the mean distance within y
    k = np.exp(-9 / (2 * widths**2)).mean()
    expected = 1 + (1 + k) / 2 - 2 * (1 + k) / 2
    assert mmd(x, y) == pytest.approx(np.sqrt(expected))


@pytest.mark.parametrize("distance", [energy_distance, mmd])
def test_distances_vanish_on_equal_clouds_and_grow_with_a_shift(distance, rng):
    x = Cloud.of(rng.normal(size=(60, 2)))
    values = [distance(Cloud(x.points + shift, x.weights), x) for shift in (0, 0.5, 1, 2)]
    assert values[0] == pytest.approx(0, abs=1e-7)
    assert values == sorted(values)


@pytest.mark.parametrize("distance", [energy_distance, mmd])
def test_chunks_do_not_change_the_value(distance, rng, monkeypatch):
    x, y = Cloud.of(rng.normal(size=(37, 3))), Cloud.of(rng.normal(size=(23, 3)), rng.random(23))
    whole = distance(x, y)
    monkeypatch.setattr(distances, "_CHUNK", 5)
    assert distance(x, y) == pytest.approx(whole, abs=1e-9)


def test_mmd_of_points_without_spread_is_finite():
    x = Cloud.of(np.zeros((3, 2)))
    assert mmd(Cloud.of(np.ones((3, 2))), x) > 0
