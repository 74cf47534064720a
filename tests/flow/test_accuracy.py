"""Steps are as many as the error asks for."""

import math

import pytest
import torch

import cellflow as cf
from cellflow.flow import Flow
from cellflow.integrate import choose_rate
from cellflow.marginals import TimeAxis
from tests.flows import Known
from tests.seeds import seeded


def flow_with(velocity, **fields):
    clock = TimeAxis("index", (0.0, 1.0, 2.0))
    nets = Known(2, velocity=velocity, **fields)
    return Flow(nets, clock, cf.method("ot-cfm"), cf.recipe("default"))


def test_a_rate_is_where_the_law_of_the_solver_reaches_the_tolerance():
    """16 r^-4 is 5e-4 at 13.4 steps; half as many more are taken."""
    assert choose_rate("rk4", [1.0], lambda rate: 16 * rate**-4) == pytest.approx(
        13.37 * 1.5, rel=1e-3
    )
    longer = choose_rate("rk4", [-8.0, -8.0], lambda rate: 256 * rate**-4)
    assert longer == pytest.approx(13.37 * 1.5, rel=1e-3)
    assert choose_rate("rk4", [-1.0], lambda _: 0.0) == 2
    assert choose_rate("rk4", [0.01], lambda _: 0.0) == 50  # half of one step, which is one
    assert choose_rate("rk4", [1.0], lambda _: 1.0) == 100
    assert choose_rate("rk4", [1.0], lambda _: math.nan) == 25


@pytest.mark.parametrize(("stiffness", "low", "high"), [(0.1, 8, 40), (3, 40, 80), (20, 200, 400)])
def test_errors_are_below_the_tolerance_and_steps_follow_stiffness(stiffness, low, high):
    """v = -a (x - sin 5t), and the mass grows by a x."""

    def velocity(t, x):
        return -stiffness * (x - torch.sin(5 * t)[:, None])

    flow = flow_with(velocity, growth=lambda t, x: stiffness * x[:, 0])
    x = torch.randn((300, 2), generator=seeded())
    moved = flow.trajectory(x, [0.0, 1.0, 2.0])
    exact = flow.trajectory(x, [0.0, 1.0, 2.0], n_steps=400)
    errors = torch.cat([moved.x - exact.x, (moved.log_mass - exact.log_mass)[..., None]], dim=2)
    assert float(errors.norm(dim=2).max()) < 2 * 2 * 5e-4 * 2**0.5
    assert low <= moved.nfe <= high


def test_points_of_a_diverging_flow_are_refused_by_the_solution_itself():
    flow = flow_with(lambda t, x: torch.full_like(x, math.nan))
    with pytest.raises(cf.DivergenceError, match="2 of 2 points are not finite at time 1"):
        flow.push(torch.zeros((2, 2)), 0.0, 1.0)


def test_stochastic_paths_take_steps_by_their_error():
    x = torch.zeros((50, 2))
    evaluations = [
        flow_with(lambda t, x, a=a: -a * x, score=lambda t, x: 0 * x)
        .simulate(x, [0.0, 1.0], seeded())
        .nfe
        for a in (0.0, 20.0)
    ]
    assert evaluations[0] == 2 * 4
    assert evaluations[1] >= evaluations[0]


def test_chunks_of_points_are_all_moved(monkeypatch):
    monkeypatch.setattr("cellflow.flow.flow._ROWS", 3)
    flow = flow_with(lambda t, x: x, score=lambda t, x: 0 * x)
    x = torch.randn((7, 2), generator=seeded())
    torch.testing.assert_close(
        flow.simulate(x, [0.0, 1.0], seeded()).end, math.e * x, rtol=1e-2, atol=0
    )
