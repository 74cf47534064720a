"""Splines through chains against scipy's, and against straight lines."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import CubicSpline

from cellflow._batch import Batch, Pairs
from cellflow._errors import InputError
from cellflow.paths import StraightPath
from cellflow.paths.spline import SplinePath

SEEDS = st.integers(0, 2**31)


def chained(seed, k, n=8, dim=2):
    """Pairs of random links of random chains over random knots, and random times on the links."""
    generator = torch.Generator().manual_seed(seed)
    knots = (0.1 + torch.rand(k, generator=generator, dtype=torch.float64)).cumsum(0)
    chain = torch.randn((n, k, dim), generator=generator, dtype=torch.float64)
    return pairs_of(chain, knots, generator)


def pairs_of(chain, knots, generator):
    n, k, _ = chain.shape
    rows, link = torch.arange(n), torch.randint(k - 1, (n,), generator=generator)
    ends = chain[rows, link], chain[rows, link + 1], knots[link], knots[link + 1]
    pairs = Pairs(*ends, chain=chain, knots=knots.expand(n, -1))
    share = torch.rand(n, generator=generator, dtype=torch.float64)
    return pairs, pairs.t0 + share * (pairs.t1 - pairs.t0)


@given(seed=SEEDS, k=st.integers(2, 7))
def test_position_and_velocity_against_scipy(seed, k):
    pairs, t = chained(seed, k)
    sample = SplinePath(sigma=0).sample(pairs, t, torch.Generator())
    for row, time in enumerate(t.numpy()):
        spline = CubicSpline(pairs.knots[row], pairs.chain[row], bc_type="natural")
        np.testing.assert_allclose(sample.x[row], spline(time), rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(sample.u[row], spline(time, 1), rtol=1e-9, atol=1e-8)


@given(seed=SEEDS, k=st.integers(2, 6))
def test_splines_pass_through_both_ends_of_every_link(seed, k):
    pairs, _ = chained(seed, k)
    path = SplinePath(sigma=0)
    torch.testing.assert_close(path.sample(pairs, pairs.t0, torch.Generator()).x, pairs.x0)
    torch.testing.assert_close(path.sample(pairs, pairs.t1, torch.Generator()).x, pairs.x1)


@given(seed=SEEDS)
def test_a_chain_of_two_points_takes_the_straight_path(seed):
    pairs, t = chained(seed, 2)
    spline, straight = (
        path.sample(pairs, t, torch.Generator().manual_seed(seed))
        for path in (SplinePath(0.2), StraightPath(0.2))
    )
    torch.testing.assert_close(spline.x, straight.x)
    torch.testing.assert_close(spline.u, straight.u)


@pytest.mark.parametrize("knots", [(0.0, 1.0, 2.0, 3.0), (0.0, 0.2, 0.4, 1.0), (-1.0, 5.0, 5.5)])
def test_chains_at_constant_speed_keep_it_on_uneven_times(knots, generator):
    knots = torch.tensor(knots, dtype=torch.float64)
    start, speed = torch.randn((2, 20, 3), generator=generator, dtype=torch.float64)
    pairs, t = pairs_of(start[:, None] + knots[:, None] * speed[:, None], knots, generator)
    sample = SplinePath(sigma=0).sample(pairs, t, generator)
    torch.testing.assert_close(sample.u, speed)
    torch.testing.assert_close(sample.x, start + t[:, None] * speed)


@given(seed=SEEDS, k=st.integers(3, 6))
def test_the_velocity_does_not_jump_where_one_link_meets_the_next(seed, k):
    pairs, _ = chained(seed, k)
    inner = pairs.knots[:, 1]
    before, after = (
        SplinePath(sigma=0).sample(pairs, inner + shift, torch.Generator())
        for shift in (-1e-9, 1e-9)
    )
    torch.testing.assert_close(before.u, after.u, rtol=1e-5, atol=1e-5)


def test_noise_has_constant_width_and_leaves_the_velocity(generator):
    pairs, t = chained(0, 4, n=30_000)
    still, noisy = (SplinePath(sigma).sample(pairs, t, generator) for sigma in (0.0, 0.3))
    assert float((noisy.x - still.x).std()) == pytest.approx(0.3, rel=0.02)
    assert torch.equal(noisy.u, still.u)


def test_pairs_without_their_chain_are_refused(generator):
    ends = Batch(torch.zeros((2, 1))), Batch(torch.ones((2, 1)))
    pairs = Pairs.over((0.0, 1.0), *ends)
    with pytest.raises(InputError, match="draws whole chains"):
        SplinePath().sample(pairs, pairs.t0, generator)


def test_chains_with_knots_of_their_own_are_refused(generator):
    pairs, t = chained(0, 3)
    knots = pairs.knots + torch.arange(len(t))[:, None]
    mixed = Pairs(**{**pairs.columns(), "knots": knots})
    with pytest.raises(InputError, match="same knots"):
        SplinePath().sample(mixed, t, generator)
