"""Discriminator guidance against flows whose log-ratios are known in closed form."""

import math

import pytest
import torch

from cellflow import InputError
from cellflow.images.guidance.discriminator_guidance import DiscriminatorGuide
from cellflow.images.guidance.noisy_classifier import vp_sigma
from cellflow.integrate import heun, solve
from tests.seeds import seeded

MODEL, DATA, WIDTH = 1.0, -0.5, 0.5


class Known:
    """A log-ratio as a function of levels and points; it counts how often it is asked."""

    def __init__(self, ratio):
        self.ratio, self.calls = ratio, 0

    def log_ratio(self, sigma, x, condition=None):
        self.calls += 1
        self.condition = condition
        return self.ratio(sigma, x)


def nothing(sigma, x):
    """D = 1/2 everywhere."""
    return 0 * x.sum(dim=1)


def exact(sigma, x):
    """ln N(x; DATA, s^2) - ln N(x; MODEL, s^2) with s^2 = WIDTH^2 + sigma^2."""
    variance = WIDTH**2 + sigma.square()
    return ((x - MODEL).square() - (x - DATA).square()).sum(dim=1) / (2 * variance)


def gaussian(mean):
    """Velocity of the best denoiser of data N(mean, WIDTH^2)."""

    def velocity(t, x):
        t = t[:, None]
        sigma = (1 - t) / t
        share = WIDTH**2 / (WIDTH**2 + sigma**2)
        denoised = mean + share * (x / t - mean)
        return (denoised - x) / (1 - t)

    return velocity


