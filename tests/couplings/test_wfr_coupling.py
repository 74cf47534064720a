"""The Wasserstein-Fisher-Rao coupling: masses of pairs, largest distance and length scale."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cellflow import CellflowWarning, InputError
from cellflow.couplings.wfr_coupling import default_delta, wfr_cost, wfr_coupling
from cellflow.marginals import Population
from cellflow.transport import exact_plan
from cellflow.transport.kl_unbalanced import kl_unbalanced_plan
from tests.diracs import wfr_squared
from tests.seeds import seeded

seeds = st.integers(0, 2**31)


def populations(seed=0, n=30, m=30, shift=0.5):
    g = seeded(seed)
    x = torch.randn((n, 2), generator=g, dtype=torch.float64)
    y = torch.randn((m, 2), generator=g, dtype=torch.float64) + shift
    return Population.of(x), Population.of(y)


def coupled(source, target, delta, seed=0, **settings):
    return wfr_coupling(source, target, delta=delta, generator=seeded(seed), **settings)


def masses_of(coupling):
    """Return the masses of all entries at both ends, in units of source cells."""
    scale = len(coupling.source.cells)
    start = scale * coupling.plan.mass * coupling.m0.numpy()
    return start, scale * coupling.plan.mass * coupling.m1.numpy()


@given(
    m0=st.floats(0.1, 5), m1=st.floats(0.1, 5), distance=st.floats(0, 3), delta=st.floats(0.5, 3)
)
def test_unbalanced_transport_of_two_diracs_is_their_distance(m0, m1, distance, delta):
    """2 delta^2 times the minimum of cost and penalties is the squared distance."""
    cost = wfr_cost(np.array([[distance]]), delta)
    plan = kl_unbalanced_plan(cost, 1.0, np.array([m0]), np.array([m1]))
    ends = (torch.tensor([each], dtype=torch.float64) for each in (distance, m0, m1))
    squared = float(wfr_squared(*ends, delta))
    assert 2 * delta**2 * plan.value == pytest.approx(squared, rel=2e-3, abs=1e-3 * delta**2)


def test_cost_is_finite_beyond_the_reach_and_squared_distance_within():
    cost = wfr_cost(np.array([0.0, 1e-3, math.pi, 100.0]), 1.0)
    assert cost[0] == 0
    assert cost[1] == pytest.approx(1e-6 / 4, rel=1e-5)
    assert cost[2] == cost[3] == pytest.approx(-math.log(1e-10))


@given(seed=seeds, n=st.integers(2, 40), m=st.integers(2, 40), size=st.integers(10, 50))
def test_both_populations_are_met_with_all_their_mass(seed, n, m, size):
    """Initial masses sum to one per source cell, final masses to one per target cell."""
    coupling = coupled(*populations(seed, n, m), delta=3.0, block_size=size)
    start, end = masses_of(coupling)
    np.testing.assert_allclose(np.bincount(coupling.plan.rows, start, n), 1, rtol=1e-9)
    np.testing.assert_allclose(np.bincount(coupling.plan.columns, end, m), 1, rtol=1e-9)


def test_weighted_cells_count_by_their_weight():
    source, target = populations(1)
    weights = [0.2 + torch.rand(30, generator=seeded(k), dtype=torch.float64) for k in range(2)]
    source, target = (
        Population(each.cells, weight)
        for each, weight in zip((source, target), weights, strict=True)
    )
    coupling = coupled(source, target, delta=3.0)
    start, end = masses_of(coupling)
    for found, index, population in (
        (start, coupling.plan.rows, source),
        (end, coupling.plan.columns, target),
    ):
        wanted = 30 * population.masses.numpy()
        np.testing.assert_allclose(np.bincount(index, found, 30), wanted, rtol=1e-9)


def test_a_population_that_doubles_grows_by_two():
    source, target = populations(0, 40, 80)
    pairs = coupled(source, target, delta=50.0).sample(5_000, seeded())
    assert (pairs.m0 == 1).all()
    assert float(pairs.m1.mean()) == pytest.approx(2, rel=0.02)


def test_a_branch_that_grows_is_told_from_one_that_shrinks():
    """Return two groups of 10 and 30 cells that become 30 and 10, farther apart than pi delta."""
    g = seeded()
    near, far = torch.zeros(1, 2, dtype=torch.float64), torch.full((1, 2), 20.0).double()

    def branches(first, second):
        noise = 0.1 * torch.randn((first + second, 2), generator=g, dtype=torch.float64)
        return Population.of(torch.cat([near.expand(first, 2), far.expand(second, 2)]) + noise)

    pairs = coupled(branches(10, 30), branches(30, 10), delta=2.0).sample(4_000, seeded())
    first = pairs.x0[:, 0] < 10
    assert torch.equal(first, pairs.x1[:, 0] < 10)
    assert float(first.double().mean()) == pytest.approx(0.25, abs=0.03)
    assert float(pairs.m1[first].mean()) == pytest.approx(3, rel=0.02)
    assert float(pairs.m1[~first].mean()) == pytest.approx(1 / 3, rel=0.02)


def test_no_pair_is_beyond_the_reach_and_cells_without_partner_are_told_of():
    source, target = populations()
    lone = torch.cat([source.points, torch.full((1, 2), 50.0, dtype=torch.float64)])
    with pytest.warns(CellflowWarning, match="1 of 31 source cells and 0 of 30 target cells"):
        coupling = coupled(Population.of(lone), target, delta=1.5)
    pairs = coupling.sample(2_000, seeded())
    assert float(torch.linalg.vector_norm(pairs.x1 - pairs.x0, dim=1).max()) < 1.5 * math.pi


def test_a_reach_over_no_pair_is_refused():
    source, target = populations(shift=100.0)
    with pytest.raises(InputError, match="raise delta"):
        coupled(source, target, delta=0.1)
    with pytest.raises(InputError, match="delta must be positive"):
        coupled(source, target, delta=0.0)


@given(seed=seeds)
def test_a_large_delta_gives_the_balanced_optimal_plan(seed):
    source, target = populations(seed)
    squared = torch.cdist(source.points, target.points).square().numpy()
    coupling = coupled(source, target, delta=1e3)
    paid = coupling.plan.mass @ squared[coupling.plan.rows, coupling.plan.columns]
    assert paid == pytest.approx(exact_plan(squared).cost, rel=1e-3)
    np.testing.assert_allclose(coupling.m1.numpy(), 1, atol=1e-3)


def test_same_seed_same_pairs():
    ends = populations(0, 50, 40)
    first, second = (coupled(*ends, delta=2.0, block_size=20).sample(30, seeded(3)) for _ in "12")
    for name, column in first.columns().items():
        assert torch.equal(column, getattr(second, name))


@given(seed=seeds, unit=st.sampled_from([1e-3, 1.0, 1e4]))
def test_the_default_length_scale_goes_with_the_unit(seed, unit):
    source, target = populations(seed, 20, 30)
    scaled = (Population.of(unit * each.points) for each in (source, target))
    delta = default_delta([(source, target)], seeded(seed))
    assert default_delta([tuple(scaled)], seeded(seed)) == pytest.approx(unit * delta, rel=1e-9)


@given(seed=seeds, outlier=st.floats(0, 100))
def test_with_the_default_length_scale_the_farthest_optimal_pair_is_within_reach(seed, outlier):
    source, target = populations(seed)
    points = source.points.clone()
    points[0] += outlier
    source = Population.of(points)
    delta = default_delta([(source, target)], seeded(seed))
    distance = torch.cdist(points, target.points).numpy()
    plan = exact_plan(distance**2)
    moved = distance[plan.rows, plan.columns]
    assert 1.25 * moved.max() <= delta * math.pi * (1 + 1e-6)
    assert delta >= moved.mean() * (1 - 1e-6)
    coupling = coupled(source, target, delta=delta)
    assert len(np.unique(coupling.plan.rows)) == 30


@pytest.mark.parametrize("unit", [1e-3, 1.0, 1e4])
def test_cells_of_populations_that_coincide_stay(unit):
    source = Population.of(unit * populations()[0].points)
    delta = default_delta([(source, source)], seeded())
    pairs = coupled(source, source, delta=delta).sample(200, seeded())
    assert (pairs.x1 - pairs.x0).norm(dim=1).mean() < 0.1 * unit * math.sqrt(2)


def test_the_default_length_scale_is_the_mean_over_intervals():
    start, near, far = (
        Population.of(torch.full((40, 2), float(k), dtype=torch.float64)) for k in (0, 1, 4)
    )
    moved = (math.sqrt(2), 3 * math.sqrt(2))
    delta = default_delta([(start, near), (near, far)], seeded())
    assert delta == pytest.approx(max(sum(moved) / 2, 1.25 * moved[1] / math.pi))


def test_the_default_length_scale_weighs_intervals_by_their_shares():
    start, near, far = (
        Population.of(torch.full((4, 1), float(k), dtype=torch.float64)) for k in (0, 10, 22)
    )
    ends = [(start, near), (near, far)]
    assert default_delta(ends, seeded(), [3.0, 1.0]) == pytest.approx((3 * 10 + 12) / 4)


@pytest.mark.parametrize(("distance", "delta"), [(0.5, 1.0), (2.0, 0.8), (2.4, 0.8)])
def test_cost_is_the_logarithm_of_a_squared_cosine(distance, delta):
    expected = -2 * math.log(math.cos(distance / 2 / delta))
    assert wfr_cost(np.array([distance]), delta) == pytest.approx(expected)


def test_cells_of_blocks_that_are_not_solved_have_no_pairs():
    source, target = populations(0, 40, 40)
    coupling = coupled(source, target, 5.0, block_size=10, max_blocks=2)
    assert len(np.unique(coupling.plan.rows)) == len(np.unique(coupling.plan.columns)) == 20


def test_numbers_of_cells_are_sizes_of_populations_or_not():
    source, target = populations(0, 30, 60)
    for growth, size in (((0.0, math.inf), 60), ((1.0, math.inf), 60), ((1.0, 1.0), 30)):
        grown = coupled(source, target, delta=2.0, growth=growth)
        assert masses_of(grown)[1].sum() == pytest.approx(size)


def test_fewer_cells_are_a_smaller_population_or_not():
    source, target = populations(0, 60, 30)
    for growth, size in (((0.0, math.inf), 30), ((1.0, math.inf), 60), ((1.0, 1.0), 60)):
        grown = coupled(source, target, delta=2.0, growth=growth)
        assert masses_of(grown)[1].sum() == pytest.approx(size)
