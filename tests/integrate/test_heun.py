"""The sampler of EDM against its published grids and the exact solution for Gaussian data."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cellflow import InputError
from cellflow.integrate import heun, noise_levels, solve

#: Published steps and rho: levels to five digits, and where Heun steps end for data N(0, 0.5^2).
GRIDS = {
    (18, 7.0): (
        [80, 57.586, 40.786, 28.375, 19.352, 12.910, 8.4009, 5.3152, 3.2568, 1.9233, 1.0882,
         0.58535, 0.29644, 0.13952, 0.059947, 0.022935, 0.0075280, 0.002, 0],
        0.527625,
    ),
    (14, 90.0): (
        [80, 36.957, 16.959, 7.7295, 3.4986, 1.5725, 0.70170, 0.31085, 0.13669, 0.059650,
         0.025831, 0.011099, 0.0047307, 0.002, 0],
        0.550684,
    ),
    (15, 72.0): (
        [80, 39.438, 19.306, 9.3833, 4.5274, 2.1682, 1.0305, 0.48601, 0.22740, 0.10554, 0.048578,
         0.022172, 0.010032, 0.0044997, 0.002, 0],
        0.542818,
    ),
}  # fmt: skip


def gaussian(t, x):
    """Velocity of the best denoiser of data N(0, 0.5^2), D = x 0.25 / (0.25 + sigma^2)."""
    t = t[:, None]
    sigma = (1 - t) / t
    denoised = x / t * 0.25 / (0.25 + sigma**2)
    return (denoised - x) / (1 - t)


@pytest.mark.parametrize(("n_steps", "rho"), GRIDS)
def test_levels_are_those_of_the_paper(n_steps, rho):
    levels = noise_levels(n_steps, rho)
    assert levels.dtype == torch.float64
    assert levels.tolist() == pytest.approx(GRIDS[n_steps, rho][0], rel=5e-5)


def test_for_large_rho_levels_fall_by_a_constant_factor():
    levels = noise_levels(12, 1e6)[:-1]
    ratios = levels[1:] / levels[:-1]
    torch.testing.assert_close(ratios, ratios[:1].expand(11), rtol=1e-4, atol=0)


@given(n_steps=st.integers(2, 60), rho=st.floats(0.5, 500))
def test_levels_fall_from_the_largest_to_the_least_and_to_zero(n_steps, rho):
    levels = noise_levels(n_steps, rho)
    assert (levels.diff() < 0).all()
    assert float(levels[0]) == pytest.approx(80)
    assert float(levels[-2]) == pytest.approx(0.002)
    assert float(levels[-1]) == 0


def transported(t, x):
    """Velocity where each noise vector n is paired with n / 2: straight paths."""
    return -x / (2 - t[:, None])


@pytest.mark.parametrize(
    ("n_steps", "widened"), [(4, 2.182), (8, 0.697), (18, 0.528)], ids=["7", "15", "35"]
)
def test_few_steps_widen_independent_pairs_and_not_transported_ones(n_steps, widened):
    """Why distances can rise with the number of steps: docs/methods/aot.md. Exact would be 0.5."""
    noise = torch.tensor([[1.0]], dtype=torch.float64)
    assert float(heun(gaussian, noise, n_steps=n_steps).end) == pytest.approx(widened, abs=5e-4)
    # Only the start, at 80 n instead of y + 80 n, is missed.
    end = heun(transported, noise, n_steps=n_steps).end
    assert float(end) == pytest.approx(40 / 80.5, rel=1e-9)


@pytest.mark.parametrize(("n_steps", "rho"), GRIDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_coarse_steps_err_as_heun_steps_do(n_steps, rho, dtype):
    """To five digits, also where the net works in single precision."""
    noise = torch.tensor([[1.0], [-2.0]], dtype=dtype)
    solution = heun(gaussian, noise, n_steps=n_steps, rho=rho)
    expected = GRIDS[n_steps, rho][1]
    assert (solution.end / noise)[:, 0].tolist() == pytest.approx([expected] * 2, abs=5e-6)
    assert solution.end.dtype == dtype
    assert torch.equal(solution.x[0], noise)


def test_many_steps_reach_the_exact_solution():
    """80 z goes to 80 z / sqrt(1 + 4 * 80^2), at second order."""
    noise, exact = torch.ones((1, 1), dtype=torch.float64), 0.499990
    errors = [
        abs(float(heun(gaussian, noise, n_steps=n).end) - exact) for n in (100, 200, 400, 1000)
    ]
    assert errors[0] / errors[1] == pytest.approx(4, abs=0.5)
    assert errors[1] / errors[2] == pytest.approx(4, abs=0.5)
    assert errors[3] < 5e-5


@pytest.mark.parametrize(("n_steps", "calls"), [(18, 35), (14, 27), (15, 29), (1, 1)])
def test_each_step_but_the_last_asks_twice(n_steps, calls):
    seen = []

    def field(t, x):
        assert t.dtype == x.dtype == torch.float32
        seen.append(float(t[0]))
        return torch.zeros_like(x)

    assert heun(field, torch.ones(2, 3), n_steps=n_steps).nfe == len(seen) == calls
    assert seen[0] == pytest.approx(1 / 81)
    assert max(seen) <= 1 / 1.002 + 1e-6


def test_a_constant_velocity_is_followed_exactly():
    """x_1 = x_0 + u, from where the sampler starts: 80 / 81 x_0 at time 1 / 81."""
    u = torch.tensor([[3.0, -1.0]], dtype=torch.float64)
    noise = torch.tensor([[0.5, 2.0]], dtype=torch.float64)
    end = heun(lambda t, x: u.expand_as(x), noise, n_steps=1000).end
    torch.testing.assert_close(end, 80 / 81 * noise + 80 / 81 * u, rtol=0, atol=1e-3)


class Recording:
    """A guide that adds slope 1 at the start of a step and 3 at its end, and noise before one."""

    def __init__(self):
        self.calls = []

    def add_noise(self, step, n_steps, sigma, x):
        self.calls.append((step, 0, *sigma.tolist()))
        assert n_steps == 3
        return (sigma + torch.tensor([0.0, 5.0]), x + 100) if step == 1 else (sigma, x)

    def slope_correction(self, step, order, sigma, x):
        self.calls.append((step, order, *sigma.tolist()))
        return torch.full_like(x, 2.0 * order - 1)


def test_a_guide_adds_noise_before_steps_and_to_both_slopes_of_each():
    """Where v = x / t, nothing but the guide moves x: by -3 down from 80, and -1 in the last step.

    Its level of noise may differ between rows: the second goes 5 further in the second step.
    """
    guide, levels = Recording(), noise_levels(3).tolist()
    noise = torch.tensor([[1.0], [-2.0]], dtype=torch.float64)
    end = heun(lambda t, x: x / t[:, None], noise, n_steps=3, guide=guide).end
    moved = end - (80 * noise + 100)
    slid = 2 * (80 - 0.002) + 0.002
    torch.testing.assert_close(moved[:, 0].tolist(), [-slid, -slid - 10])
    first, second, last, zero = levels
    torch.testing.assert_close(
        guide.calls,
        [
            (0, 0, first, first), (0, 1, first, first), (0, 2, second, second),
            (1, 0, second, second), (1, 1, second, second + 5), (1, 2, last, last),
            (2, 0, last, last), (2, 1, last, last),
        ],
    )  # fmt: skip


def test_it_is_a_solver_by_name():
    noise = torch.ones((1, 1), dtype=torch.float64)
    by_name = solve(gaussian, noise, [0.0, 1.0], solver="edm-heun", n_steps=14, rho=90.0)
    assert torch.equal(by_name.x, heun(gaussian, noise, n_steps=14, rho=90.0).x)
    assert by_name.nfe == 27


@pytest.mark.parametrize("times", [[0.0, 0.5, 1.0], [1.0, 0.0], [0.0, 2.0], [0.2, 1.0]])
def test_times_between_are_refused(times):
    with pytest.raises(InputError, match="integrates from flow time 0 to 1"):
        solve(gaussian, torch.ones(1, 1), times, solver="edm-heun")


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"n_steps": 0}, "n_steps must be positive, got 0"),
        ({"rho": -1.0}, "rho must be positive, got -1"),
        ({"sigma_min": 0.0}, "sigma_min must be positive, got 0"),
        ({"sigma_max": 0.001}, "sigma_max must be above sigma_min, got 0.001 and 0.002"),
    ],
)
def test_numbers_that_make_no_levels_are_refused(numbers, message):
    with pytest.raises(InputError, match=message):
        heun(gaussian, torch.ones(1, 1), **numbers)
