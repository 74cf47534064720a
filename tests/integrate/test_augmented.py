"""Rates and densities along flows whose answers are known."""

import math

import numpy as np
import pytest
import torch

from cellflow import InputError
from cellflow.integrate import log_density, solve, solve_augmented
from cellflow.integrate.augmented import spline_weights
from cellflow.nets import UNet

MATRIX = torch.tensor([[0.3, -1.0], [0.4, -0.5]], dtype=torch.float64)


def linear(t, x):
    return x @ MATRIX.T


def standard(x):
    return -0.5 * x.square().sum(dim=1) - x.shape[1] / 2 * math.log(2 * math.pi)


def test_a_rate_is_integrated_along_the_paths(generator):
    """Positions move at speed 2, so the integral of x over time 3 from x0 is 3 x0 + 9."""
    x = torch.randn((6, 1), generator=generator, dtype=torch.float64)
    solution, total = solve_augmented(
        lambda t, x: (torch.full_like(x, 2.0), x[:, 0]), x, [0.0, 3.0], n_steps=10
    )
    torch.testing.assert_close(solution.end, x + 6)
    torch.testing.assert_close(total[-1], 3 * x[:, 0] + 9)


@pytest.mark.parametrize("solver", ["rk4", "dopri5"])
def test_rates_build_up_over_the_span_of_each_row(solver):
    x = torch.zeros((3, 2), dtype=torch.float64)
    times = torch.tensor([[0.0, 0.0, 1.0], [1.0, -0.5, 3.0]], dtype=torch.float64)
    still = lambda t, x: (torch.zeros_like(x), torch.full_like(t, 3.0))  # noqa: E731
    solution, total = solve_augmented(still, x, times, solver=solver)
    torch.testing.assert_close(solution.end, x)
    torch.testing.assert_close(total[-1], 3 * (times[1] - times[0]))


@pytest.mark.parametrize("span", [(0.0, 1.5), (2.0, 0.5)])
def test_density_of_a_linear_flow_is_the_gaussian_it_makes(span, generator):
    """x -> e^{A T} x makes N(0, e^{AT} e^{A'T}) of N(0, 1), forward and backward in time."""
    x = torch.randn((7, 2), generator=generator, dtype=torch.float64)
    spread = torch.linalg.matrix_exp(MATRIX * (span[1] - span[0]))
    law = torch.distributions.MultivariateNormal(
        torch.zeros(2, dtype=torch.float64), spread @ spread.T
    )
    found = log_density(linear, standard, x, *span, n_steps=50)
    torch.testing.assert_close(found, law.log_prob(x), rtol=1e-6, atol=1e-6)


def test_random_trace_is_right_in_the_mean(generator):
    x = torch.zeros((20_000, 2), dtype=torch.float64)
    found = log_density(
        linear, standard, x, 0.0, 1.0, trace="hutchinson", generator=generator, n_steps=2
    )
    exact = log_density(linear, standard, x[:1], 0.0, 1.0, n_steps=2)
    assert float(found.mean()) == pytest.approx(float(exact), abs=0.02)
    assert float(found.std()) > 0.1


@pytest.mark.parametrize("trace", ["exact", "hutchinson"])
def test_nets_that_attend_have_a_divergence(trace, generator):
    """Of one step back the mean of the traces of the Jacobian at both ends."""
    net = UNet(
        (1, 2, 2), channels=4, multipliers=(1,), blocks=1, attention=(2,), head_width=4, dropout=0
    ).double()
    for weights in net.parameters():
        torch.nn.init.normal_(weights, std=0.3, generator=generator)
    x = torch.randn((3, 4), generator=generator, dtype=torch.float64)
    seed = torch.Generator().manual_seed(2)
    found = log_density(net, standard, x, 0.0, 1.0, generator=seed, trace=trace, n_steps=1)
    signs = torch.randint(2, (3, 4), generator=seed.manual_seed(2)).double() * 2 - 1
    end, divergences = solve(net, x, [1.0, 0.0], n_steps=1).end, []
    for time, point in ((1.0, x), (0.0, end)):
        here = point.clone().requires_grad_()
        value = net(torch.full((3,), time, dtype=torch.float64), here)
        rows = [torch.autograd.grad(each.sum(), here, retain_graph=True)[0] for each in value.T]
        jacobian = torch.stack(rows, dim=1)
        traces = {
            "exact": torch.einsum("nii->n", jacobian),
            "hutchinson": torch.einsum("ni,nij,nj->n", signs, jacobian, signs),
        }
        divergences.append(traces[trace])
    torch.testing.assert_close(found, standard(end) - sum(divergences) / 2)
    assert float(divergences[0].abs().min()) > 1e-3


@pytest.mark.parametrize(("n_steps", "degree"), [(1, 1), (2, 1), (3, 3), (4, 3), (5, 5), (12, 5)])
def test_weights_integrate_polynomials_exactly(n_steps, degree):
    nodes, weights = np.arange(n_steps + 1.0), spline_weights(n_steps)
    for power in range(degree + 1):
        assert weights @ nodes**power == pytest.approx(n_steps ** (power + 1) / (power + 1))


@pytest.mark.parametrize("trace", ["exact", "hutchinson"])
def test_dimensions_that_do_not_depend_on_the_point_do_not_diverge(trace, generator):
    x = torch.zeros((3, 2), dtype=torch.float64)
    way = {"trace": trace, "generator": generator, "n_steps": 20}

    def partly(t, x):
        return torch.stack([0.5 * x[:, 0], t], dim=1)

    found = log_density(partly, lambda x: x.new_zeros(len(x)), x, 0.0, 1.0, **way)
    torch.testing.assert_close(found, x.new_full((3,), -0.5), rtol=0, atol=1e-7)
    for rows in (x, x[:, :1]):
        still = log_density(lambda t, x: torch.ones_like(x), standard, rows + 1, 0.0, 1.0, **way)
        torch.testing.assert_close(still, standard(rows))


@pytest.mark.parametrize("trace", ["exact", "hutchinson"])
@pytest.mark.parametrize("dim", [1, 2])
def test_weights_that_are_the_velocity_do_not_diverge(dim, trace, generator):
    weights = torch.ones(dim, dtype=torch.float64, requires_grad=True)
    x = torch.ones((3, dim), dtype=torch.float64)
    way = {"trace": trace, "generator": generator, "n_steps": 2}
    found = log_density(lambda t, x: weights.expand_as(x), standard, x, 0.0, 1.0, **way)
    torch.testing.assert_close(found, standard(0 * x))


def test_unknown_trace_is_named_with_the_valid_ones():
    with pytest.raises(InputError, match=r"unknown trace 'skilling'.*exact, hutchinson"):
        log_density(linear, standard, torch.zeros(1, 2), 0, 1, trace="skilling")
