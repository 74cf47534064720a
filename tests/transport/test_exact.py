"""Exact plans and their duality gap."""

from itertools import permutations

import numpy as np
import ot
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellflow import InputError, SolverError
from cellflow.transport import distances, exact_plan
from cellflow.transport.exact import lower_bound, plan_memory

seeds = st.integers(0, 2**32 - 1)


def problem(seed: int, n: int, m: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    cost = distances(rng.normal(size=(n, 2)), rng.normal(size=(m, 2)))
    return cost, rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(m))


@given(seeds, st.integers(1, 6))
def test_uniform_plan_is_as_good_as_the_best_of_all_permutations(seed, n):
    cost, _, _ = problem(seed, n, n)
    best = min(cost[range(n), list(order)].mean() for order in permutations(range(n)))
    assert exact_plan(cost).cost == pytest.approx(best, abs=1e-12)


@given(seeds, st.integers(1, 12), st.integers(1, 12))
def test_plan_keeps_the_marginals_and_its_support_is_sparse(seed, n, m):
    cost, a, b = problem(seed, n, m)
    plan = exact_plan(cost, a, b)
    np.testing.assert_allclose(np.bincount(plan.rows, plan.mass, n), a, atol=1e-12)
    np.testing.assert_allclose(np.bincount(plan.columns, plan.mass, m), b, atol=1e-12)
    assert len(plan.mass) <= n + m - 1
    assert plan.cost == pytest.approx(plan.mass @ cost[plan.rows, plan.columns])


def test_1d_plan_of_equally_many_points_matches_them_in_order(rng):
    x, y = rng.normal(size=(40, 1)), rng.normal(size=(40, 1)) * 3
    plan = exact_plan(distances(x, y) ** 2)
    np.testing.assert_allclose(plan.mass, 1 / 40)
    np.testing.assert_array_equal(np.argsort(x[plan.rows, 0]), np.argsort(y[plan.columns, 0]))


@given(seeds, st.integers(1, 12), st.integers(1, 12))
def test_lower_bound_holds_for_any_potential(seed, n, m):
    cost, a, b = problem(seed, n, m)
    potential = np.random.default_rng(seed).normal(size=n)
    assert lower_bound(cost, a, b, potential) <= exact_plan(cost, a, b).cost + 1e-12


@pytest.mark.filterwarnings("ignore:numItermax reached")
def test_a_solver_that_stops_early_does_not_pass_for_exact(rng):
    cost = distances(rng.normal(size=(60, 2)), rng.normal(size=(60, 2)))
    with pytest.raises(SolverError, match="not proven optimal"):
        exact_plan(cost, max_iter=20)


@pytest.mark.parametrize("unit", [1e-12, 1e-4, 1.0, 1e9])
def test_units_of_the_cost_do_not_matter(unit, rng):
    cost = distances(rng.normal(size=(30, 2)), rng.normal(size=(20, 2)))
    assert exact_plan(cost * unit).cost == pytest.approx(exact_plan(cost).cost * unit, rel=1e-9)


def test_a_solver_that_lies_about_its_plan_is_caught(rng, monkeypatch):
    cost = distances(rng.normal(size=(8, 2)), rng.normal(size=(8, 2)))

    def product_plan(a, b, _cost, **_):
        return np.outer(a, b), {"u": np.zeros(8), "v": np.zeros(8), "warning": None}

    monkeypatch.setattr(ot, "emd", product_plan)
    with pytest.raises(SolverError, match="gap"):
        exact_plan(cost)


def test_a_solver_that_loses_mass_is_caught(rng, monkeypatch):
    cost = distances(rng.normal(size=(8, 2)), rng.normal(size=(8, 2)))
    solve = ot.emd

    def half_a_plan(*args, **kwargs):
        plan, log = solve(*args, **kwargs)
        return plan / 2, log

    monkeypatch.setattr(ot, "emd", half_a_plan)
    with pytest.raises(SolverError, match="marginal error"):
        exact_plan(cost)


@pytest.mark.parametrize("weights", [[1.0, -0.1, 0.1], [0, 0, 0], [1, 1], [np.nan, 1, 1]])
def test_masses_must_be_non_negative_and_fit(weights):
    with pytest.raises(InputError, match="masses must be 3"):
        exact_plan(np.ones((3, 3)), np.array(weights))


def test_memory_of_the_exact_plan_grows_with_the_cost_matrix():
    assert plan_memory(10_000, 10_000) == pytest.approx(4.0)


def test_cost_must_be_finite():
    with pytest.raises(InputError, match="NaN"):
        exact_plan(np.full((2, 2), np.nan))
