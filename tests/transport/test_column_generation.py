"""Column generation: equal to the solver on all entries."""

import numpy as np
import ot
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellflow.transport import distances, exact_plan
from cellflow.transport.column_generation import (
    _corner_entries,
    _negative_entries,
    column_generation_plan,
)
from cellflow.transport.exact import lower_bound

seeds = st.integers(0, 2**32 - 1)


def normal(rng, n, dim=2):
    return rng.normal(size=(n, dim))


def priced(cost, a, b, **options):
    """Return the cost of the plan by column generation, and the lower bound of its duals."""
    plan, (u, _) = column_generation_plan(cost, a, b, max_iter=10**6, few=100, **options)
    np.testing.assert_allclose(np.bincount(plan.rows, plan.mass, len(a)), a, atol=1e-12)
    np.testing.assert_allclose(np.bincount(plan.columns, plan.mass, len(b)), b, atol=1e-12)
    assert len(plan.mass) <= len(a) + len(b) - 1
    return plan.mass @ cost[plan.rows, plan.columns], lower_bound(cost, a, b, u)


@settings(max_examples=15)
@given(seeds, st.integers(20, 90), st.integers(20, 90), st.integers(1, 6))
def test_weighted_plans_are_those_of_the_whole_problem(seed, n, m, dim):
    rng = np.random.default_rng(seed)
    cost = distances(normal(rng, n, dim), 1 + normal(rng, m, dim))
    a, b = rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(m))
    assert priced(cost, a, b) == pytest.approx([ot.emd2(a, b, cost)] * 2, rel=1e-10)


@settings(max_examples=15)
@given(seeds)
def test_ties_and_points_without_mass_do_no_harm(seed):
    rng = np.random.default_rng(seed)
    cost = rng.integers(0, 3, size=(50, 40)).astype(float)
    a, b = rng.multinomial(60, np.full(50, 1 / 50)) / 60, np.full(40, 1 / 40)
    best = ot.emd2(a, b, cost)
    assert priced(cost, a, b) == pytest.approx([best] * 2, abs=1e-10)


def test_any_start_leads_to_the_same_plan(rng):
    cost = distances(normal(rng, 60), normal(rng, 60))
    a = b = np.full(60, 1 / 60)
    best = ot.emd2(a, b, cost)
    for start in (np.zeros(60), rng.normal(size=60)):
        assert priced(cost, a, b, start=start) == pytest.approx([best] * 2, abs=1e-10)


def test_a_coarser_problem_gives_the_first_duals_of_large_ones(rng, monkeypatch):
    monkeypatch.setattr("cellflow.transport.column_generation._MANY", 200)
    cost = distances(normal(rng, 50), 1 + normal(rng, 60))
    assert priced(cost, *masses(cost)) == pytest.approx([ot.emd2([], [], cost)] * 2, rel=1e-10)


def masses(cost):
    return [np.full(n, 1 / n) for n in cost.shape]


@pytest.fixture
def large(rng, monkeypatch):
    """A problem that is solved by column generation."""
    monkeypatch.setattr("cellflow.transport.exact.FEW", 100)
    return distances(normal(rng, 40), normal(rng, 30))


def test_what_comes_to_no_end_is_solved_whole(large, monkeypatch):
    best = exact_plan(large)
    monkeypatch.setattr("cellflow.transport.exact.column_generation_plan", lambda *_, **__: None)
    whole = exact_plan(large)
    assert whole.cost == pytest.approx(best.cost, abs=1e-12)
    assert whole.gap < 1e-10


def test_an_answer_on_few_entries_that_is_not_proven_is_solved_whole(large, monkeypatch):
    best = exact_plan(large)
    plan, potentials = column_generation_plan(large, *masses(large), max_iter=10**6, few=100)
    wrong = plan, (potentials[0] * 0, potentials[1] * 0)
    monkeypatch.setattr("cellflow.transport.exact.column_generation_plan", lambda *_, **__: wrong)
    again = exact_plan(large)
    assert again.cost == pytest.approx(best.cost, abs=1e-12)
    assert again.gap < 1e-10


def test_the_first_entries_are_those_of_the_north_west_corner():
    """0.5 and 0.5 to 0.25 and 0.75: the first row fills the first column and begins the second."""
    assert _corner_entries(np.array([0.5, 0.5]), np.array([0.25, 0.75])).tolist() == [0, 1, 3]


def test_the_largest_violation_and_its_entries_are_found():
    none = np.zeros(2)
    largest, entries = _negative_entries(np.array([[0.0, 1.0], [2.0, -3.0]]), none, none, 0.5)
    assert (largest, set(entries.tolist())) == (3, {3})
    largest, entries = _negative_entries(np.ones((2, 2)), none, none, 0.5)
    assert (largest, len(entries)) == (0, 0)
