"""Couplings by one plan of all cells: pairs are drawn in proportion to the plan."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from cellflow import CellflowWarning, InputError
from cellflow._batch import Batch
from cellflow.couplings import LineageCost, MixtureCoupling, squared_euclidean
from cellflow.couplings.full_plan import (
    PlanCoupling,
    blockwise_coupling,
    exact_full_coupling,
    growing_coupling,
    growing_masses,
    low_rank_coupling,
    scale_to_masses,
)
from cellflow.marginals import Population
from cellflow.transport import Plan, distances
from tests.seeds import seeded

seeds = st.integers(0, 2**31)


def populations(seed=0, n=24, m=24, *, weighted=False, dtype=torch.float64, **columns):
    """Return two populations whose first coordinate is the index of the cell."""
    g = seeded(seed)
    sides = []
    for size in (n, m):
        x = torch.randn((size, 3), generator=g, dtype=dtype)
        x[:, 0] = torch.arange(size, dtype=dtype)
        weights = torch.rand(size, generator=g, dtype=dtype) if weighted else None
        features = torch.randn((size, 2), generator=g, dtype=dtype)
        sides.append(Population.of(x, weights, features=features, **columns))
    return sides


def cost_of(source, target):
    return distances(source.cells.cost_features.numpy(), target.cells.cost_features.numpy()) ** 2


def numbers(x):
    return x[:, 0].round().long().numpy()


MAKERS = {
    "exact-full": lambda source, target: exact_full_coupling(source, target, (1.0, 3.0)),
    "blockwise": lambda source, target: blockwise_coupling(
        source, target, (1.0, 3.0), generator=seeded(), block_size=10
    ),
    "low-rank": lambda source, target: low_rank_coupling(
        source, target, (1.0, 3.0), generator=seeded(), rank=5
    ),
}


@pytest.mark.parametrize("name", MAKERS)
@settings(max_examples=12)
@given(seed=seeds, n=st.integers(1, 40), weighted=st.booleans())
def test_what_is_asked_for_is_served_from_the_cells(name, seed, n, weighted):
    source, target = populations(seed, 20, 15, weighted=weighted)
    pairs = MAKERS[name](source, target).sample(n, seeded(seed))
    assert len(pairs) == len(pairs.x0) == len(pairs.x1) == n
    torch.testing.assert_close(pairs.x0, source.points[numbers(pairs.x0)])
    torch.testing.assert_close(pairs.x1, target.points[numbers(pairs.x1)])
    assert (pairs.t0 == 1).all()
    assert (pairs.t1 == 3).all()
    assert pairs.m0 is None


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("weighted", [False, True])
def test_marginals_are_kept(name, weighted):
    source, target = populations(1, 20, 15, weighted=weighted)
    pairs = MAKERS[name](source, target).sample(60_000, seeded())
    for x, population in ((pairs.x0, source), (pairs.x1, target)):
        found = np.bincount(numbers(x), minlength=len(population)) / len(x)
        np.testing.assert_allclose(found, population.masses.numpy(), atol=0.006)


@pytest.mark.parametrize("name", MAKERS)
def test_same_seed_same_pairs(name):
    source, target = populations(0)
    first, second = (MAKERS[name](source, target).sample(50, seeded(7)) for _ in range(2))
    assert torch.equal(first.x0, second.x0)
    assert torch.equal(first.x1, second.x1)


@pytest.mark.parametrize("name", MAKERS)
def test_cells_in_single_precision_are_coupled_as_those_in_double(name):
    double = populations(0)
    single = populations(0)
    single = [Population.of(each.points.float(), features=each.cells.features) for each in single]
    for dtype, ends in ((torch.float64, double), (torch.float32, single)):
        pairs = MAKERS[name](*ends).sample(50, seeded(7))
        assert pairs.x0.dtype == pairs.t0.dtype == dtype
    mine, other = (MAKERS[name](*ends).sample(50, seeded(7)) for ends in (double, single))
    np.testing.assert_array_equal(numbers(mine.x0), numbers(other.x0))
    np.testing.assert_array_equal(numbers(mine.x1), numbers(other.x1))


# --- any plan ---


def test_pairs_are_drawn_as_often_as_their_masses_say_and_in_random_order():
    source, target = populations(n=3, m=3)
    plan = Plan(np.array([0, 0, 2]), np.array([1, 2, 0]), np.array([1.0, 5.0, 2.0]))
    pairs = PlanCoupling(source, target, (0.0, 1.0), plan).sample(40_000, seeded())
    drawn = numbers(pairs.x0) * 3 + numbers(pairs.x1)
    found = np.bincount(drawn, minlength=9) / len(drawn)
    np.testing.assert_allclose(found[[1, 2, 6]], [1 / 8, 5 / 8, 2 / 8], atol=0.01)
    assert found[[1, 2, 6]].sum() == 1
    half = np.bincount(drawn[:20_000], minlength=9) / 20_000
    np.testing.assert_allclose(half, found, atol=0.01)


def test_rare_pairs_of_large_plans_are_drawn_in_proportion():
    """In float32 small masses vanish at the end of a long cumulative sum."""
    n = 200_000
    mass = np.full(n, 1.0)
    mass[n // 2 :] = 0.01
    rows = np.arange(n)
    x = torch.arange(n, dtype=torch.float32)[:, None]
    cells = Population.of(x)
    pairs = PlanCoupling(cells, cells, (0.0, 1.0), Plan(rows, rows, mass)).sample(400_000, seeded())
    light = float((pairs.x0 >= n // 2).double().mean())
    assert light == pytest.approx(0.01 / 1.01, rel=0.05)
    last = float((pairs.x0 >= 0.9 * n).double().mean())
    assert last == pytest.approx(0.002 / 1.01, rel=0.1)


def test_masses_of_an_entry_come_with_its_pairs():
    source, target = populations(n=3, m=3)
    plan = Plan(np.arange(3), np.array([1, 2, 0]), np.ones(3))
    m0, m1 = torch.ones(3, dtype=torch.float64), torch.tensor([2.0, 3.0, 4.0]).double()
    coupling = PlanCoupling(source, target, (0.0, 1.0), plan, m0=m0, m1=m1)
    pairs = coupling.sample(100, seeded())
    np.testing.assert_array_equal(pairs.m1.numpy(), 2.0 + numbers(pairs.x0))
    assert (pairs.m0 == 1).all()


def test_growth_rates_of_the_source_give_masses_as_in_other_couplings():
    source, target = populations(rate=torch.full((24,), 0.5, dtype=torch.float64))
    pairs = exact_full_coupling(source, target, (0.0, 2.0)).sample(10, seeded())
    torch.testing.assert_close(pairs.m0, torch.full_like(pairs.m0, np.exp(-1.0)))
    assert (pairs.m1 == 1).all()


def test_masses_of_growing_cells_are_exp_of_minus_rate_times_duration():
    """The totals of 1, 3 and 4 are clipped to a growth of 1.2; each pair keeps its row's unit."""
    source, target = (
        Population(Batch(torch.zeros(2, 1, dtype=torch.float64), rate=rate), weights)
        for rate, weights in (
            (torch.tensor([0.5, -0.25]).double(), torch.tensor([1.0, 3]).double()),
            (None, None),
        )
    )
    a, b = growing_masses(source, target, (1.2, 2.0))
    np.testing.assert_allclose(a, [0.5, 1.5])
    np.testing.assert_allclose(b, [1.2, 1.2])
    plan = Plan(np.array([0, 1, 1]), np.array([0, 0, 1]), np.array([0.2, 0.3, 0.5]))
    start, end = scale_to_masses(plan, a, b)
    np.testing.assert_allclose(start, [0.5, 0.5625, 0.9375])
    np.testing.assert_allclose(end, [0.48, 0.72, 1.2])
    pairs = (plan.rows, plan.columns)
    coupling = growing_coupling(source, target, (1.0, 3.0), pairs, (start, end))
    np.testing.assert_allclose(coupling.plan.mass, start / 2)
    np.testing.assert_allclose(coupling.m0, np.exp([-1.0, 0.5, 0.5]))
    np.testing.assert_allclose(coupling.m1, end / start)


