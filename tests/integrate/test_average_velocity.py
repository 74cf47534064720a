"""Steps by average velocities that are known."""

from itertools import pairwise

import pytest
import torch

from cellflow.integrate import solve_mean_flow


def growing(t, r, x):
    """Average velocity of dx/dt = x: a step of any length is exact."""
    return x * torch.expm1(r - t)[:, None] / (r - t)[:, None]


@pytest.mark.parametrize("n_steps", [1, 3])
def test_exact_averages_are_exact_in_any_number_of_steps(n_steps, generator):
    x = torch.randn((4, 2), generator=generator, dtype=torch.float64)
    times = [0.5, 1.0, 3.0]
    way = solve_mean_flow(growing, x, times, n_steps=n_steps)
    for time, there in zip(times, way.x, strict=True):
        torch.testing.assert_close(there, x * torch.tensor(time - 0.5).double().exp())
    assert way.nfe == 2 * n_steps
    back = solve_mean_flow(growing, way.end, times[::-1], n_steps=n_steps)
    torch.testing.assert_close(back.end, x)


@pytest.mark.parametrize("times", [[0.5, 3.5, 4.0], [3.5, 0.5]])
def test_no_step_reaches_over_a_knot(times):
    seen = []

    def still(t, r, x):
        seen.append((float(t[0]), float(r[0])))
        return torch.zeros_like(x)

    way = solve_mean_flow(
        still, torch.zeros(1, 1, dtype=torch.float64), times, knots=[0, 1, 2, 3, 4]
    )
    knots = [1, 2, 3] if times[0] < 1 else [3, 2, 1]
    stops = [times[0], *knots, times[1]]
    expected = list(pairwise(stops))
    # The next time is reached from the last knot, not from the time before.
    expected += [(3, 4)] if len(times) == 3 else []
    assert seen == expected
    assert way.nfe == len(expected)


def test_points_may_be_ahead_of_each_time_or_behind():
    time_offset = torch.tensor([0.0, 0.5, -0.25], dtype=torch.float64)
    x = torch.ones((3, 1), dtype=torch.float64)
    end = solve_mean_flow(growing, x, [0.0, 1.0], time_offset=time_offset).end
    torch.testing.assert_close(end[:, 0], torch.exp(1 + time_offset))
