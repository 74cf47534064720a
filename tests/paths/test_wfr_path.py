"""The travelling Dirac against the closed forms of the Wasserstein-Fisher-Rao distance."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cellflow._batch import Batch, Pairs
from cellflow.paths import StraightPath
from cellflow.paths.wfr_path import WFRPath
from tests.diracs import wfr_squared

#: m0, m1, distance, delta, squared distance.
KNOWN = [
    (1.0, 2.0, 1.0, 0.8, 0.903999892),
    (1.0, 0.4, 1.5, 0.8, 0.833816593),
    (1.0, 1.0, 1.0, 0.5, 0.459697694),
]

seeds = st.integers(0, 2**31)


def dirac(m0, m1, distance, n=1, interval=(0.0, 1.0), dtype=torch.float64):
    """Pairs in two dimensions, `n` times the same, moving along (0.6, 0.8)."""
    x0 = torch.tensor([[0.5, -1.0]], dtype=dtype).expand(n, 2)
    x1 = x0 + distance * torch.tensor([[0.6, 0.8]], dtype=dtype)
    masses = {name: torch.full((n,), mass, dtype=dtype) for name, mass in (("m0", m0), ("m1", m1))}
    return Pairs.over(interval, Batch(x0), Batch(x1), **masses)


def at(pairs, shares, delta, generator):
    t = pairs.t0 + torch.as_tensor(shares, dtype=pairs.t0.dtype) * (pairs.t1 - pairs.t0)
    return WFRPath(delta).sample(pairs, t, generator)


def random_pairs(seed, n=9, interval=(0.0, 1.0), delta=0.7, dtype=torch.float64):
    g = torch.Generator().manual_seed(seed)
    x0, way = torch.randn((2, n, 3), generator=g, dtype=dtype)
    reach = 0.99 * math.pi * delta * torch.rand((n, 1), generator=g, dtype=dtype)
    x1 = x0 + reach * way / torch.linalg.vector_norm(way, dim=1, keepdim=True)
    m0, m1 = 0.05 + 3 * torch.rand((2, n), generator=g, dtype=dtype)
    share = torch.rand(n, generator=g, dtype=dtype)
    return Pairs.over(interval, Batch(x0), Batch(x1), m0=m0, m1=m1), share


def published(pairs, s, delta):
    """Position, velocity, growth and mass by the formulas of the paper, for unit time."""
    way = pairs.x1 - pairs.x0
    d = torch.linalg.vector_norm(way, dim=1)
    tau = torch.tan(d / (2 * delta))
    r = (pairs.m0 * pairs.m1 / (1 + tau**2)).sqrt()
    omega = 2 * delta * tau * r
    A, B = pairs.m0 + pairs.m1 - 2 * r, pairs.m0 - r
    mass = A * s**2 - 2 * B * s + pairs.m0
    k = 2 * delta / omega
    moved = omega * k * (torch.atan((A * s - B) * k) + torch.atan(B * k))
    e = way / d[:, None]
    x = pairs.x0 + moved[:, None] * e
    return x, (omega / mass)[:, None] * e, (2 * A * s - 2 * B) / mass, mass


@given(seed=seeds)
def test_the_chord_on_the_cone_is_the_published_formula(seed):
    pairs, share = random_pairs(seed)
    sample = at(pairs, share, 0.7, torch.Generator())
    for mine, theirs in zip(
        (sample.x, sample.u, sample.growth, sample.weight),
        published(pairs, share, 0.7),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(("m0", "m1", "distance", "delta", "squared"), KNOWN)
def test_energy_of_the_path_is_the_squared_distance(m0, m1, distance, delta, squared, generator):
    nodes, weights = np.polynomial.legendre.leggauss(60)
    pairs = dirac(m0, m1, distance, n=60)
    sample = at(pairs, (nodes + 1) / 2, delta, generator)
    rate = sample.u.square().sum(dim=1) + delta**2 * sample.growth.square()
    energy = float((rate * sample.weight) @ torch.as_tensor(weights / 2)) / 2
    assert energy == pytest.approx(squared, abs=1e-9)
    ends = (torch.tensor([float(value)], dtype=torch.float64) for value in (distance, m0, m1))
    assert float(wfr_squared(*ends, delta)) == pytest.approx(squared, abs=1e-9)
    speed = sample.u @ torch.tensor([0.6, 0.8], dtype=torch.float64)
    assert float(speed @ torch.as_tensor(weights / 2)) == pytest.approx(distance, abs=1e-10)


@given(seed=seeds, start=st.floats(-3, 3), length=st.floats(0.2, 5))
def test_the_ends_are_met_with_their_masses(seed, start, length):
    pairs, _ = random_pairs(seed, interval=(start, start + length))
    for share, x, mass in ((0.0, pairs.x0, pairs.m0), (1.0, pairs.x1, pairs.m1)):
        sample = at(pairs, torch.full_like(pairs.t0, share), 0.7, torch.Generator())
        torch.testing.assert_close(sample.x, x, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(sample.weight, mass, rtol=1e-9, atol=1e-9)


@given(seed=seeds, start=st.floats(-3, 3), length=st.floats(0.2, 5))
def test_velocity_and_growth_are_derivatives_in_flow_time(seed, start, length):
    pairs, share = random_pairs(seed, interval=(start, start + length))
    step = 1e-6
    before, now, after = (
        at(pairs, share + shift, 0.7, torch.Generator()) for shift in (-step, 0.0, step)
    )
    width = 2 * step * length
    torch.testing.assert_close((after.x - before.x) / width, now.u, rtol=1e-5, atol=1e-5)
    change = (after.weight - before.weight) / width
    torch.testing.assert_close(change, now.growth * now.weight, rtol=1e-5, atol=1e-5)


def test_mass_dips_on_the_way_between_equal_masses(generator):
    tau = math.tan(1.0)
    sample = at(dirac(1.0, 1.0, 1.0), [0.5], 0.5, generator)
    assert float(sample.weight) == pytest.approx(0.770151, abs=5e-7)
    assert float(sample.weight) == pytest.approx(1 - (1 - 1 / math.sqrt(1 + tau**2)) / 2)


@given(seed=seeds)
def test_a_large_delta_gives_the_straight_path_of_balanced_pairs(seed):
    pairs, share = random_pairs(seed, interval=(1.0, 3.0))
    masses = torch.ones_like(pairs.m0)
    pairs = Pairs.over((1.0, 3.0), Batch(pairs.x0), Batch(pairs.x1), m0=masses, m1=masses)
    t = pairs.t0 + share * 2
    straight = StraightPath(sigma=0).sample(pairs, t, torch.Generator())
    bent = WFRPath(delta=1e6).sample(pairs, t, torch.Generator())
    torch.testing.assert_close(bent.x, straight.x, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(bent.u, straight.u, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(bent.weight, masses, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(bent.growth, 0 * masses, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("distance", [0.0, 1e-30, 1e-6])
def test_a_cell_that_stays_only_grows(distance, dtype, generator):
    """Its square root of mass grows in a straight line, the Hellinger geodesic."""
    share = torch.tensor([0.0, 0.3, 1.0], dtype=dtype)
    pairs = dirac(1.0, 4.0, distance, n=3, interval=(0.0, 2.0), dtype=dtype)
    sample = at(pairs, share, 0.8, generator)
    torch.testing.assert_close(sample.weight, (1 + share) ** 2)
    torch.testing.assert_close(sample.growth, 2 / (1 + share) / 2)
    torch.testing.assert_close(sample.x, pairs.x0, atol=2e-6, rtol=0)
    assert sample.u.abs().max() <= 2e-6


@given(seed=seeds)
def test_single_precision_is_enough(seed):
    double, share = random_pairs(seed)
    single = Pairs(**{name: each.float() for name, each in double.columns().items()})
    exact = at(double, share, 0.7, torch.Generator())
    rough = at(single, share.float(), 0.7, torch.Generator())
    for name, column in rough.columns().items():
        assert column.dtype == torch.float32
        wanted = getattr(exact, name)
        torch.testing.assert_close(column.double(), wanted, rtol=1e-3, atol=1e-3)


def test_an_interval_of_twice_the_length_is_crossed_at_half_the_rates(generator):
    quick = at(dirac(1.0, 2.0, 1.0), [0.3], 0.8, generator)
    slow = at(dirac(1.0, 2.0, 1.0, interval=(1.0, 3.0)), [0.3], 0.8, generator)
    torch.testing.assert_close(slow.x, quick.x)
    torch.testing.assert_close(slow.weight, quick.weight)
    torch.testing.assert_close(2 * slow.u, quick.u)
    torch.testing.assert_close(2 * slow.growth, quick.growth)


@given(seed=seeds, unit=st.floats(1e-2, 1e2))
def test_units_of_length_and_mass_do_not_matter(seed, unit):
    pairs, share = random_pairs(seed)
    scaled = Pairs.over(
        (0.0, 1.0),
        Batch(unit * pairs.x0),
        Batch(unit * pairs.x1),
        m0=3 * pairs.m0,
        m1=3 * pairs.m1,
    )
    mine = at(pairs, share, 0.7, torch.Generator())
    other = at(scaled, share, 0.7 * unit, torch.Generator())
    torch.testing.assert_close(other.x, unit * mine.x, rtol=1e-9, atol=1e-9 * unit)
    torch.testing.assert_close(other.u, unit * mine.u, rtol=1e-9, atol=1e-9 * unit)
    torch.testing.assert_close(other.growth, mine.growth, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(other.weight, 3 * mine.weight, rtol=1e-9, atol=1e-9)


def test_pairs_without_masses_have_mass_one(generator):
    with_masses = dirac(1.0, 1.0, 1.0)
    without = Pairs(with_masses.x0, with_masses.x1, with_masses.t0, with_masses.t1)
    mine, other = (at(each, [0.4], 0.5, generator) for each in (without, with_masses))
    for name, column in mine.columns().items():
        torch.testing.assert_close(column, getattr(other, name))


def test_noise_moves_points_and_nothing_else(generator):
    pairs = dirac(1.0, 2.0, 1.0, n=20_000)
    clean = at(pairs, 0.5, 0.8, generator)
    noisy = WFRPath(0.8, sigma=0.3).sample(pairs, pairs.t0 + 0.5, generator)
    assert float((noisy.x - clean.x).std()) == pytest.approx(0.3, rel=0.02)
    torch.testing.assert_close(noisy.u, clean.u)
    torch.testing.assert_close(noisy.growth, clean.growth)
