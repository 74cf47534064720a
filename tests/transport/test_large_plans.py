"""Plans of large problems: lazy, unbalanced, blockwise and low-rank."""

import math

import numpy as np
import ot
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellflow import CellflowWarning, InputError, SolverError
from cellflow.transport import Plan, distances, exact_plan, mm_unbalanced_plan
from cellflow.transport.exact import lazy_exact_plan
from cellflow.transport.kl_unbalanced import kl_unbalanced_plan
from cellflow.transport.low_rank import low_rank_plan
from cellflow.transport.random_blocks import block_count, blockwise_plan, random_blocks
from tests.seeds import seeded

seeds = st.integers(0, 2**32 - 1)
sizes = st.integers(1, 30)


def clouds(seed: int, n: int, m: int) -> tuple[np.ndarray, ...]:
    """Return two point sets and their masses, some of them zero."""
    rng = np.random.default_rng(seed)
    a, b = (rng.dirichlet(np.ones(size)) for size in (n, m))
    for masses in (a, b):
        masses[rng.permutation(len(masses))[: len(masses) // 4]] = 0
    return rng.normal(size=(n, 2)), rng.normal(size=(m, 2)) + 1, a / a.sum(), b / b.sum()


def squared(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return distances(x, y) ** 2


def sums(plan: Plan, n: int, m: int) -> tuple[np.ndarray, np.ndarray]:
    return np.bincount(plan.rows, plan.mass, n), np.bincount(plan.columns, plan.mass, m)


# --- without a cost matrix ---


@given(seeds, sizes, sizes)
def test_a_plan_without_a_cost_matrix_is_as_good_as_one_with(seed, n, m):
    x, y, a, b = clouds(seed, n, m)
    plan = lazy_exact_plan(x, y, a, b)
    assert plan.cost == pytest.approx(exact_plan(squared(x, y), a, b).cost, rel=1e-9, abs=1e-12)
    assert plan.cost == pytest.approx(plan.mass @ squared(x, y)[plan.rows, plan.columns])
    assert (np.diff(plan.rows) >= 0).all()
    for found, wanted in zip(sums(plan, n, m), (a, b), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-12)


@given(seeds, sizes, sizes)
def test_its_potentials_prove_it(seed, n, m):
    x, y, a, b = clouds(seed, n, m)
    plan = lazy_exact_plan(x, y, a, b)
    u, v = plan.potentials
    assert (u[:, None] + v <= squared(x, y) + 1e-9).all()
    assert a @ u + b @ v == pytest.approx(plan.cost, abs=1e-9)


@pytest.mark.parametrize(("unit", "shift"), [(1e-6, 0.0), (1.0, 1e5), (1e6, 0.0)])
def test_units_and_origin_of_the_coordinates_do_not_matter(unit, shift):
    x, y, a, b = clouds(0, 20, 25)
    plan, moved = (
        lazy_exact_plan(x, y, a, b),
        lazy_exact_plan(unit * x + shift, unit * y + shift, a, b),
    )
    assert moved.cost == pytest.approx(plan.cost * unit**2, rel=1e-6)


def test_points_that_all_coincide_cost_nothing():
    assert lazy_exact_plan(np.ones((3, 2)), np.ones((4, 2))).cost == 0


def test_a_lazy_solver_that_lies_is_caught(monkeypatch):
    solve = ot.lp.emd2_lazy

    def swapped(x, y, *args, **kwargs):
        return solve(x, y[::-1], *args, **kwargs)

    monkeypatch.setattr(ot.lp, "emd2_lazy", swapped)
    with pytest.raises(SolverError, match="not proven optimal"):
        lazy_exact_plan(*clouds(0, 8, 8)[:2])


# --- soft marginals ---


@given(m0=st.floats(0.1, 5), m1=st.floats(0.1, 5), cost=st.floats(0, 20))
def test_the_soft_plan_of_two_points_is_known(m0, m1, cost):
    """Minimising g c + KL(g | m0) + KL(g | m1) gives g = sqrt(m0 m1) exp(-c / 2)."""
    plan = kl_unbalanced_plan(np.array([[cost]]), 1.0, np.array([m0]), np.array([m1]))
    mass = math.sqrt(m0 * m1) * math.exp(-cost / 2)
    assert plan.mass.sum() == pytest.approx(mass, rel=1e-3)
    assert plan.value == pytest.approx(m0 + m1 - 2 * mass, rel=1e-3, abs=1e-6)


def penalised(plan: Plan, cost: np.ndarray, weight: float, a: np.ndarray, b: np.ndarray) -> float:
    value = float(plan.mass @ cost[plan.rows, plan.columns])
    for found, wanted in zip(sums(plan, len(a), len(b)), (a, b), strict=True):
        safe = np.maximum(found, 1e-300)
        value += weight * float((found * np.log(safe / wanted) - found + wanted).sum())
    return value


@pytest.mark.parametrize("weight", [0.3, 1.0, 5.0])
@pytest.mark.parametrize("seed", range(3))
def test_a_soft_plan_is_no_worse_than_the_slow_one_and_sparse(weight, seed):
    x, y, *_ = clouds(seed, 40, 50)
    cost, a, b = squared(x, y), np.ones(40), np.full(50, 1.2)
    fast, slow = (
        kl_unbalanced_plan(cost, weight, a, b),
        mm_unbalanced_plan(cost, weight, a, b, max_iter=20_000),
    )
    value = penalised(fast, cost, weight, a, b)
    reached = penalised(slow, cost, weight, a, b)
    assert fast.value == pytest.approx(value)
    assert reached - 1e-9 >= fast.value - fast.gap
    assert value <= reached * 1.001
    assert -1e-9 <= fast.gap <= 1e-3 * value + 3e-5 * (a.sum() + b.sum())
    assert len(fast.mass) <= 40 + 50 - 1
    for quick, patient in zip(sums(fast, 40, 50), sums(slow, 40, 50), strict=True):
        np.testing.assert_allclose(quick, patient, atol=0.05)


@given(seeds, sizes)
def test_soft_marginals_at_a_huge_price_give_the_exact_plan(seed, n):
    x, y, *_ = clouds(seed, n, n)
    cost, ones = squared(x, y), np.ones(n)
    plan = kl_unbalanced_plan(cost, 1e4, ones, ones)
    np.testing.assert_allclose(np.bincount(plan.rows, plan.mass), 1, atol=0.02)
    exact = n * exact_plan(cost).cost
    assert plan.mass @ cost[plan.rows, plan.columns] == pytest.approx(exact, rel=0.02)


def test_populations_that_coincide_are_kept_at_no_cost():
    x = clouds(0, 20, 20)[0]
    plan = kl_unbalanced_plan(squared(x, x), 1.0, np.ones(20), np.ones(20))
    assert plan.value == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(plan.mass.sum(), 20)


def test_points_without_mass_take_none():
    x, y, a, b = clouds(1, 20, 25)
    plan = kl_unbalanced_plan(squared(x, y), 1.0, a, b)
    found = sums(plan, 20, 25)
    assert (found[0][a == 0] == 0).all()
    assert (found[1][b == 0] == 0).all()


def test_a_soft_plan_that_is_not_done_says_so():
    cost = squared(*clouds(0, 60, 60)[:2])
    with pytest.warns(CellflowWarning, match="within .*% of the optimum after 1 steps"):
        plan = kl_unbalanced_plan(cost, 1.0, np.ones(60), np.ones(60), max_iter=1)
    assert plan.gap > 1e-3 * plan.value


def test_points_out_of_reach_are_left_alone():
    """Two close pairs at distance 100: each is coupled independently of the other."""
    x, y = np.array([[0.0], [100.0]]), np.array([[1.0], [100.5]])
    plan = kl_unbalanced_plan(squared(x, y), 1.0, np.ones(2), np.ones(2))
    near = np.exp([-0.5, -0.125])
    np.testing.assert_allclose(plan.matrix(2, 2), np.diag(near), atol=2e-3)


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
def test_units_of_cost_and_weight_do_not_matter(unit):
    cost, ones = squared(*clouds(0, 30, 30)[:2]), np.ones(30)
    here, there = (
        kl_unbalanced_plan(cost, 1.0, ones, ones),
        kl_unbalanced_plan(unit * cost, unit, ones, ones),
    )
    assert there.value == pytest.approx(unit * here.value, rel=1e-6)


# --- blocks ---


@given(seeds, sizes, sizes, st.integers(1, 12))
def test_random_blocks_hold_every_point_once_and_are_even(seed, n, m, size):
    blocks = random_blocks(n, m, size, seeded(seed))
    assert len(blocks) == min(block_count(n, m, size), n, m)
    for side, total in ((0, n), (1, m)):
        parts = [block[side] for block in blocks]
        assert sorted(np.concatenate(parts)) == list(range(total))
        assert max(map(len, parts)) - min(map(len, parts)) <= 1


@given(seeds, sizes, sizes, st.integers(1, 12), st.booleans())
def test_blocks_keep_all_mass_and_stay_small(seed, n, m, size, weighted):
    x, y, a, b = clouds(seed, n, m)
    if not weighted:
        a, b = np.full(n, 1 / n), np.full(m, 1 / m)
    shapes = []

    def cost(rows, columns):
        shapes.append((len(rows), len(columns)))
        return squared(x[rows], y[columns])

    plan = blockwise_plan(cost, a, b, block_size=size, generator=seeded(seed))
    for found, wanted in zip(sums(plan, n, m), (a, b), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-11)
    assert np.max(shapes) <= size


def test_very_uneven_masses_are_cut_into_blocks_too():
    x, y, *_ = clouds(0, 40, 30)
    a, b = np.geomspace(1, 1e-9, 40), np.geomspace(1e-6, 1, 30)
    a, b = a / a.sum(), b / b.sum()
    plan = blockwise_plan(
        lambda rows, columns: squared(x[rows], y[columns]),
        a,
        b,
        block_size=7,
        generator=seeded(0),
    )
    for found, wanted in zip(sums(plan, 40, 30), (a, b), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-11)


@given(seeds, sizes, sizes)
def test_one_block_is_the_exact_plan(seed, n, m):
    x, y, a, b = clouds(seed, n, m)
    cost = squared(x, y)
    plan = blockwise_plan(
        lambda rows, columns: cost[np.ix_(rows, columns)],
        a,
        b,
        block_size=30,
        generator=seeded(seed),
    )
    paid = plan.mass @ cost[plan.rows, plan.columns]
    assert paid == pytest.approx(exact_plan(cost, a, b).cost, abs=1e-9)


def test_equal_blocks_of_equal_masses_are_permutations():
    x, y, *_ = clouds(0, 60, 60)
    plan = blockwise_plan(
        lambda rows, columns: squared(x[rows], y[columns]),
        np.full(60, 1 / 60),
        np.full(60, 1 / 60),
        block_size=20,
        generator=seeded(0),
        rounds=3,
    )
    assert len(plan.mass) == 3 * 60
    np.testing.assert_allclose(plan.mass, 1 / 180)


def test_larger_blocks_cost_less_and_the_exact_plan_least():
    x, y, *_ = clouds(3, 240, 240)
    cost = squared(x, y)
    masses = np.full(240, 1 / 240)

    def paid(size):
        plan = blockwise_plan(
            lambda rows, columns: cost[np.ix_(rows, columns)],
            masses,
            masses,
            block_size=size,
            generator=seeded(0),
            rounds=4,
        )
        return plan.mass @ cost[plan.rows, plan.columns]

    costs = [paid(size) for size in (1, 10, 60)]
    assert costs[0] == pytest.approx(cost.mean(), rel=0.1)
    assert costs[0] > costs[1] > costs[2] > exact_plan(cost).cost


# --- low rank ---


@settings(max_examples=6)  # each takes the solver's fixed number of steps
@given(seeds, st.integers(2, 30), st.integers(2, 30), st.integers(1, 40))
def test_low_rank_factors_keep_the_marginals(seed, n, m, rank):
    x, y, a, b = clouds(seed, n, m)
    plan = low_rank_plan(x, y, rank, a, b)
    assert plan.shares.sum() == pytest.approx(1, abs=0.01)
    for factor, masses in ((plan.left, a), (plan.right, b)):
        assert (factor >= 0).all()
        assert np.abs(factor.sum(axis=1) - masses).sum() <= 0.01
        assert np.abs(factor.sum(axis=0) - plan.shares).sum() <= 0.01
        assert (factor[masses == 0] == 0).all()


def test_rank_one_is_the_independent_plan_and_more_ranks_cost_less():
    x, y, *_ = clouds(0, 150, 120)
    cost = squared(x, y)

    def paid(rank):
        plan = low_rank_plan(x, y, rank)
        return float(np.sum((plan.left / plan.shares).T @ cost * plan.right.T))

    costs = [paid(rank) for rank in (1, 4, 30)]
    assert costs[0] == pytest.approx(cost.mean(), rel=1e-2)
    assert costs[0] > costs[1] > costs[2] > exact_plan(cost).cost


@pytest.mark.parametrize(("unit", "shift"), [(1e-4, 0.0), (1.0, 1e4), (1e4, 0.0)])
def test_units_and_origin_do_not_change_a_low_rank_plan(unit, shift):
    x, y, *_ = clouds(0, 40, 30)
    here, there = low_rank_plan(x, y, 5), low_rank_plan(unit * x + shift, unit * y + shift, 5)
    np.testing.assert_allclose(there.left, here.left, atol=1e-5)


def test_costs_of_a_low_rank_plan_are_solved_at_a_mean_of_three_tenths(monkeypatch):
    solve = ot.lowrank_sinkhorn

    x, y = (5 * each for each in clouds(0, 20, 30)[:2])

    def spy(near, far, *masses, rescale_cost, reg, **options):
        assert squared(near, far).mean() == pytest.approx(0.3)
        # The entropy shrinks with the cost.
        assert reg == pytest.approx(2.0 * 0.3 / squared(x, y).mean())
        assert not rescale_cost
        return solve(near, far, *masses, rescale_cost=rescale_cost, reg=reg, **options)

    monkeypatch.setattr(ot, "lowrank_sinkhorn", spy)
    low_rank_plan(x, y, 4, epsilon=2.0)


@pytest.mark.parametrize(("factor", "shift"), [(0.9, 0.0), (1.0, 0.003)])
def test_factors_that_miss_the_marginals_are_an_error(factor, shift, monkeypatch):
    """Of points, by a tenth; of ten classes, each by 0.003."""
    solve = ot.lowrank_sinkhorn

    def leaky(*args, **kwargs):
        left, right, shares = solve(*args, **kwargs)
        return factor * left, right, shares + shift

    monkeypatch.setattr(ot, "lowrank_sinkhorn", leaky)
    with pytest.raises(SolverError, match="off by"):
        low_rank_plan(*clouds(0, 20, 20)[:2], 10)


@pytest.mark.parametrize("weight", [0.0, -1.0, math.nan])
def test_the_price_of_soft_marginals_must_be_positive(weight):
    with pytest.raises(InputError, match="weight"):
        kl_unbalanced_plan(np.ones((2, 2)), weight, np.ones(2), np.ones(2))
