"""Laws that every path between two points keeps, and the closed forms of each."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cellflow._batch import Batch, Pairs
from cellflow.couplings import IndependentCoupling, MinibatchCoupling
from cellflow.paths import BridgePath, StraightPath, TargetPath, VariancePreservingPath
from cellflow.transport import entropic_plan
from tests.gaussians import Normal

PATHS = {
    "straight": StraightPath(0.3),
    "target": TargetPath(0.3),
    "vp": VariancePreservingPath(0.3),
    "bridge": BridgePath(0.7),
}


def pairs_of(seed, n=6, d=2, span=(1.0, 3.5)):
    g = torch.Generator().manual_seed(seed)
    ends = torch.randn((2, n, d), generator=g, dtype=torch.float64)
    return Pairs.over(span, Batch(ends[0]), Batch(ends[1]))


@pytest.mark.parametrize("name", PATHS)
@given(seed=st.integers(0, 2**31), share=st.floats(0.05, 0.95))
def test_velocity_is_that_of_the_path_at_fixed_noise(name, seed, share):
    """With the same noise before and after, the difference quotient is u, on any interval."""
    pairs, path = pairs_of(seed), PATHS[name]
    t = pairs.t0 + share * (pairs.t1 - pairs.t0)

    def at(moment):
        return path.sample(pairs, moment, torch.Generator().manual_seed(seed))

    h = 1e-5
    quotient = (at(t + h).x - at(t - h).x) / (2 * h)
    torch.testing.assert_close(quotient, at(t).u, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", sorted(set(PATHS) - {"target"}))
def test_growth_rates_of_the_source_become_those_of_the_path(name, generator):
    """A mass of exp(-r T) that grows at rate r weighs 1 at the end; noise (target) carries none."""
    g = torch.Generator().manual_seed(0)
    x0, x1 = torch.randn((2, 5, 2), generator=g, dtype=torch.float64)
    rate = torch.tensor([0.0, 0.5, -0.2, 1.0, 2.0], dtype=torch.float64)
    pairs = Pairs.over((1.0, 3.0), Batch(x0, rate=rate), Batch(x1))
    half = PATHS[name].sample(pairs, torch.full_like(pairs.t0, 2.0), generator)
    torch.testing.assert_close(half.growth, rate)
    torch.testing.assert_close(half.weight, torch.exp(-rate))


def test_target_path_starts_as_noise_and_its_target_leads_to_the_data(generator):
    pairs = pairs_of(3, span=(0.0, 1.0))
    t = torch.linspace(0, 1, len(pairs), dtype=torch.float64)
    sample = TargetPath(0.0).sample(pairs, t, generator)
    torch.testing.assert_close(sample.x + (1 - t)[:, None] * sample.u, pairs.x1)
    kept = 1 - 0.2
    sample = TargetPath(0.2).sample(pairs, t, generator)
    printed = (pairs.x1 - kept * sample.x) / (1 - kept * t)[:, None]
    torch.testing.assert_close(sample.u, printed)


def test_target_path_ends_at_the_data_wherever_its_noise_is(generator):
    """Noise around 7 leaves no trace of its centre in the mean at the end."""
    centre = torch.tensor([7.0, -7.0], dtype=torch.float64)
    noise = centre + torch.randn((20_000, 2), generator=generator, dtype=torch.float64)
    data = centre.expand_as(noise) + 1
    pairs = Pairs.over((0.0, 1.0), Batch(noise), Batch(data))
    end = TargetPath(0.2, centre).sample(pairs, pairs.t1, generator).x
    torch.testing.assert_close(end.mean(dim=0), centre + 1, atol=0.01, rtol=0)


def test_variance_preserving_velocity_at_the_ends(generator):
    pairs = pairs_of(5, span=(0.0, 1.0))
    path = VariancePreservingPath(0.0)
    start, end = (path.sample(pairs, t, generator).u for t in (pairs.t0, pairs.t1))
    torch.testing.assert_close(start, math.pi / 2 * pairs.x1)
    torch.testing.assert_close(end, -math.pi / 2 * pairs.x0)


def test_variance_preserving_path_turns_around_its_centre(generator):
    """Data and centre moved together move the path, and nothing else."""
    pairs, shift = pairs_of(6), torch.tensor([5.0, -3.0], dtype=torch.float64)
    moved = Pairs(pairs.x0 + shift, pairs.x1 + shift, pairs.t0, pairs.t1)
    t = (pairs.t0 + pairs.t1) / 2
    here = VariancePreservingPath(0.0).sample(pairs, t, generator)
    there = VariancePreservingPath(0.0, shift).sample(moved, t, generator)
    torch.testing.assert_close(there.x, here.x + shift)
    torch.testing.assert_close(there.u, here.u)


@pytest.mark.parametrize(("span", "t"), [((0.0, 1.0), 0.3), ((0.0, 2.0), 0.6), ((1.0, 1.5), 1.4)])
def test_bridge_has_the_variance_of_brownian_motion_held_at_both_ends(span, t, generator):
    x0 = torch.zeros((40_000, 1), dtype=torch.float64)
    pairs = Pairs.over(span, Batch(x0), Batch(x0 + 1))
    sample = BridgePath(0.8).sample(pairs, torch.full_like(pairs.t0, t), generator)
    start, stop = span
    variance = 0.8**2 * (t - start) * (stop - t) / (stop - start)
    assert float(sample.x.var()) == pytest.approx(variance, rel=0.03)
    assert float(sample.x.mean()) == pytest.approx((t - start) / (stop - start), abs=0.02)


def test_bridge_is_finite_at_its_very_ends(generator):
    pairs = pairs_of(0, span=(0.0, 1.0))
    for t in (0.0, 1e-6, 1 - 1e-6, 1.0):
        sample = BridgePath(1.0).sample(pairs, torch.full_like(pairs.t0, t), generator)
        assert torch.isfinite(sample.u).all()


@given(seed=st.integers(0, 2**31), share=st.floats(0.02, 0.98))
def test_flow_and_score_of_a_bridge_add_up_to_the_drifts_of_brownian_motion(seed, share):
    """u + (g^2 / 2) grad log p = (x1 - x) / (T - t) forward, and (x0 - x) / t with -u."""
    pairs, sigma = pairs_of(seed), 0.7
    t = pairs.t0 + share * (pairs.t1 - pairs.t0)
    sample = BridgePath(sigma).sample(pairs, t, torch.Generator().manual_seed(seed))
    score = -sample.noise / sample.ratio[:, None]  # what makes lambda s + noise vanish
    forward = (pairs.x1 - sample.x) / (pairs.t1 - t)[:, None]
    backward = (pairs.x0 - sample.x) / (t - pairs.t0)[:, None]
    torch.testing.assert_close(sample.u + score, forward, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(score - sample.u, backward, rtol=1e-5, atol=1e-5)


def test_ratio_of_the_score_is_two_sigma_t_over_g_squared(generator):
    pairs = pairs_of(0, span=(0.0, 1.0))
    sample = BridgePath(1.0).sample(pairs, torch.full_like(pairs.t0, 0.3), generator)
    assert float(sample.ratio[0]) == pytest.approx(0.916515, abs=1e-6)


@pytest.fixture(scope="module")
def bridged():
    """Pairs of the Schroedinger bridge with sigma = 1 between N(-.1, 1) and N(.1, 1)."""
    coupling = MinibatchCoupling(
        Normal(-0.1),
        Normal(0.1),
        batch_size=256,
        solver=lambda cost: entropic_plan(cost, 2.0, tolerance=1e-4),
    )
    return coupling.sample(160 * 256, torch.Generator().manual_seed(0))


def bridge_at(pairs, t):
    return BridgePath(1.0).sample(
        pairs, torch.full_like(pairs.t0, t), torch.Generator().manual_seed(1)
    )


@pytest.mark.parametrize(
    ("t", "variance"), [(0.25, 1.044263), (0.3, 1.049574), (0.5, 1.059017), (0.75, 1.044263)]
)
def test_schroedinger_bridge_between_gaussians_has_its_closed_form_marginal(t, variance, bridged):
    x = bridge_at(bridged, t).x
    assert float(x.mean()) == pytest.approx(0.2 * t - 0.1, abs=0.01)
    assert float(x.var()) == pytest.approx(variance, abs=0.02)


def test_regression_on_the_bridge_recovers_its_flow(bridged):
    sample = bridge_at(bridged, 0.3)
    slope, intercept = np.polyfit(sample.x[:, 0].numpy(), sample.u[:, 0].numpy(), 1)
    assert slope == pytest.approx(0.0449836, abs=0.02)
    assert intercept == pytest.approx(0.2, abs=0.02)


def test_regression_on_the_bridge_recovers_its_score(bridged):
    """s* = (g^2 / 2) grad log p: slope -1 / (2 var) about the mean."""
    sample = bridge_at(bridged, 0.3)
    target = (-sample.noise / sample.ratio[:, None])[:, 0]
    slope, intercept = np.polyfit(sample.x[:, 0].numpy(), target.numpy(), 1)
    assert slope == pytest.approx(-0.476384, abs=0.02)
    assert intercept == pytest.approx(-0.476384 * 0.04, abs=0.02)


def test_without_noise_the_bridge_is_straight_and_has_no_score(generator):
    pairs = pairs_of(0)
    t = (pairs.t0 + pairs.t1) / 3
    bridge, straight = (
        path.sample(pairs, t, generator) for path in (BridgePath(1e-9), StraightPath(0.0))
    )
    torch.testing.assert_close(bridge.x, straight.x)
    torch.testing.assert_close(bridge.u, straight.u)
    assert (bridge.noise / bridge.ratio[:, None]).abs().max() < 1e-8


def test_noise_that_is_known_gains_nothing_from_a_score_of_zero(generator):
    """E |lambda s + noise|^2 is d for s = 0, and less with the best linear s."""
    coupling = IndependentCoupling(Normal(), Normal())
    pairs = coupling.sample(50_000, generator)
    sample = BridgePath(1.0).sample(pairs, torch.full_like(pairs.t0, 0.5), generator)
    scaled = sample.ratio[:, None]
    slope = float(
        (-(sample.noise * scaled * sample.x).mean()) / (scaled * sample.x).square().mean()
    )
    zero = float(sample.noise.square().mean())
    best = float((scaled * slope * sample.x + sample.noise).square().mean())
    assert zero == pytest.approx(1, abs=0.03)
    assert best < 0.9
