"""Rates and densities along flows whose answers are known."""

import math

import pytest
import torch

from cellflow import InputError
from cellflow.integrate import accumulate, log_density

MATRIX = torch.tensor([[0.3, -1.0], [0.4, -0.5]], dtype=torch.float64)


def linear(t, x):
    return x @ MATRIX.T


def standard(x):
    return -0.5 * x.square().sum(dim=1) - x.shape[1] / 2 * math.log(2 * math.pi)


def test_a_rate_is_integrated_along_the_paths(generator):
    """Positions move at speed 2, so the integral of x over time 3 from x0 is 3 x0 + 9."""
    x = torch.randn((6, 1), generator=generator, dtype=torch.float64)
    end, total = accumulate(
        lambda t, x: torch.full_like(x, 2.0), lambda t, x: x[:, 0], x, 0.0, 3.0, n_steps=10
    )
    torch.testing.assert_close(end, x + 6)
    torch.testing.assert_close(total, 3 * x[:, 0] + 9)


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


def test_unknown_trace_is_named_with_the_valid_ones():
    with pytest.raises(InputError, match=r"unknown trace 'skilling'.*exact, hutchinson"):
        log_density(linear, standard, torch.zeros(1, 2), 0, 1, trace="skilling")
