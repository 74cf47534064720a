"""Chains through all times: their marginals, their links and what is served of them."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cellflow._batch import Batch
from cellflow._errors import InputError
from cellflow.couplings.chain import ChainCoupling
from cellflow.couplings.minibatch import exact
from cellflow.marginals import Population
from cellflow.paths.spline import SplinePath
from cellflow.transport import Plan, assign, entropic_plan, squared_distances

TIMES = (0.0, 1.0, 2.5, 3.0)
SEEDS = st.integers(0, 2**31)


def course(seed, n=12, k=4, d=2):
    generator = torch.Generator().manual_seed(seed)
    clouds = torch.randn((k, n, d), generator=generator, dtype=torch.float64)
    return [Population.of(cloud) for cloud in clouds]


def drawn(coupling, n, seed=0):
    return coupling.sample(n, torch.Generator().manual_seed(seed))


def rows(points):
    return sorted(map(tuple, points.tolist()))


@given(seed=SEEDS, n=st.integers(1, 15))
def test_exact_chains_pass_through_every_point_once(seed, n):
    populations = course(seed, n)
    pairs = drawn(ChainCoupling(populations, TIMES, batch_size=n), n, seed)
    for k, population in enumerate(populations):
        assert rows(pairs.chain[:, k]) == rows(population.points)


@given(seed=SEEDS, n=st.integers(2, 15))
def test_links_of_exact_chains_are_optimal(seed, n):
    chain = drawn(ChainCoupling(course(seed, n), TIMES, batch_size=n), n, seed).chain
    for k in range(3):
        cost = squared_distances(chain[:, k], chain[:, k + 1]).numpy()
        least = cost[np.arange(n), assign(cost)].sum()
        assert np.trace(cost) == pytest.approx(least)


@given(seed=SEEDS, n=st.integers(1, 40))
def test_the_pair_served_is_a_link_of_its_chain(seed, n):
    pairs = drawn(ChainCoupling(course(seed), TIMES, batch_size=12), n, seed)
    assert len(pairs) == n
    assert (pairs.knots == torch.tensor(TIMES, dtype=torch.float64)).all()
    link = (pairs.knots == pairs.t0[:, None]).int().argmax(dim=1)
    each = torch.arange(n)
    assert torch.equal(pairs.t1, pairs.knots[each, link + 1])
    assert torch.equal(pairs.x0, pairs.chain[each, link])
    assert torch.equal(pairs.x1, pairs.chain[each, link + 1])


def test_links_are_served_equally_often_in_any_order():
    starts = drawn(ChainCoupling(course(0), TIMES, batch_size=12), 3000).t0.reshape(-1, 12)
    for start in TIMES[:-1]:
        assert float((starts == start).double().mean()) == pytest.approx(1 / 3, abs=0.04)
        assert float((starts[:, 0] == start).double().mean()) == pytest.approx(1 / 3, abs=0.1)


def test_next_points_are_drawn_from_the_rows_of_the_plan():
    """With 3/4 of each row's mass on the twin and 1/4 on the point itself, so go the chains."""
    points = torch.tensor([[10.0 * k + twin] for k in range(50) for twin in (0, 1)]).double()

    def mostly_the_twin(cost):
        return Plan.of_matrix(0.25 * (cost < 0.5) + 0.75 * ((cost > 0.5) & (cost < 1.5)))

    populations = [Population.of(points)] * 3
    coupling = ChainCoupling(populations, (0.0, 1.0, 2.0), 100, mostly_the_twin)
    chain = drawn(coupling, 8000).chain[:, :, 0]
    moved = (chain[:, 1:] - chain[:, :-1]).abs()
    assert set(moved.flatten().tolist()) == {0.0, 1.0}
    assert moved.mean(dim=0).tolist() == pytest.approx([0.75, 0.75], abs=0.03)
    assert float(moved.prod(dim=1).mean()) == pytest.approx(0.75**2, abs=0.03)


