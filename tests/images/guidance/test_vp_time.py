"""Levels of noise of EDM and times of the variance-preserving process."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cellflow.images.guidance.noisy_classifier import vp_scale, vp_sigma, vp_time


@pytest.mark.parametrize(
    ("sigma", "tau"), [(0.002, 3.98420e-5), (1.0, 0.258960), (80.0, 0.933511), (0.0, 0.0)]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_times_are_those_published(sigma, tau, dtype):
    found = vp_time(torch.tensor([sigma], dtype=dtype))
    assert float(found) == pytest.approx(tau, rel=1e-5)


@given(st.floats(1e-3, 150))
def test_the_process_has_there_the_same_share_of_noise(sigma):
    """exp(-B / 2) of the signal, by the integral B of beta, in closed form."""
    levels = torch.tensor([sigma], dtype=torch.float64)
    tau = float(vp_time(levels))
    signal = math.exp(-0.25 * tau**2 * 19.9 - 0.5 * tau * 0.1)
    noise = math.sqrt(1 - signal**2)
    assert noise / signal == pytest.approx(sigma, rel=1e-6)
    assert float(vp_scale(levels)) == pytest.approx(signal, rel=1e-9)


@given(st.floats(1e-5, 1.0))
def test_there_and_back(tau):
    times = torch.tensor([tau], dtype=torch.float64)
    torch.testing.assert_close(vp_time(vp_sigma(times)), times, rtol=1e-9, atol=0)