# --- exact ---


@given(seed=seeds, n=st.integers(2, 25))
def test_the_exact_coupling_is_the_best_assignment(seed, n):
    source, target = populations(seed, n, n)
    cost = cost_of(source, target)
    plan = exact_full_coupling(source, target).plan
    best = cost[linear_sum_assignment(cost)].mean()
    assert plan.mass @ cost[plan.rows, plan.columns] == pytest.approx(best, abs=1e-12)


def test_the_cost_is_the_callers():
    """If the cost within clones is zero, each cell is coupled within its clone."""
    clones = torch.randperm(24, generator=seeded())[:, None]
    source, target = populations(clones=clones)
    target = Population(target.cells[torch.arange(23, -1, -1)])
    cost = LineageCost(squared_euclidean, strength=1.0)
    for coupling in (
        exact_full_coupling(source, target, cost=cost),
        blockwise_coupling(source, target, cost=cost, generator=seeded(), block_size=24),
    ):
        rows, columns = coupling.plan.rows, coupling.plan.columns
        np.testing.assert_array_equal(columns, 23 - rows)


@pytest.mark.parametrize("cost", [squared_euclidean, LineageCost()])
def test_beyond_its_memory_the_plan_is_still_exact_and_says_it_is_slow(cost):
    source, target = populations(0, 20, 30, weighted=True)
    within = exact_full_coupling(source, target, cost=cost).plan
    with pytest.warns(CellflowWarning, match="needs 2.4e-05 GB.*'blockwise'"):
        beyond = exact_full_coupling(source, target, cost=cost, max_memory=1e-6).plan
    assert beyond.cost == pytest.approx(within.cost)


