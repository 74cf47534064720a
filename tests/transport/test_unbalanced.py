"""Unbalanced and partial plans in the limits of their parameters."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logsumexp

from cellflow import CellflowWarning, InputError, SolverError
from cellflow.transport import (
    distances,
    entropic_plan,
    exact_plan,
    mm_unbalanced_plan,
    partial_plan,
    unbalanced_plan,
)

seeds = st.integers(0, 2**32 - 1)


def problem(seed: int, n: int = 12, m: int = 15) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return distances(rng.normal(size=(n, 2)), rng.normal(size=(m, 2))) ** 2


@given(seeds)
def test_firm_marginals_give_the_balanced_entropic_plan(seed):
    cost = problem(seed)
    free = unbalanced_plan(cost, 0.5, 1.0, 1.0).matrix(*cost.shape)
    held = entropic_plan(cost, 0.5, tolerance=1e-9).matrix(*cost.shape)
    np.testing.assert_allclose(free, held, atol=1e-4)


def iterated(cost: np.ndarray, epsilon: float, tau: float) -> np.ndarray:
    """Return the plan by iterations in the log domain, which cannot underflow."""
    n, m = cost.shape
    f, g = np.zeros(n), np.zeros(m)
    for _ in range(3_000):
        before = f
        f = -tau * epsilon * logsumexp((g - cost) / epsilon - np.log(m), axis=1)
        if np.abs(f - before).max() < 1e-12:
            break
        g = -tau * epsilon * logsumexp((f[:, None] - cost) / epsilon - np.log(n), axis=0)
    return np.exp((f[:, None] + g - cost) / epsilon) / (n * m)


@pytest.mark.parametrize("share", [0.01, 0.05, 0.5])
@pytest.mark.parametrize("tau", [0.5, 0.95])
def test_soft_marginals_give_the_plan_of_iterations_on_potentials(tau, share):
    for seed in range(4):
        cost = problem(seed)
        epsilon = share * cost.mean()
        plan = unbalanced_plan(cost, epsilon, tau, tau).matrix(*cost.shape)
        np.testing.assert_allclose(plan, iterated(cost, epsilon, tau), atol=1e-5)


def test_the_softer_the_marginals_the_less_mass_travels(rng):
    cost = 1 + problem(0)
    masses = [unbalanced_plan(cost, 0.05, tau, tau).mass.sum() for tau in (1, 0.95, 0.7, 0.3)]
    assert masses[0] == pytest.approx(1)
    assert masses == sorted(masses, reverse=True)
    assert masses[-1] < 0.01


def test_one_soft_side_leaves_the_other_exact():
    cost = problem(1)
    plan = unbalanced_plan(cost, 0.5, 1.0, 0.5)
    np.testing.assert_allclose(np.bincount(plan.rows, plan.mass), 1 / 12, rtol=1e-3)
    assert np.ptp(np.bincount(plan.columns, plan.mass)) > 0.01


@pytest.mark.parametrize("seed", range(3))
def test_relaxed_marginals_tend_to_the_exact_plan_as_their_price_grows(seed):
    cost = problem(seed, 6, 6)
    a = np.full(6, 1 / 6)
    exact = exact_plan(cost, a, a).matrix(6, 6)
    plans = [mm_unbalanced_plan(cost, price, a, a, max_iter=20_000) for price in (1.0, 10.0, 50.0)]
    away = [np.abs(plan.matrix(6, 6) - exact).sum() for plan in plans]
    assert away == sorted(away, reverse=True)
    assert away[-1] < 0.06


@given(seeds, st.floats(0.1, 1.0))
def test_a_partial_plan_moves_its_share_and_overfills_nothing(seed, share):
    cost = problem(seed)
    plan = partial_plan(cost, share)
    assert plan.mass.sum() == pytest.approx(share)
    assert np.bincount(plan.rows, plan.mass, 12).max() <= 1 / 12 + 1e-9
    assert np.bincount(plan.columns, plan.mass, 15).max() <= 1 / 15 + 1e-9
    assert plan.mass @ cost[plan.rows, plan.columns] <= share * exact_plan(cost).cost + 1e-9


@given(m0=st.floats(0.1, 5), m1=st.floats(0.1, 5), cost=st.floats(0, 5))
def test_the_relaxed_plan_of_two_points_is_known(m0, m1, cost):
    """Minimising g c + KL(g | m0) + KL(g | m1) gives g = sqrt(m0 m1) exp(-c / 2)."""
    plan = mm_unbalanced_plan(np.array([[cost]]), 1.0, np.array([m0]), np.array([m1]))
    assert plan.mass.sum() == pytest.approx(math.sqrt(m0 * m1) * math.exp(-cost / 2), rel=1e-5)


@pytest.mark.parametrize("cost", [3.0, 900.0])
def test_one_cell_a_side_keeps_the_mass_that_both_penalties_leave(cost):
    """Stationary is c + (epsilon + lambda_a + lambda_b) log p = 0; the larger cost underflows."""
    epsilon, tau_a, tau_b = 0.8, 0.5, 0.75
    weights = epsilon * tau_a / (1 - tau_a) + epsilon * tau_b / (1 - tau_b)
    plan = unbalanced_plan(np.array([[cost]]), epsilon, tau_a, tau_b)
    assert np.log(plan.mass.sum()) == pytest.approx(-cost / (epsilon + weights), rel=1e-3)


@pytest.mark.parametrize("tau", [0, -1, 1.1, math.nan])
def test_tau_must_be_between_zero_and_one(tau):
    with pytest.raises(InputError, match="tau_b"):
        unbalanced_plan(problem(0), 0.5, 1.0, tau)


def test_a_plan_without_mass_is_an_error():
    with pytest.raises(SolverError, match="raise epsilon"):
        unbalanced_plan(1e6 + problem(0), 1e-3, 0.5, 0.5)


@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_iterations_that_do_not_converge_say_so(scale, monkeypatch):
    """In the plain domain, and for costs that underflow there."""
    monkeypatch.setattr("cellflow.transport.unbalanced._MAX_ITER", 2)
    cost = scale * np.random.default_rng(0).random((6, 6))
    with pytest.warns(
        CellflowWarning, match="epsilon 0.1 did not converge in 2 iterations; the last"
    ):
        unbalanced_plan(cost, 0.1, 0.999, 0.999)
