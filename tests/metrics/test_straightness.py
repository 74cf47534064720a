"""Energies of trajectories against closed forms, and what makes them smallest."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cellflow import InputError
from cellflow.metrics.straightness import normalized_path_energy, path_energy, straightness


def points(seed: int, n: int = 7, d: int = 2) -> torch.Tensor:
    drawn = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=drawn, dtype=torch.float64)


def lines(start: torch.Tensor, stop: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
    share = (times - times[0]) / (times[-1] - times[0])
    return start + share[:, None, None] * (stop - start)


def circle(n_times: int, turn: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    """One point on the unit circle at constant speed, `turn` turns in one unit of time."""
    times = torch.linspace(0, 1, n_times, dtype=torch.float64)
    angles = 2 * math.pi * turn * times
    return torch.stack([angles.cos(), angles.sin()], dim=1)[:, None], times


@given(seed=st.integers(0, 2**31), stop=st.sampled_from([-2.0, 0.5, 3.0]))
def test_straight_lines_at_constant_speed(seed, stop):
    """Whatever the times between, forwards and backwards: energy |x1 - x0|^2 / T, excess zero."""
    x, y = points(seed), points(seed + 1)
    times = stop * torch.tensor([0.0, 0.1, 0.15, 0.7, 1.0], dtype=torch.float64)
    trajectory = lines(x, y, times)
    expected = (y - x).square().sum(dim=1).mean() / abs(stop)
    assert path_energy(trajectory, times) == pytest.approx(float(expected))
    assert straightness(trajectory, times) == pytest.approx(0, abs=1e-12)


def test_a_circle_against_its_closed_form():
    """Speed 2 pi: energy 4 pi^2, all of it excess as the end is the start."""
    trajectory, times = circle(4001)
    energy = (2 * math.pi) ** 2
    assert path_energy(trajectory, times) == pytest.approx(energy, rel=1e-5)
    assert straightness(trajectory, times) == pytest.approx(energy, rel=1e-5)


def test_half_a_circle_against_its_closed_form():
    trajectory, times = circle(4001, turn=0.5)
    excess = math.pi**2 - 4
    assert straightness(trajectory, times) == pytest.approx(excess, rel=1e-5)
    assert normalized_path_energy(trajectory, times) == pytest.approx(excess / 4, rel=1e-5)


def test_uneven_speed_costs_energy():
    """x = t^2 and 3 t^2: integrals of speeds squared are 4 / 3 and 12, a quarter in excess."""
    times = torch.linspace(0, 1, 2001, dtype=torch.float64)
    trajectory = times.square()[:, None, None] * torch.tensor([[1.0], [3.0]])
    assert path_energy(trajectory, times) == pytest.approx(20 / 3, rel=1e-5)
    assert straightness(trajectory, times) == pytest.approx(5 / 3, rel=1e-5)


@given(seed=st.integers(0, 2**31))
def test_more_times_never_lower_the_energy(seed):
    trajectory, times = points(seed, n=9 * 5, d=2).reshape(9, 5, 2), torch.linspace(0, 1, 9)
    coarse = path_energy(trajectory[::2], times[::2])
    assert coarse <= path_energy(trajectory, times) * (1 + 1e-6)


def test_optimal_straight_lines_have_no_excess_whatever_the_time_they_take():
    """A shift is optimal; crossed lines are straight too, but not optimal."""
    start = torch.tensor([[0.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    shift = torch.tensor([0.0, 1.0], dtype=torch.float64)
    times = torch.tensor([1.0, 2.0, 5.0], dtype=torch.float64)
    direct, crossed = lines(start, start + shift, times), lines(start, start.flip(0) + shift, times)
    assert normalized_path_energy(direct, times) == pytest.approx(0, abs=1e-12)
    assert normalized_path_energy(crossed, times) == pytest.approx(1)
    assert straightness(crossed, times) == pytest.approx(0, abs=1e-12)


def test_a_known_distance_takes_the_place_of_the_exact_one():
    times = torch.tensor([0.0, 1.0])
    trajectory = lines(torch.zeros(3, 2), torch.ones(3, 2), times)
    assert normalized_path_energy(trajectory, times, square_distance=4.0) == pytest.approx(0.5)


def test_gradients_in_the_trajectory_do_no_harm():
    times = torch.tensor([0.0, 1.0])
    trajectory = torch.ones(2, 3, 2, requires_grad=True) * times[:, None, None]
    assert path_energy(trajectory, times) == pytest.approx(2)
    assert straightness(trajectory, times) == pytest.approx(0, abs=1e-12)
    assert normalized_path_energy(trajectory, times) == pytest.approx(0, abs=1e-12)


def test_bad_input_is_refused():
    trajectory = torch.zeros(3, 4, 2)
    for times in ([0.0, 1.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.5]):
        with pytest.raises(InputError, match="a trajectory of 3 time points needs as many"):
            path_energy(trajectory, torch.tensor(times))
    with pytest.raises(InputError, match="1 time points"):
        path_energy(trajectory[:1], torch.tensor([0.0]))
    with pytest.raises(InputError, match="must be positive, got 0"):
        normalized_path_energy(trajectory, torch.tensor([0.0, 1.0, 2.0]))
