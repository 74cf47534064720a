"""The linear assignment against the network simplex."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from cellflow import InputError
from cellflow.transport import assign, distances, exact_plan, squared_distances
from cellflow.transport.approximate_duals import approximate_duals
from cellflow.transport.exact import lower_bound


@given(st.integers(0, 2**32 - 1), st.integers(1, 40))
def test_assignment_costs_what_the_network_simplex_plan_costs(seed, n):
    rng = np.random.default_rng(seed)
    cost = distances(rng.normal(size=(n, 3)), rng.normal(size=(n, 3))) ** 2
    columns = assign(cost)
    assert sorted(columns) == list(range(n))
    assert cost[np.arange(n), columns].mean() == pytest.approx(exact_plan(cost).cost, abs=1e-12)


@pytest.mark.parametrize("kind", ["normal", "ties", "equal", "outlier", "huge"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_many_points_are_assigned_at_least_cost(kind, dtype, rng):
    """From 128 points on approximate duals are subtracted first, which changes no optimum."""
    x, y = rng.normal(size=(130, 3)), rng.normal(size=(130, 3)) + 1
    x[0] *= 1e4 if kind == "outlier" else 1
    cost = distances(x, y) ** 2 * (1e30 if kind == "huge" else 1)
    cost = {"ties": np.floor(cost), "equal": np.ones_like(cost)}.get(kind, cost).astype(dtype)
    columns, rows = assign(cost), np.arange(130)
    assert sorted(columns) == list(rows)
    best = cost[linear_sum_assignment(cost)].sum(dtype=float)
    assert cost[rows, columns].sum(dtype=float) == pytest.approx(best, rel=1e-12)


def test_approximate_duals_prove_a_bound_near_the_optimum(rng):
    cost = distances(rng.normal(size=(60, 3)), rng.normal(size=(40, 3)) + 1) ** 2
    a, b = rng.dirichlet(np.ones(60)), rng.dirichlet(np.ones(40))
    best = exact_plan(cost, a, b).cost
    near = lower_bound(cost, a, b, approximate_duals(cost, a, b)[0])
    assert 0.97 * best < near <= best
    assert lower_bound(cost, a, b, approximate_duals(cost)[0]) < near


@pytest.mark.parametrize("cost", [np.ones((2, 3)), np.ones(4), np.full((2, 2), np.inf)])
def test_only_square_finite_costs_are_taken(cost):
    with pytest.raises(InputError):
        assign(cost)


@given(st.integers(0, 2**32 - 1), st.floats(-1e3, 1e3))
def test_squared_distances_keep_their_digits_far_from_the_origin(seed, shift):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(5, 4)) + shift, rng.normal(size=(6, 4)) + shift
    fast = squared_distances(torch.tensor(x), torch.tensor(y)).numpy()
    np.testing.assert_allclose(fast, distances(x, y) ** 2, rtol=1e-9, atol=1e-9)