def test_a_plan_that_needs_a_matrix_too_large_is_refused():
    clones = torch.zeros((24, 1), dtype=torch.int64)
    source, target = populations(clones=clones)
    with pytest.raises(InputError, match=r"24 x 24 cells needs .* GB.*'blockwise'.*max_memory"):
        exact_full_coupling(source, target, cost=LineageCost(), max_memory=1e-6)
    wide = [Population.of(torch.randn((9, 50), generator=seeded())) for _ in range(2)]
    with pytest.raises(InputError, match="max_memory"):
        exact_full_coupling(*wide, max_memory=1e-6)


# --- blocks ---


@given(seed=seeds, weighted=st.booleans())
def test_one_block_couples_as_the_exact_plan_does(seed, weighted):
    source, target = populations(seed, 20, 16, weighted=weighted)
    cost = cost_of(source, target)
    plan = blockwise_coupling(source, target, generator=seeded(seed), block_size=20).plan
    exact = exact_full_coupling(source, target).plan
    paid = [each.mass @ cost[each.rows, each.columns] for each in (plan, exact)]
    assert paid[0] == pytest.approx(paid[1], abs=1e-9)


def test_smaller_blocks_cost_more_and_other_seeds_make_other_blocks():
    source, target = populations(0, 200, 200)

    def paid(size, seed=0):
        plan = blockwise_coupling(source, target, generator=seeded(seed), block_size=size).plan
        return plan.mass @ cost_of(source, target)[plan.rows, plan.columns]

    exact = exact_full_coupling(source, target).plan.cost
    assert paid(5) > paid(50) > exact
    assert paid(50) != paid(50, seed=1)


# --- low rank ---


def test_pairs_of_a_low_rank_coupling_have_the_law_of_its_factors():
    source, target = populations(3, 8, 6, weighted=True)
    coupling = low_rank_coupling(source, target, generator=seeded(), rank=3)
    factors = coupling.plan
    law = (factors.left / factors.shares) @ factors.right.T
    pairs = coupling.sample(200_000, seeded())
    drawn = np.bincount(numbers(pairs.x0) * 6 + numbers(pairs.x1), minlength=48) / 200_000
    np.testing.assert_allclose(drawn.reshape(8, 6), law / law.sum(), atol=0.004)


def test_a_low_rank_coupling_costs_more_than_the_exact_and_less_than_the_independent():
    source, target = populations(0, 200, 150)
    pairs = low_rank_coupling(source, target, generator=seeded(), rank=20).sample(20_000, seeded())
    cost = cost_of(source, target)
    paid = cost[numbers(pairs.x0), numbers(pairs.x1)].mean()
    assert exact_full_coupling(source, target).plan.cost < paid < 0.6 * cost.mean()


def test_a_mixture_draws_the_same_pairs_from_a_table_and_from_its_components(monkeypatch):
    components = [exact_full_coupling(*populations(k, weighted=True), (k, k + 1)) for k in range(3)]
    table = MixtureCoupling(components, [1.0, 2.0, 3.0])
    assert table.pair_table() is not None
    monkeypatch.setattr("cellflow.couplings.mixture._MAX_TABLE_SIZE", 0)
    plain = MixtureCoupling(components, [1.0, 2.0, 3.0])
    assert plain.pair_table() is None
    ours, theirs = (each.sample(200, seeded(1)).columns() for each in (table, plain))
    assert ours.keys() == theirs.keys()
    for name, column in ours.items():
        torch.testing.assert_close(column, theirs[name], rtol=0, atol=0)
