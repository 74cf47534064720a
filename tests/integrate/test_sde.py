"""SRA1 against processes whose laws are known."""

import math

import pytest
import torch

from cellflow.integrate import compare_steps, solve_sde


def test_ornstein_uhlenbeck_reaches_its_law(generator):
    """dX = -X dt + g dW from a point: mean x e^-T, variance g^2 (1 - e^-2T) / 2."""
    x = torch.full((40_000, 1), 2.0, dtype=torch.float64)
    end = solve_sde(lambda t, x: -x, 0.8, x, [0.0, 1.0], generator, n_steps=200).end
    assert float(end.mean()) == pytest.approx(2 * math.exp(-1), abs=0.02)
    assert float(end.var()) == pytest.approx(0.32 * (1 - math.exp(-2)), rel=0.03)


def test_schroedinger_bridge_goes_forward_and_back(generator):
    """With its exact flow and score, sigma = 1, from N(-.1, 1) to N(.1, 1) and back."""

    def variance(t):
        return (1 - t) ** 2 + t**2 + t * (1 - t) * math.sqrt(5)

    def flow(t, x):
        t = t[:, None]
        slope = (2 * t - 2 * (1 - t) + (1 - 2 * t) * math.sqrt(5)) / (2 * variance(t))
        return 0.2 + slope * (x - (2 * t - 1) * 0.1)

    def score(t, x):
        t = t[:, None]
        return -0.5 * (x - (2 * t - 1) * 0.1) / variance(t)

    x = torch.randn((40_000, 1), generator=generator, dtype=torch.float64) - 0.1
    times = [0.0, 0.3, 1.0]
    there = solve_sde(lambda t, x: flow(t, x) + score(t, x), 1.0, x, times, generator).x
    for t, at in zip(times, there, strict=True):
        assert float(at.mean()) == pytest.approx((2 * t - 1) * 0.1, abs=0.02)
        assert float(at.var()) == pytest.approx(variance(t), rel=0.03)
    back = solve_sde(
        lambda t, x: score(t, x) - flow(t, x), 1.0, there[-1], times[::-1], generator
    ).x
    assert float(back[1].var()) == pytest.approx(1.049574, rel=0.03)
    assert float(back[-1].mean()) == pytest.approx(-0.1, abs=0.02)


def test_without_noise_it_is_exact_for_a_line_in_time_and_evaluations_are_counted(generator):
    x = torch.zeros((5, 2), dtype=torch.float64)
    moved = solve_sde(
        lambda t, x: t[:, None] + 0 * x, 0.0, x, [0.0, 0.5, 2.0], generator, n_steps=7
    )
    assert moved.x[:, 0, 0].tolist() == pytest.approx([0, 0.125, 2])
    assert moved.nfe == 28


def test_twice_the_steps_along_the_same_noise_have_a_quarter_of_the_error():
    """For a linear drift; without the areas of the noise they would have half of it."""
    x = torch.full((2000, 1), 2.0, dtype=torch.float64)

    def error(rate):
        coarse, fine = compare_steps(lambda t, x: -x, 0.8, x, [1.0, 0.5, 0.0], rate)
        return float((coarse.end - fine.end).square().mean().sqrt())

    assert error(16) / error(32) == pytest.approx(4, rel=0.1)


def test_times_after_steps_are_those_of_their_ends(generator):
    times = []
    x = torch.zeros((1, 1), dtype=torch.float64)
    way = {"n_steps": 2, "after_step": lambda t, x: times.append(t)}
    solve_sde(lambda t, x: x, 1.0, x, [2.0, 3.0, 5.0], generator, **way)
    assert times == [2.5, 3.0, 4.0, 5.0]


def test_default_steps_are_those_of_the_time_between(generator):
    x = torch.zeros((1, 1), dtype=torch.float64)
    assert solve_sde(lambda t, x: x, 1.0, x, [2.0, 3.0], generator).nfe == 2 * 25
