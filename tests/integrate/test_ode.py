"""Solvers against fields whose solutions are known."""

import math

import pytest
import torch

from cellflow import DivergenceError, InputError, SolverError
from cellflow.integrate import solve
from cellflow.methods.names import ODE_SOLVERS

ORDERS = {"euler": 1, "midpoint": 2, "rk4": 4}
#: Those that go through any times; the other one has tests of its own.
GENERAL = [solver for solver in ODE_SOLVERS if solver != "edm-heun"]
EVALUATIONS = {"euler": 1, "midpoint": 2, "rk4": 4}
#: Enough for what is asked below, where others need less.
STEPS = {"euler": 2_000}
TOLERANCES = {"adaptive_heun": 1e-7}


def rotation(t, x):
    """Rotation with angular velocity t: the angle after time T is T^2 / 2."""
    return t[:, None] * torch.stack([-x[:, 1], x[:, 0]], dim=1)


def rotated(x, time):
    c, s = math.cos(time**2 / 2), math.sin(time**2 / 2)
    return x @ torch.tensor([[c, s], [-s, c]], dtype=x.dtype)


@pytest.fixture
def x(generator):
    return torch.randn((5, 2), generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("solver", GENERAL)
def test_solution_is_met_at_every_time(solver, x):
    times = [0.0, 0.5, 1.5]
    n_steps = STEPS.get(solver, 100)
    solution = solve(rotation, x, times, solver=solver, n_steps=n_steps, tolerance=1e-5)
    assert solution.x.shape == (3, 5, 2)
    for k, time in enumerate(times):
        torch.testing.assert_close(solution.x[k], rotated(x, time), rtol=0, atol=3e-3)
    assert torch.equal(solution.end, solution.x[-1])


@pytest.mark.parametrize("solver", ORDERS)
def test_error_falls_with_the_order_of_the_solver(solver, x):
    errors = [
        float((solve(rotation, x, [0, 1.0], solver=solver, n_steps=n).end - rotated(x, 1)).norm())
        for n in (20, 40)
    ]
    assert math.log2(errors[0] / errors[1]) == pytest.approx(ORDERS[solver], abs=0.15)


@pytest.mark.parametrize("solver", GENERAL)
def test_backward_undoes_forward(solver, x):
    numbers = {"n_steps": 400, "tolerance": TOLERANCES.get(solver, 1e-9)}
    there = solve(rotation, x, [0.2, 1.4], solver=solver, **numbers).end
    back = solve(rotation, there, [1.4, 0.2], solver=solver, **numbers).end
    torch.testing.assert_close(back, x, rtol=0, atol=1e-2 if solver == "euler" else 1e-5)


@pytest.mark.parametrize("solver", EVALUATIONS)
def test_evaluations_are_counted(solver, x):
    solution = solve(rotation, x, [0, 1, 2], solver=solver, n_steps=10)
    assert solution.nfe == 20 * EVALUATIONS[solver]


@pytest.mark.parametrize("solver", [*ORDERS, "dopri5", "dopri8"])
def test_every_point_goes_as_far_as_its_own_time(solver):
    """dx/dt = t from t = 1, for spans forward and backward: x + (stop^2 - 1) / 2."""
    x = torch.zeros((4, 2), dtype=torch.float64)
    spans = torch.tensor([1.0, -0.5, 0.0, 2.0], dtype=torch.float64)
    times = torch.stack([torch.ones_like(spans), 1 + spans])
    field = lambda t, x: t[:, None].expand_as(x)  # noqa: E731
    solution = solve(field, x, times, solver=solver)
    expected = (((1 + spans) ** 2 - 1) / 2)[:, None].expand_as(x)
    torch.testing.assert_close(solution.end, expected, rtol=0, atol=2e-2)


@pytest.mark.parametrize(("span", "steps"), [(1.0, 25), (2.4, 60), (1e-9, 1), (-0.5, 13)])
def test_steps_are_in_proportion_to_the_time_between(span, steps, x):
    assert solve(rotation, x, [0.2, 0.2 + span]).nfe == 4 * steps
    own = torch.tensor([[0.2] * 5, [0.2, 0.2 + span / 2, 0.2, 0.2, 0.2 + span]])
    assert solve(rotation, x, own).nfe == 4 * steps


def test_euler_never_looks_at_the_end(x):
    seen = []

    def field(t, y):
        seen.append(float(t[0]))
        return y

    solve(field, x, [0, 1], solver="euler", n_steps=4)
    assert seen == pytest.approx([0, 0.25, 0.5, 0.75])


def test_unknown_solver_and_steps_are_refused(x):
    with pytest.raises(InputError, match=r"unknown solver 'heun' .*valid: euler"):
        solve(rotation, x, [0, 1], solver="heun")
    with pytest.raises(InputError, match="n_steps must be positive"):
        solve(rotation, x, [0, 1], n_steps=0)


def test_an_adaptive_solver_that_comes_to_its_limit_says_so(x, monkeypatch):
    """A velocity without a limit at time 1/2, and few steps for a harmless one."""
    with pytest.raises(SolverError, match=r"solver 'dopri5' stopped between times 0 and 1 .*rk4"):
        solve(lambda t, x: x / (t[:, None] - 0.5) ** 2, x, [0, 1], solver="dopri5")
    monkeypatch.setattr("cellflow.integrate.ode._MAX_STEPS", 3)
    with pytest.raises(SolverError, match=r"max_num_steps exceeded.*raise tolerance \(it is 1e-0"):
        solve(rotation, x, [0, 5], solver="dopri5", tolerance=1e-9)


@pytest.mark.parametrize("dim", [1, 2])
def test_points_with_a_number_that_is_not_finite_are_counted(dim):
    """One number of each of two points of three, at the second of the times after the start."""
    x = torch.zeros((3, dim), dtype=torch.float64)
    limit = torch.zeros_like(x)
    limit[:2, 0] = torch.inf

    def field(t, x):
        return torch.where(t[:, None] < 1, 0.0, limit)

    with pytest.raises(DivergenceError, match="2 of 3 points are not finite") as caught:
        solve(field, x, [0.0, 1.0, 2.0, 3.0], solver="euler", n_steps=1)
    assert caught.value.index == 2