def test_entropic_chains_keep_their_marginals():
    populations = course(0, n=10)
    coupling = ChainCoupling(
        populations, TIMES, 10, lambda cost: entropic_plan(cost, 1.0, tolerance=1e-4)
    )
    chain = drawn(coupling, 3000).chain
    for k, population in enumerate(populations):
        counts = torch.unique(chain[:, k], dim=0, return_counts=True)[1] / len(chain)
        assert len(counts) == len(population)
        torch.testing.assert_close(counts, torch.full_like(counts, 0.1), rtol=0, atol=0.03)


def test_each_link_can_have_a_solver_of_its_own():
    def reversing(cost):
        return Plan.of_permutation(assign(-cost))

    def total(chain, k):
        return float((chain[:, k] - chain[:, k + 1]).square().sum())

    populations = course(0, n=12, k=3)
    mixed = drawn(ChainCoupling(populations, TIMES[:3], 12, [reversing, exact]), 12).chain
    plain = drawn(ChainCoupling(populations, TIMES[:3], 12), 12).chain
    assert total(mixed, 0) > total(plain, 0)
    assert total(mixed, 1) == pytest.approx(total(plain, 1))


def test_one_solve_is_served_whole_before_the_next():
    solved = []

    def counting(cost):
        solved.append(1)
        return Plan.of_permutation(assign(cost))

    coupling = ChainCoupling(course(0), TIMES, 12, counting)
    generator = torch.Generator().manual_seed(0)
    chains = torch.cat([coupling.sample(4, generator).chain for _ in range(3)])
    assert len(solved) == 3
    assert len(torch.unique(chains[:, 0], dim=0)) == 12
    coupling.sample(1, generator)
    assert len(solved) == 6


def test_same_seed_same_chains():
    first, second = (drawn(ChainCoupling(course(0), TIMES, 8), 30, seed=3) for _ in range(2))
    for name, column in first.columns().items():
        assert torch.equal(column, second.columns()[name]), name


def test_covariates_follow_their_points():
    populations = [
        Population(Batch(each.points, condition=each.points.sum(dim=1, keepdim=True)))
        for each in course(0)
    ]
    pairs = drawn(ChainCoupling(populations, TIMES, 12), 30)
    torch.testing.assert_close(pairs.c0, pairs.x0.sum(dim=1, keepdim=True))
    torch.testing.assert_close(pairs.c1, pairs.x1.sum(dim=1, keepdim=True))


@pytest.mark.parametrize("times", [(0.0, 1.0, 2.0), (0.0, 2.0, 3.0), (0.0, 2.0)])
def test_cells_at_constant_speed_stay_at_it_also_past_a_time_left_out(times, generator):
    first = torch.randn((25, 3), generator=generator, dtype=torch.float64)
    speed = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    coupling = ChainCoupling([Population.of(first + time * speed) for time in times], times, 25)
    pairs = coupling.sample(25, generator)
    sample = SplinePath(sigma=0).sample(pairs, (pairs.t0 + pairs.t1) / 2, generator)
    torch.testing.assert_close(sample.u, speed.expand_as(sample.u))
    if times == (0.0, 2.0):
        assert np.allclose(rows(sample.x), rows(first + speed))


@pytest.mark.parametrize("times", [(0.0,), (0.0, 1.0), (0.0, 1.0, 2.0, 3.0)])
def test_every_population_needs_a_time(times):
    with pytest.raises(InputError, match=f"{len(times)} times and 3 populations"):
        ChainCoupling(course(0, k=3), times)


def test_times_must_increase():
    with pytest.raises(InputError, match="times must increase"):
        ChainCoupling(course(0, k=3), (0.0, 2.0, 2.0))


def test_one_time_is_no_chain():
    with pytest.raises(InputError, match="two or more times"):
        ChainCoupling(course(0, k=1), (0.0,))


def test_every_link_needs_a_solver():
    with pytest.raises(InputError, match="needs one solver, or 2; got 1"):
        ChainCoupling(course(0, k=3), TIMES[:3], solver=[exact])
