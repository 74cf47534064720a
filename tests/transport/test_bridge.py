"""Entropic plans whose strength is read from the points, and their products."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.special import logsumexp

from cellflow import CellflowWarning
from cellflow.couplings import bridge_transitions
from cellflow.marginals import Population
from cellflow.transport.bridge import SPREAD, choose_epsilon, solve_block


def squared(x, y):
    return np.square(x[:, None] - y[None]).sum(axis=2)


def epsilon_of(x, y, **shares):
    return choose_epsilon(squared(x, y), (squared(x, x), squared(y, y)), **shares)


def plan_of(cost, a, epsilon):
    n, m = cost.shape
    block = solve_block(lambda i, j: cost[np.ix_(i, j)], np.arange(n), np.arange(m), a, epsilon)
    return np.exp(block.f[:, None] + block.g - cost / epsilon)


def test_two_by_two_in_closed_form():
    plan = plan_of(np.array([[0.0, 3.0], [3.0, 0.0]]), np.ones(2), 2.0)
    stay = 1 / (1 + np.exp(-1.5))
    np.testing.assert_allclose(plan, [[stay, 1 - stay], [1 - stay, stay]], atol=1e-3)


def test_costs_far_beyond_the_range_of_the_exponential(rng):
    """Against iterations in the logarithmic domain."""
    cost, epsilon = rng.uniform(0, 1e4, (6, 7)) + 1e7 * np.arange(6)[:, None], 500.0
    f, g = np.zeros(6), np.zeros(7)
    for _ in range(20000):
        g = -logsumexp(f[:, None] - cost / epsilon, axis=0)
        f = np.log(7 / 6) - logsumexp(g - cost / epsilon, axis=1)
    g = -logsumexp(f[:, None] - cost / epsilon, axis=0)
    expected = np.exp(f[:, None] + g - cost / epsilon)
    np.testing.assert_allclose(plan_of(cost, np.ones(6), epsilon), expected, atol=5e-3)


@pytest.mark.filterwarnings("ignore:an entropic plan")
@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(2, 12),
    m=st.integers(2, 12),
    seed=st.integers(0, 99),
    block_size=st.integers(3, 12),
)
def test_columns_sum_to_one_and_the_transpose_is_one(n, m, seed, block_size):
    rng = np.random.default_rng(seed)
    x, y = (torch.as_tensor(rng.normal(size=(k, 2))) for k in (n, m))
    masses = torch.as_tensor(rng.uniform(0.5, 2, n))
    source, target = Population.of(x, masses), Population.of(y)
    everyone = [(np.arange(n), np.arange(m))]
    generator = torch.Generator().manual_seed(seed)
    options = {"generator": generator, "block_size": block_size}
    plan = bridge_transitions(source, target, everyone, **options)
    dense = plan @ np.eye(m)
    assert (dense >= 0).all()
    np.testing.assert_allclose(dense.sum(axis=0), 1, rtol=1e-9)
    np.testing.assert_allclose(plan.T @ np.eye(n), dense.T, atol=1e-12)


def test_rows_of_like_cells_are_in_proportion_to_their_masses(rng):
    x = torch.as_tensor(rng.normal(size=(6, 2)))
    x[1] = x[0]
    source = Population.of(x, torch.tensor([1.0, 3, 1, 1, 1, 1], dtype=torch.float64))
    y = torch.as_tensor(rng.normal(size=(4, 2)))
    everyone = [(np.arange(6), np.arange(4))]
    plan = bridge_transitions(source, Population.of(y), everyone, generator=torch.Generator())
    dense = plan @ np.eye(4)
    np.testing.assert_allclose(dense[1], 3 * dense[0])


def test_rows_are_averaged_over_near_cells():
    """Cells of one cloud go to the branch that is nearer by a hair, unless they are averaged."""
    x = torch.linspace(-0.1, 0.1, 200, dtype=torch.float64)[:, None]
    y = torch.cat([x[:100] - 50, x[100:] + 50])
    everyone = [(np.arange(200), np.arange(200))]
    plan = bridge_transitions(
        Population.of(x), Population.of(y), everyone, generator=torch.Generator()
    )
    up = plan @ np.repeat([0.0, 1.0], 100)
    assert up[99] == pytest.approx(0.5, abs=0.05)
    steps = np.flatnonzero((up > 0.1) & (up < 0.9))
    assert 8 <= len(steps) <= 16


def test_labels_are_not_mixed(rng):
    x, y = (torch.as_tensor(rng.normal(size=(k, 2))) for k in (6, 6))
    blocks = [(np.array([0, 2]), np.array([1, 2, 3])), (np.array([1, 3, 4]), np.array([0]))]
    plan = bridge_transitions(
        Population.of(x), Population.of(y), blocks, generator=torch.Generator()
    )
    dense = plan @ np.eye(6)
    assert dense[np.ix_([0, 2], [0, 4, 5])].max() == 0
    assert dense[:, 4:].max() == dense[5].max() == 0
    np.testing.assert_allclose(dense[:, :4].sum(axis=0), 1)


def test_a_row_spreads_over_the_share_of_cells(rng):
    x, y = rng.normal(size=(2, 300, 5))
    epsilon = epsilon_of(x, y, near=0.9)
    plan = plan_of(squared(x, y), np.ones(300), epsilon)
    rows = plan / plan.sum(axis=1, keepdims=True)
    perplexity = np.exp(-(rows * np.log(rows)).sum(axis=1).mean())
    assert perplexity / 300 == pytest.approx(SPREAD, rel=0.02)


def test_the_strength_is_that_at_which_equal_rows_spread_over_three_of_ten_cells():
    """Rows with cost 0 to one cell and c to nine, of known entropy; no limit by near cells."""
    cost, none = 7.0 * (1 - np.eye(10)), np.zeros((10, 10))

    def excess(epsilon):
        other = 1 / (9 + np.exp(7 / epsilon))
        own = 1 - 9 * other
        return -(own * np.log(own) + 9 * other * np.log(other)) - np.log(3)

    expected = brentq(excess, 0.5, 20)
    assert choose_epsilon(cost, (none, none)) == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize("stretch", [1.0, 10.0])
def test_the_strength_is_at_most_a_share_of_the_cost_to_a_fifth_of_the_cells(stretch):
    """On a circle of 11 cells both neighbours are the nearest fifth of the 10 others."""
    angle = 2 * np.pi * np.arange(11) / 11
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    near = (2 * np.sin(np.pi / 11)) ** 2
    costs = squared(circle, circle)
    far = np.full((11, 11), 1e6)
    limit = choose_epsilon(far, (costs, stretch**2 * costs))
    assert limit == pytest.approx(0.6 * near * stretch, rel=1e-9)
    # Cells that coincide say nothing: of one side alone, or of some cells of a side.
    twins = np.repeat(circle, [3, *[1] * 10], axis=0)
    twins = squared(twins, twins)
    assert choose_epsilon(far, (costs, 0 * costs)) == pytest.approx(0.6 * near, rel=1e-9)
    assert choose_epsilon(far, (twins, costs)) == pytest.approx(0.6 * near, rel=1e-9)


def test_cells_at_one_point_have_a_strength_of_one():
    nothing = np.zeros((3, 4))
    assert choose_epsilon(nothing, (np.zeros((3, 3)), np.zeros((4, 4)))) == 1.0


def test_strength_follows_the_unit_and_not_the_number_of_cells(rng):
    x, y = rng.normal(size=(2, 200, 3))
    whole = epsilon_of(x, y)
    assert epsilon_of(10 * x, 10 * y) == pytest.approx(100 * whole, rel=1e-9)
    assert epsilon_of(x[::2], y[::2]) == pytest.approx(whole, rel=0.3)


def test_separate_lineages_stay_apart(rng):
    """Four of them: 40 % of the cells would be those of another lineage."""
    lineage = np.repeat(np.arange(4), 50)
    centres = 12 * np.array([[0, 0], [0, 1], [1, 0], [1, 1]])[lineage]
    x, y = (centres + rng.normal(size=(200, 2)) for _ in range(2))
    plan = plan_of(squared(x, y), np.ones(200), epsilon_of(x, y))
    assert plan[lineage[:, None] != lineage].max() < 1e-4
    loose = plan_of(squared(x, y), np.ones(200), epsilon_of(x, y, near=0.9))
    assert loose[lineage[:, None] != lineage].max() > 1e-3


def test_equal_points_are_all_alike():
    x = torch.zeros(4, 2)
    plan = bridge_transitions(
        Population.of(x),
        Population.of(x[:3]),
        [(np.arange(4), np.arange(3))],
        generator=torch.Generator(),
    )
    np.testing.assert_allclose(plan @ np.eye(3), np.full((4, 3), 0.25))


def test_a_plan_that_does_not_converge_is_reported():
    cost = np.array([[0.0, 1.0, 2.0], [0.0, 1.0, 3.0], [1.0, 5.0, 0.0]])
    with pytest.warns(UserWarning, match="did not converge"):
        plan_of(cost * 1e4, np.array([0.7, 0.2, 0.1]), 1e-3)


def test_row_sums_that_are_off_by_more_than_a_hundredth_are_told(monkeypatch):
    monkeypatch.setattr(
        "cellflow.transport.bridge._sinkhorn", lambda *_: (*np.zeros((2, 2)), 0.015)
    )
    with pytest.warns(CellflowWarning, match="2 x 2 cells did not converge.*off by 0.015"):
        plan_of(np.zeros((2, 2)), np.ones(2), 1.0)
