"""Weighted point clouds and their moments."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellflow import InputError
from cellflow.metrics import Cloud, cov_error, mean_error, var_ratio


def test_a_weight_of_two_is_the_point_twice(rng):
    points = rng.normal(size=(4, 3))
    weighted = Cloud.of(points, np.array([2, 1, 1, 1]))
    repeated = Cloud.of(points[[0, 0, 1, 2, 3]])
    np.testing.assert_allclose(weighted.mean, repeated.mean)
    np.testing.assert_allclose(weighted.covariance, repeated.covariance)
    assert repeated.is_uniform
    assert not weighted.is_uniform


@given(st.floats(0.1, 1.5))
def test_shrinking_keeps_the_mean_and_scales_the_variance(factor):
    cloud = Cloud.of(np.random.default_rng(0).normal(size=(30, 2)) + 4)
    shrunken = cloud.shrink(factor)
    lines = (cloud.points - cloud.mean) / (shrunken.points - cloud.mean)
    np.testing.assert_allclose(lines, 1 / factor)
    assert mean_error(shrunken, cloud) == pytest.approx(0, abs=1e-12)
    assert var_ratio(shrunken, cloud) == pytest.approx(factor**2)
    change = abs(factor**2 - 1) * np.linalg.norm(cloud.covariance)
    assert cov_error(shrunken, cloud) == pytest.approx(change)


def test_drawing_is_by_mass_and_without_repeats_while_points_last(rng):
    cloud = Cloud.of(np.arange(10.0)[:, None], np.r_[np.zeros(4), np.ones(6)])
    assert sorted(cloud.resample(6, rng).points[:, 0]) == [4, 5, 6, 7, 8, 9]
    assert len(cloud.resample(9, rng)) == 9
    assert cloud.with_equal_weights().resample(20, rng).points.shape == (10, 1)


def test_draws_have_the_mass_of_the_cloud(rng):
    """Half of the mass in 1000 points and half in 200: half of every draw comes from each."""
    points = np.r_[np.zeros(1000), np.ones(200)][:, None]
    cloud = Cloud.of(points, np.r_[np.full(1000, 1 / 2000), np.full(200, 1 / 400)])
    for n in (100, 300, 500):
        shares = [cloud.resample(n, rng).points.mean() for _ in range(400)]
        assert np.mean(shares) == pytest.approx(0.5, abs=0.01)
    spread = Cloud.of(rng.normal(size=(50, 1)), rng.random(50) + 0.5)
    means = [spread.resample(20, rng).mean[0] for _ in range(3000)]
    assert np.mean(means) == pytest.approx(spread.mean[0], abs=0.01)


def test_a_draw_at_the_very_end_of_the_line_is_the_last_point():
    class Highest:
        """The largest number below one, which rounding takes to the end."""

        def permutation(self, n):
            return np.arange(n)

        def random(self):
            return np.nextafter(1.0, 0.0)

    cloud = Cloud.of(np.arange(3.0)[:, None], np.array([0.1, 0.2, 0.7]))
    assert cloud.resample(3, Highest()).points[-1] == 2


@pytest.mark.parametrize(
    ("points", "weights"),
    [
        (np.zeros((0, 2)), None),
        (np.zeros(3), None),
        (np.zeros((2, 2)), [1]),
        (np.zeros((2, 2)), [-1, 2]),
        (np.zeros((2, 2)), [0, 0]),
        (np.zeros((2, 2)), [1, np.inf]),
    ],
)
def test_malformed_clouds_are_refused(points, weights):
    with pytest.raises(InputError):
        Cloud.of(points, None if weights is None else np.array(weights))
