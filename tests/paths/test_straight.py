"""The straight path against closed forms (velocities of Gaussians, flow time, noise)."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cellflow._batch import Batch, Pairs
from cellflow.couplings import IndependentCoupling, MinibatchCoupling, MixtureCoupling
from cellflow.marginals import Population
from cellflow.paths import StraightPath
from tests.gaussians import Normal, independent_velocity, optimal_velocity, samples

M, S = 2.0, 0.5
ENDS = Normal(), Normal(M, S)


def coupling_of(name):
    if name == "independent":
        return IndependentCoupling(*ENDS)
    return MinibatchCoupling(*ENDS, batch_size=256)


VELOCITY = {"independent": independent_velocity, "ot": optimal_velocity}


@pytest.mark.parametrize(("name", "slope"), [("independent", -1.25), ("ot", -0.625)])
def test_regression_on_gaussians_recovers_the_marginal_velocity(name, slope, generator):
    velocity = VELOCITY[name]
    x, u = samples(coupling_of(name), StraightPath(sigma=0), 0.4, 60 * 1024, generator)
    fitted, intercept = np.polyfit(x, u, 1)
    assert velocity(0.4, 1.0, M, S) - velocity(0.4, 0.0, M, S) == pytest.approx(slope)
    assert fitted == pytest.approx(slope, abs=0.02)
    assert intercept == pytest.approx(velocity(0.4, 0.0, M, S), abs=0.02)


@pytest.mark.parametrize(
    ("name", "energy", "excess"), [("independent", 4.464602, 0.0505), ("ot", 4.25, 0.0)]
)
def test_path_energy_of_the_regressed_velocity(name, energy, excess, generator):
    """E|v|^2 over time, and its normalised excess over W2^2, which transport spends."""
    coupling = coupling_of(name)
    nodes, weights = np.polynomial.legendre.leggauss(6)
    total = 0.0
    for t, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        x, u = samples(coupling, StraightPath(sigma=0), t, 16 * 1024, generator)
        velocity = np.polyval(np.polyfit(x, u, 1), x)
        total += weight * (velocity**2).mean()
    assert total == pytest.approx(energy, abs=0.05)
    assert abs(total - 4.25) / 4.25 == pytest.approx(excess, abs=0.012)


@given(seed=st.integers(0, 2**31), start=st.floats(-5, 5), length=st.floats(0.1, 10))
def test_without_noise_the_rest_of_the_way_leads_to_the_target(seed, start, length):
    g = torch.Generator().manual_seed(seed)
    ends = torch.randn((2, 9, 3), generator=g, dtype=torch.float64)
    pairs = Pairs.over((start, start + length), Batch(ends[0]), Batch(ends[1]))
    t = pairs.t0 + torch.rand(9, generator=g, dtype=torch.float64) * length
    sample = StraightPath(sigma=0).sample(pairs, t, g)
    reached = sample.x + (pairs.t1 - t)[:, None] * sample.u
    torch.testing.assert_close(reached, pairs.x1, rtol=1e-9, atol=1e-9)


def test_noise_has_constant_width_and_leaves_the_velocity(generator):
    x0 = torch.zeros((50_000, 1), dtype=torch.float64)
    pairs = Pairs.over((0.0, 2.0), Batch(x0), Batch(x0 + 3))
    for t in (0.0, 1.0, 2.0):
        sample = StraightPath(sigma=0.4).sample(pairs, torch.full_like(pairs.t0, t), generator)
        assert float(sample.x.std()) == pytest.approx(0.4, rel=0.02)
        assert float(sample.x.mean()) == pytest.approx(1.5 * t, abs=0.01)
        assert (sample.u == 1.5).all()


@pytest.mark.parametrize("times", [(0.0, 1.0, 2.0, 3.0), (0.0, 1.0, 3.0), (0.0, 2.0, 3.0)])
def test_cells_at_constant_speed_have_that_velocity_on_every_interval(times, generator):
    """With X_k = X_0 + k c the target is c, also on the doubled interval around a held-out time."""
    first = torch.randn((30, 3), generator=generator, dtype=torch.float64)
    speed = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    cells = {time: Population.of(first + time * speed) for time in times}
    coupling = MixtureCoupling(
        [MinibatchCoupling(cells[a], cells[b], (a, b), batch_size=30) for a, b in pairwise(times)]
    )
    pairs = coupling.sample(90, generator)
    u = StraightPath(sigma=0).sample(pairs, pairs.t0, generator).u
    torch.testing.assert_close(u, speed.expand_as(u), rtol=1e-9, atol=1e-9)
