"""Entropic transport against closed forms, in its limits, and where Sinkhorn underflows."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellflow import CellflowWarning, InputError
from cellflow.transport import entropic_plan, exact_plan


def clouds(seed, n=40, m=40, d=3):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)), rng.normal(size=(m, d)) + 0.5


def squared(x, y):
    return ((x[:, None] - y) ** 2).sum(axis=2)


def value(plan, cost):
    return float(plan.mass @ cost[plan.rows, plan.columns])


@pytest.mark.parametrize(
    ("sigma", "covariance"), [(0.5, 0.882782), (1.0, 0.618034), (2.0, 0.236068)]
)
def test_gaussian_endpoints_of_brownian_motion_have_the_closed_form_covariance(sigma, covariance):
    """Between unit Gaussians with epsilon 2 sigma^2: (sqrt(sigma^4 + 4) - sigma^2) / 2."""
    grid = np.linspace(-5, 5, 201)
    mass = np.exp(-(grid**2) / 2)
    cost = (grid[:, None] - grid) ** 2
    plan = entropic_plan(cost, 2 * sigma**2, mass, mass, tolerance=1e-8)
    found = float(plan.mass @ (grid[plan.rows] * grid[plan.columns]))
    assert found == pytest.approx(covariance, abs=1e-4)


@given(seed=st.integers(0, 2**31), epsilon=st.floats(0.05, 20))
def test_marginals_are_those_asked_for(seed, epsilon):
    rng = np.random.default_rng(seed)
    a, b = rng.random(30) + 0.1, rng.random(20) + 0.1
    matrix = entropic_plan(squared(*clouds(seed, 30, 20)), epsilon, a, b).matrix(30, 20)
    np.testing.assert_allclose(matrix.sum(axis=1), a / a.sum(), atol=1e-9)
    assert np.abs(matrix.sum(axis=0) - b / b.sum()).sum() < 0.02


def test_it_tends_to_the_exact_plan_as_epsilon_falls_and_never_underflows():
    cost = squared(*clouds(0))
    exact = exact_plan(cost)
    excess = [
        value(entropic_plan(cost, epsilon, tolerance=0.01), cost) - exact.cost
        for epsilon in (1, 0.1, 1e-2, 1e-4, 1e-8)
    ]
    assert excess[0] > excess[1] > excess[2]
    assert excess[-1] == pytest.approx(0, abs=0.01 * cost.mean())
    assert np.isfinite(excess).all()


def test_it_tends_to_independence_as_epsilon_grows():
    plan = entropic_plan(squared(*clouds(1)), 1e6)
    np.testing.assert_allclose(plan.mass, 1 / 1600, rtol=1e-4)


def test_what_does_not_converge_is_the_exact_plan_with_advice():
    cost = squared(*clouds(2))
    with pytest.warns(CellflowWarning, match=r"did not converge.*raise epsilon \(or sigma\)"):
        plan = entropic_plan(cost, 0.05, tolerance=1e-14, max_iter=1)
    assert value(plan, cost) == pytest.approx(exact_plan(cost).cost)


def test_costs_far_from_one_do_no_harm():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for unit in (1e-8, 1e8):
            cost = squared(*clouds(3)) * unit
            matrix = entropic_plan(cost, 0.5 * unit).matrix(40, 40)
            assert matrix.sum() == pytest.approx(1)


@pytest.mark.parametrize("epsilon", [0, -1, float("nan")])
def test_epsilon_must_be_positive(epsilon):
    with pytest.raises(InputError, match="epsilon must be positive"):
        entropic_plan(np.ones((2, 2)), epsilon)
