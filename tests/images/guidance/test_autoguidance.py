"""Guidance by two velocities: with weights it samples the geometric mixture, without it not."""

from functools import partial
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cellflow import InputError
from cellflow.images.guidance.autoguidance import (
    WeightedSolution,
    _guided_field,
    _select,
    _velocity,
    guidance_rate,
    solve_autoguided,
)
from tests.gaussians import independent_velocity

F64 = torch.float64
STRONG, WEAK = (1.0, 0.5), (0.0, 1.0)
LAWS = [((1.0, 0.8), WEAK, 2.0), ((0.6, 0.7), WEAK, 2.0), ((1.0, 0.7), WEAK, 1.5)]


def velocity(law):
    """Of independent pairs of noise with N(mean, std^2)."""
    return lambda t, x: independent_velocity(t[:, None], x, *law)


def guided(n, r, law=STRONG, other=WEAK, gamma=2.0, times=(0.0, 1.0), seed=0, **options):
    generator = torch.Generator().manual_seed(seed)
    starts = torch.randn((n, r, 1), generator=generator, dtype=F64)
    uniforms = torch.rand(n, generator=generator, dtype=F64)
    options = {"solver": "rk4", "n_steps": 40, **options}
    fields = velocity(law), velocity(other)
    return solve_autoguided(*fields, starts, uniforms, times, gamma=gamma, **options)


def mixture(law, other, gamma):
    """Mean and standard deviation of N(law)^gamma N(other)^(1 - gamma)."""
    (m1, s1), (m2, s2) = law, other
    precision = gamma / s1**2 + (1 - gamma) / s2**2
    return (gamma * m1 / s1**2 + (1 - gamma) * m2 / s2**2) / precision, precision**-0.5


def test_the_rate_of_two_gaussians_is_the_known_one():
    t, x, gamma = torch.tensor([0.4], dtype=F64), torch.tensor([[0.7]], dtype=F64), 1.8
    fields = velocity((2.0, 0.3)), velocity((0.0, 1.0))
    first, second = (field(t, x) for field in fields)
    assert float(guidance_rate(t, first, second, gamma)) == pytest.approx(5.621548, abs=1e-6)
    moved, rate = _guided_field(*fields, gamma, 1e-4, t, x)
    assert float(rate) == pytest.approx(5.621548, rel=1e-6)
    torch.testing.assert_close(moved, gamma * first + (1 - gamma) * second)


def test_all_trajectories_of_an_image_have_its_condition():
    """Rows are those of one image after another."""
    flow = SimpleNamespace(velocity=lambda t, x, condition: condition, device="cpu")
    found = _velocity(flow, torch.tensor([[1.0, 0.0], [0.0, 2.0]]), 3)(None, None)
    assert found.tolist() == [[1, 0]] * 3 + [[0, 2]] * 3


def test_at_time_one_the_softened_rate_is_zero():
    t, x = torch.ones(1, dtype=F64), torch.tensor([[0.7]], dtype=F64)
    assert guidance_rate(t, x, x + 1, 2.0, softening=0.01).item() == 0


@pytest.mark.parametrize(("law", "other", "gamma"), LAWS)
def test_with_many_trajectories_samples_follow_the_geometric_mixture(law, other, gamma):
    mean, std = mixture(law, other, gamma)
    n = 2000
    made = guided(n, 64, law, other, gamma).end[:, 0]
    error = 4 * std / n**0.5
    assert float(made.mean()) == pytest.approx(mean, abs=error)
    assert float(made.std()) == pytest.approx(std, abs=error)


@pytest.mark.parametrize(("law", "other", "gamma"), LAWS)
def test_without_weights_they_do_not(law, other, gamma):
    mean, std = mixture(law, other, gamma)
    n = 4000
    made = guided(n, 1, law, other, gamma).end[:, 0]
    error = 4 * std / n**0.5
    off = abs(float(made.mean()) - mean), abs(float(made.std()) - std)
    assert max(off) > 3 * error


@given(softening=st.floats(1e-4, 0.02), solver=st.sampled_from(["euler", "midpoint", "rk4"]))
def test_weights_of_exact_velocities_hardly_depend_on_the_softening(softening, solver):
    soft, hard = (
        guided(1, 200, solver=solver, n_steps=60, softening=each).log_weights
        for each in (softening, 1e-6)
    )
    torch.testing.assert_close(soft, hard, rtol=0, atol=5e-3 * float(hard.abs().max()))