def noise(n=400, d=2):
    return torch.randn((n, d), generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def levels(*values):
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_discriminator_that_knows_nothing_changes_nothing(dtype):
    start = noise().to(dtype)
    plain = heun(gaussian(MODEL), start)
    guided = heun(gaussian(MODEL), start, guide=DiscriminatorGuide(Known(nothing), (2.0, 1.0)))
    assert torch.equal(plain.x, guided.x)
    assert plain.nfe == guided.nfe


def test_no_weight_asks_no_discriminator_and_changes_nothing():
    known = Known(exact)
    guided = heun(gaussian(MODEL), noise(), guide=DiscriminatorGuide(known, (0.0, 0.0), boost=True))
    assert torch.equal(guided.x, heun(gaussian(MODEL), noise()).x)
    assert known.calls == 0


@pytest.mark.parametrize(("order", "weight"), [(1, 2.0), (2, 0.5)])
def test_a_linear_log_ratio_adds_a_constant_times_the_level(order, weight):
    """L = a^T x adds -w sigma a to the slope."""
    a = levels(3.0, -1.0)
    sigma = levels(0.1, 1.0, 50.0)
    added = DiscriminatorGuide(Known(lambda _sigma, x: x @ a), (2.0, 0.5)).slope_correction(
        0, order, sigma, noise(3)
    )
    torch.testing.assert_close(added, -weight * sigma[:, None] * a)


def test_the_exact_log_ratio_leads_a_flow_of_a_wrong_mean_to_the_data():
    """With weight 1 at both ends of steps, samples are those of a flow of the right mean."""
    right = heun(gaussian(DATA), noise(), n_steps=60, sigma_min=0.05)
    wrong = heun(gaussian(MODEL), noise(), n_steps=60, sigma_min=0.05)
    guide = DiscriminatorGuide(Known(exact), (1.0, 1.0))
    guided = heun(gaussian(MODEL), noise(), n_steps=60, sigma_min=0.05, guide=guide)
    torch.testing.assert_close(guided.end, right.end, rtol=0, atol=1e-9)
    assert float((wrong.end - right.end).abs().min()) > 1


def test_guidance_of_the_first_order_alone_needs_twice_the_weight():
    """As published: the second slope of a step halves what the first is given."""

    def led(weights):
        return DiscriminatorGuide(Known(exact), weights)

    ends = {
        weights: float(heun(gaussian(MODEL), noise(), n_steps=200, guide=led(weights)).end.mean())
        for weights in ((1.0, 1.0), (2.0, 0.0), (1.0, 0.0))
    }
    wrong = float(heun(gaussian(MODEL), noise(), n_steps=200).end.mean())
    right = float(heun(gaussian(DATA), noise(), n_steps=200).end.mean())
    assert ends[1.0, 1.0] == pytest.approx(right, abs=0.01)
    assert ends[2.0, 0.0] == pytest.approx(right, abs=0.05)
    assert ends[1.0, 0.0] == pytest.approx((right + wrong) / 2, abs=0.1)


def test_guidance_is_there_at_times_from_a_hundredth_to_one():
    ends = vp_sigma(levels(0.01, 1.0)).tolist()
    sigma = levels(0.999 * ends[0], 1.001 * ends[0], 0.999 * ends[1], 1.001 * ends[1])
    added = DiscriminatorGuide(Known(lambda _sigma, x: x.sum(dim=1)), (1.0, 0.0)).slope_correction(
        0, 1, sigma, noise(4)
    )
    assert added.any(dim=1).tolist() == [False, True, True, False]


def test_where_there_is_none_nothing_is_asked():
    known = Known(exact)
    assert (
        not DiscriminatorGuide(known, (1.0, 1.0))
        .slope_correction(0, 1, levels(0.01, 0.02), noise(2))
        .any()
    )
    assert known.calls == 0


def test_covariates_reach_the_discriminator():
    known, condition = Known(exact), torch.eye(2)
    DiscriminatorGuide(known, (1.0, 0.0), condition=condition).slope_correction(
        0, 1, levels(1.0, 1.0), noise(2)
    )
    assert known.condition is condition


@pytest.mark.parametrize("step", range(6))
def test_boosting_doubles_the_guidance_of_what_looks_generated_in_every_second_step(step):
    """Of the first order alone."""
    known = Known(lambda _sigma, x: x[:, 0])
    x, sigma = levels([-1.0, 0.0], [1.0, 0.0]), levels(1.0, 1.0)
    for order in (1, 2):
        added = DiscriminatorGuide(known, (1.0, 1.0), boost=True).slope_correction(
            step, order, sigma, x
        )
        doubled = order == 1 and step % 2 == 0
        assert added[:, 0].tolist() == [-2.0 if doubled else -1.0, -1.0]


@pytest.mark.parametrize("step", range(1, 11))
def test_boosting_stirs_what_looked_generated_in_every_fifth_step(step):
    guide = DiscriminatorGuide(
        Known(lambda _sigma, x: x[:, 0]), (1.0, 0.0), boost=True, generator=seeded(7)
    )
    x, sigma = levels([-1.0, 0.0], [1.0, 0.0]), levels(2.0, 2.0)
    guide.slope_correction(step - 1, 1, sigma, x)
    higher, stirred = guide.add_noise(step, 18, sigma, x)
    stirs = step % 5 == 0
    assert higher.tolist() == pytest.approx([2 * (1 + 4 / 18) if stirs else 2.0, 2.0])
    assert (stirred != x).any(dim=1).tolist() == [stirs, False]


@pytest.mark.parametrize(("n_steps", "share"), [(18, 4 / 18), (5, math.sqrt(2) - 1)])
def test_stirred_points_have_the_noise_of_their_new_level(n_steps, share):
    guide = DiscriminatorGuide(
        Known(lambda _s, x: x.sum(1) - 1e9), (1.0, 0.0), boost=True, generator=seeded(7)
    )
    x = torch.zeros((20_000, 2), dtype=torch.float64)
    sigma = torch.full((20_000,), 2.0, dtype=torch.float64)
    guide.slope_correction(4, 1, sigma, x)
    higher, stirred = guide.add_noise(5, n_steps, sigma, x)
    assert float(higher[0]) == pytest.approx(2 * (1 + share))
    added = math.sqrt(float(higher[0]) ** 2 - 4)
    assert float(stirred.std()) == pytest.approx(added, rel=0.02)


def test_each_run_begins_without_a_memory_of_the_one_before():
    guide = DiscriminatorGuide(
        Known(lambda _s, x: x.sum(1) - 1e9), (1.0, 0.0), boost=True, generator=seeded(7)
    )
    guide.slope_correction(17, 1, levels(1.0), noise(1))
    sigma, x = guide.add_noise(0, 18, levels(80.0), noise(1))
    assert float(sigma) == 80
    assert torch.equal(x, noise(1))


def test_boosted_samples_still_reach_the_data():
    guide = DiscriminatorGuide(Known(exact), (1.0, 1.0), boost=True, generator=seeded(7))
    end = heun(gaussian(MODEL), noise(4000), n_steps=40, guide=guide).end
    # Doubling the guidance of those that look generated leads some of them too far.
    assert abs(float(end.mean()) - DATA) < 0.3
    again = DiscriminatorGuide(Known(exact), (1.0, 1.0), boost=True, generator=seeded(7))
    assert torch.equal(end, heun(gaussian(MODEL), noise(4000), n_steps=40, guide=again).end)


def test_levels_may_differ_from_row_to_row():
    """Points at a level of their own take the step that points there take together."""

    class Apart:
        def add_noise(self, step, n_steps, sigma, x):
            return (sigma * factors, x * factors[:, None]) if step == 0 else (sigma, x)

        def slope_correction(self, step, order, sigma, x):
            return torch.zeros_like(x)

    factors = levels(1.0, 1.2)
    start = noise(2)
    together = heun(gaussian(DATA), start, n_steps=9, guide=Apart()).end
    factors = levels(1.2)
    alone = heun(gaussian(DATA), start[1:], n_steps=9, guide=Apart()).end
    torch.testing.assert_close(together[1:], alone, rtol=1e-12, atol=0)
    factors = levels(1.0)
    torch.testing.assert_close(together[:1], heun(gaussian(DATA), start[:1], n_steps=9).end)


def test_other_solvers_take_no_guide():
    guide = DiscriminatorGuide(Known(exact), (1.0, 0.0))
    with pytest.raises(InputError, match="goes with solver 'edm-heun', not with 'euler'"):
        solve(gaussian(DATA), noise(2), [0.0, 1.0], solver="euler", guide=guide)
    by_name = solve(
        gaussian(MODEL), noise(), [0.0, 1.0], solver="edm-heun", n_steps=18, guide=guide
    )
    assert torch.equal(by_name.x, heun(gaussian(MODEL), noise(), guide=guide).x)
