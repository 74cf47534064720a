"""The cubic Hermite path against scipy's, and against the least acceleration."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import CubicHermiteSpline

from cellflow._batch import Pairs
from cellflow.couplings import acceleration_cost
from cellflow.paths import HermitePath, StraightPath
from tests.seeds import seeded

SEEDS = st.integers(0, 2**31)


def pairs_of(seed, length, n=5, dim=2):
    x0, x1, v0, v1 = torch.randn((4, n, dim), generator=seeded(seed), dtype=torch.float64)
    t0 = torch.randn(n, generator=seeded(seed + 1), dtype=torch.float64)
    return Pairs(x0, x1, t0, t0 + length, v0=v0, v1=v1)


@given(seed=SEEDS, length=st.floats(0.2, 5), share=st.floats(0, 1))
def test_position_and_velocity_against_scipy(seed, length, share):
    pairs = pairs_of(seed, length)
    t = pairs.t0 + share * (pairs.t1 - pairs.t0)
    sample = HermitePath().sample(pairs, t, seeded(0))
    for row, time in enumerate(t.tolist()):
        spline = CubicHermiteSpline(
            [pairs.t0[row], pairs.t1[row]],
            [pairs.x0[row].numpy(), pairs.x1[row].numpy()],
            [pairs.v0[row].numpy(), pairs.v1[row].numpy()],
        )
        torch.testing.assert_close(sample.x[row], torch.from_numpy(spline(time)))
        torch.testing.assert_close(
            sample.u[row], torch.from_numpy(spline.derivative()(time)), atol=1e-9, rtol=1e-9
        )


@given(seed=SEEDS, length=st.floats(0.2, 5))
def test_its_acceleration_is_the_least_that_the_coupling_counts(seed, length):
    """x'' is linear in time, so two Gauss points integrate its square; by central differences."""
    pairs = pairs_of(seed, length)
    total, step = torch.zeros(5, dtype=torch.float64), 1e-4 * length
    for node in (0.5 - 3**-0.5 / 2, 0.5 + 3**-0.5 / 2):
        u = [
            HermitePath().sample(pairs, pairs.t0 + node * length + side * step, seeded(0)).u
            for side in (-1, 1)
        ]
        total += length / 2 * ((u[1] - u[0]) / (2 * step)).square().sum(dim=1)
    expected = acceleration_cost(pairs.x0, pairs.v0, pairs.x1, pairs.v1, length)
    torch.testing.assert_close(total, expected, rtol=1e-5, atol=1e-7)


def test_between_ends_of_one_velocity_it_is_straight():
    pairs = pairs_of(0, 2.0)
    u = (pairs.x1 - pairs.x0) / 2
    pairs = Pairs(pairs.x0, pairs.x1, pairs.t0, pairs.t1, v0=u, v1=u)
    t = pairs.t0 + 0.6
    found, line = (path(0.3).sample(pairs, t, seeded(0)) for path in (HermitePath, StraightPath))
    torch.testing.assert_close(found.x, line.x)
    torch.testing.assert_close(found.u, line.u)


def test_noise_is_added_around_the_cubic():
    pairs = pairs_of(0, 1.0, n=4000)
    t = pairs.t0 + 0.25
    rest = (
        HermitePath(0.5).sample(pairs, t, seeded(1)).x - HermitePath().sample(pairs, t, seeded(1)).x
    )
    assert float(rest.std()) == pytest.approx(0.5, rel=0.03)