def test_adaptive_solvers_give_the_weights_of_many_fixed_steps():
    fine, adaptive = (
        guided(2, 50, **options)
        for options in ({"n_steps": 400}, {"solver": "dopri5", "tolerance": 1e-7})
    )
    torch.testing.assert_close(fine.log_weights, adaptive.log_weights, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(fine.end, adaptive.end, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("r", [1, 3])
def test_strength_one_follows_the_strong_velocity_alone(r):
    generator = torch.Generator().manual_seed(0)
    starts = torch.randn((5, r, 1), generator=generator, dtype=F64)
    out = solve_autoguided(
        velocity(STRONG), velocity(WEAK), starts, torch.zeros(5), (0.0, 1.0), gamma=1.0, n_steps=9
    )
    alone = guided(5, r, STRONG, STRONG, 2.0, n_steps=9)
    torch.testing.assert_close(out.log_weights, torch.zeros(5, r, dtype=F64))
    assert out.effective_size == pytest.approx(r)
    mean = STRONG[0]
    # A mark of 0 keeps the first of equally heavy ones.
    ends = STRONG[1] * starts[:, 0, 0] + mean
    torch.testing.assert_close(out.end[:, 0], ends, rtol=0, atol=1e-3)
    assert alone.log_weights.abs().max() == 0


def test_weights_of_intermediate_times_follow_the_mixture_there():
    """At time t the law is that of both marginals on the way, N(t m, (1 - t)^2 + t^2 s^2)."""
    t = 0.6
    there = [(t * m, ((1 - t) ** 2 + (t * s) ** 2) ** 0.5) for m, s in (STRONG, WEAK)]
    mean, std = mixture(*there, 2.0)
    made = guided(3000, 32, times=(0.0, t)).end[:, 0]
    assert float(made.mean()) == pytest.approx(mean, abs=4 * std / 3000**0.5)
    assert float(made.std()) == pytest.approx(std, abs=4 * std / 3000**0.5)


def test_a_group_is_kept_by_its_own_trajectories_at_all_times():
    out = guided(6, 4, times=(0.0, 0.5, 1.0))
    generator = torch.Generator().manual_seed(0)
    starts = torch.randn((6, 4, 1), generator=generator, dtype=F64)
    assert out.x.shape == (3, 6, 1)
    assert all(out.x[0, k] in starts[k] for k in range(6))
    assert out.nfe == 2 * 4 * 2 * 4 * 40


@given(st.lists(st.floats(-5, 5), min_size=3, max_size=3), st.integers(0, 2**31))
def test_trajectories_are_drawn_by_their_weights(weights, seed):
    log_weights = torch.tensor([weights], dtype=F64).repeat(4000, 1)
    uniforms = torch.rand(4000, generator=torch.Generator().manual_seed(seed))
    shares = torch.bincount(_select(log_weights, uniforms), minlength=3) / 4000
    torch.testing.assert_close(shares.double(), log_weights[0].softmax(0), rtol=0, atol=0.04)


def test_uniforms_at_the_ends_and_infinitely_light_trajectories_are_drawn_right():
    log_weights = torch.tensor([[-torch.inf, 0.0, 0.0]])
    assert _select(log_weights, torch.tensor([0.0])).item() == 1
    assert _select(log_weights, torch.tensor([1 - 2**-24])).item() == 2


def test_the_effective_number_runs_from_one_to_all():
    x = torch.zeros(1, 2, 1)
    make = partial(WeightedSolution, x, 1)
    assert make(torch.zeros(2, 5)).effective_size == pytest.approx(5)
    assert make(torch.tensor([[0.0, -60.0], [-60.0, 0.0]])).effective_size == pytest.approx(1)


def test_the_sampler_of_edm_carries_no_weights():
    with pytest.raises(InputError, match="'edm-heun' does not integrate the weights"):
        guided(2, 2, solver="edm-heun")
    assert guided(2, 1, solver="edm-heun", n_steps=4).nfe == 2 * 7


def gaussian_flow(t, x, mean, std):
    """Log-density and velocity at t of independent ends N(0, 1) and N(mean, std^2)."""
    variance = (t * std) ** 2 + (1 - t) ** 2
    log_density = -0.5 * (x - t * mean) ** 2 / variance - 0.5 * variance.log()
    return log_density, mean + (t * std**2 - (1 - t)) / variance * (x - t * mean)


def rate_of(t, x, gamma):
    ends = (gaussian_flow(t, x, mean, std)[1] for mean, std in ((2.0, 0.3), (0.0, 1.0)))
    return guidance_rate(t, *(velocity[:, None] for velocity in ends), gamma)


@given(gamma=st.floats(1.1, 3), t=st.floats(0.1, 0.9))
def test_guided_trajectories_with_their_weights_keep_to_the_geometric_mixture(gamma, t):
    time = torch.full((9,), t, dtype=F64, requires_grad=True)
    x = torch.linspace(-2, 3, 9, dtype=F64, requires_grad=True)
    first, second = (gaussian_flow(time, x, *law) for law in ((2.0, 0.3), (0.0, 1.0)))
    log_density, velocity = (
        gamma * a + (1 - gamma) * b for a, b in zip(first, second, strict=True)
    )

    def slope(value, of):
        return torch.autograd.grad(value.sum(), of, retain_graph=True)[0]

    # What continuity leaves over must be the weights' rate, but for what norms the density.
    left = slope(log_density, time) + velocity * slope(log_density, x) + slope(velocity, x)
    rest = (left - rate_of(time, x, gamma)).detach()
    torch.testing.assert_close(rest, rest[:1].expand(9), rtol=1e-8, atol=1e-8)
