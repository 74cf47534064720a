"""The Frechet distance against closed forms, another implementation and its invariances."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cellflow import InputError
from cellflow.images.scoring import frechet
from cellflow.images.scoring.frechet import Moments, frechet_distance
from tests.fidelity import fidelity

seeds = st.integers(0, 2**32 - 1)


def covariance(rng: np.random.Generator, d: int, rank: int) -> np.ndarray:
    factor = rng.normal(size=(d, rank))
    return factor @ factor.T


def orthogonal(rng: np.random.Generator, d: int) -> np.ndarray:
    return np.linalg.qr(rng.normal(size=(d, d)))[0]


@given(seed=seeds, d=st.integers(1, 8))
def test_commuting_covariances_against_the_closed_form(seed, d):
    """With shared axes it is |m - m'|^2 plus the sum of (s - s')^2 over standard deviations."""
    rng = np.random.default_rng(seed)
    means, deviations = rng.normal(size=(2, d)), rng.random((2, d))
    axes = orthogonal(rng, d)
    covs = [(axes * deviation**2) @ axes.T for deviation in deviations]
    value = frechet_distance(means[0], covs[0], means[1], covs[1])
    expected = np.sum((means[0] - means[1]) ** 2) + np.sum((deviations[0] - deviations[1]) ** 2)
    assert value == pytest.approx(expected, abs=1e-10)


@given(seed=seeds)
def test_two_dimensions_against_the_closed_form(seed):
    """The trace of the root of a 2 x 2 matrix M is (tr M + 2 det(M)^(1/2))^(1/2)."""
    rng = np.random.default_rng(seed)
    a, b = covariance(rng, 2, 2), covariance(rng, 2, 2)
    root = np.sqrt(np.trace(a @ b) + 2 * np.sqrt(np.linalg.det(a) * np.linalg.det(b)))
    expected = np.trace(a) + np.trace(b) - 2 * root
    assert frechet_distance(np.zeros(2), a, np.zeros(2), b) == pytest.approx(expected, abs=1e-6)


@given(seed=seeds, rank=st.integers(0, 4))
def test_lines_and_points_are_no_special_case(seed, rank):
    """Low rank leaves no noise: a sample is at distance zero from itself, a point at its trace."""
    rng = np.random.default_rng(seed)
    mean, low, point = rng.normal(size=30), covariance(rng, 30, rank), np.zeros((30, 30))
    assert frechet_distance(mean, low, mean, low) == pytest.approx(0, abs=1e-10)
    assert frechet_distance(mean, low, mean, point) == pytest.approx(np.trace(low))


def test_two_lines_at_an_angle():
    """For A = aa^T and B = bb^T the root has the one eigenvalue |a . b|."""
    a, b = np.array([2.0, 0.0, 0.0]), np.array([1.0, 1.0, 0.0])
    value = frechet_distance(np.zeros(3), np.outer(a, a), np.zeros(3), np.outer(b, b))
    assert value == pytest.approx(4 + 2 - 2 * 2)


@given(seed=seeds, rank=st.integers(1, 6))
def test_order_and_rotations_do_not_change_the_distance(seed, rank):
    rng = np.random.default_rng(seed)
    means, turn = rng.normal(size=(2, 6)), orthogonal(rng, 6)
    a, b = covariance(rng, 6, 6), covariance(rng, 6, rank)
    value = frechet_distance(means[0], a, means[1], b)
    assert frechet_distance(means[1], b, means[0], a) == pytest.approx(value)
    turned = frechet_distance(
        turn @ means[0], turn @ a @ turn.T, turn @ means[1], turn @ b @ turn.T
    )
    assert turned == pytest.approx(value, abs=1e-8)


@given(seed=seeds, n=st.integers(2, 40), cut=st.integers(1, 39))
def test_merged_moments_are_those_of_all_points(seed, n, cut):
    points = np.random.default_rng(seed).normal(size=(n, 3)) + 100
    whole = Moments.of(points)
    np.testing.assert_allclose(whole.mean, points.mean(axis=0))
    np.testing.assert_allclose(whole.cov, np.cov(points, rowvar=False), atol=1e-10)
    if cut < n:
        merged = Moments.of(points[:cut]).merge(Moments.of(points[cut:]))
        assert merged.n == n
        np.testing.assert_allclose(merged.mean, whole.mean)
        np.testing.assert_allclose(merged.cov, whole.cov, atol=1e-10)


def test_chunks_do_not_change_moments(rng, monkeypatch):
    points = rng.normal(size=(37, 3)).astype(np.float32)
    whole = Moments.of(points)
    monkeypatch.setattr(frechet, "_CHUNK", 5)
    chunked = Moments.of(points)
    np.testing.assert_allclose(chunked.scatter, whole.scatter)
    assert chunked.mean.dtype == chunked.scatter.dtype == np.float64


def test_bad_input_is_refused(rng):
    with pytest.raises(InputError, match=r"shape \(n, d\), got \(0, 3\)"):
        Moments.of(np.zeros((0, 3)))
    with pytest.raises(InputError, match="2 points or more, got 1"):
        Moments.of(np.zeros((1, 3))).cov  # noqa: B018
    with pytest.raises(InputError, match="must be"):
        frechet_distance(np.zeros(2), np.eye(2), np.zeros(3), np.eye(3))


@pytest.mark.parametrize("n", [200, 12])
def test_it_agrees_with_torch_fidelity(n, rng):
    fid = fidelity("metric_fid")
    sides = rng.normal(size=(n, 24)), rng.normal(size=(n, 24)) @ rng.normal(size=(24, 24)) + 1
    theirs = [fid.fid_features_to_statistics(torch.from_numpy(side)) for side in sides]
    expected = fid.fid_statistics_to_metric(*theirs, verbose=False)[fid.KEY_METRIC_FID]
    one, other = map(Moments.of, sides)
    value = frechet_distance(one.mean, one.cov, other.mean, other.cov)
    assert value == pytest.approx(expected, rel=1e-6)
