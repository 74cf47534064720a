"""The linear assignment against the network simplex."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cellflow import InputError
from cellflow.transport import assign, distances, exact_plan, squared_distances


@given(st.integers(0, 2**32 - 1), st.integers(1, 40))
def test_assignment_costs_what_the_network_simplex_plan_costs(seed, n):
    rng = np.random.default_rng(seed)
    cost = distances(rng.normal(size=(n, 3)), rng.normal(size=(n, 3))) ** 2
    columns = assign(cost)
    assert sorted(columns) == list(range(n))
    assert cost[np.arange(n), columns].mean() == pytest.approx(exact_plan(cost).cost, abs=1e-12)


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
