"""Points that do not arrive at one time."""

import torch

from cellflow.integrate import accumulate, own_time, solve


def test_every_point_goes_as_far_as_its_own_time(generator):
    """dx/dt = t from t = 1, for spans forward and backward: x + (stop^2 - 1) / 2."""
    x = torch.randn((4, 2), generator=generator, dtype=torch.float64)
    spans = torch.tensor([1.0, -0.5, 0.0, 2.0], dtype=torch.float64)
    field = own_time(lambda t, x: t[:, None].expand_as(x), 1.0, spans)
    moved = solve(field, x, [0.0, 1.0], solver="rk4", n_steps=3).end
    torch.testing.assert_close(moved, x + (((1 + spans) ** 2 - 1) / 2)[:, None])


def test_rates_build_up_over_it(generator):
    x = torch.randn((3, 2), generator=generator, dtype=torch.float64)
    spans = torch.tensor([1.0, -0.5, 2.0], dtype=torch.float64)
    still = own_time(lambda t, x: torch.zeros_like(x), 0.0, spans)
    rate = own_time(lambda t, x: torch.full_like(t, 3.0), 0.0, spans)
    moved, gained = accumulate(still, rate, x, 0.0, 1.0, n_steps=2)
    torch.testing.assert_close(moved, x)
    torch.testing.assert_close(gained, 3 * spans)
