"""Ground costs on other coordinates, within clones, and of acceleration."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cellflow._batch import Batch
from cellflow.couplings import (
    AccelerationCost,
    AccelerationCoupling,
    LineageCost,
    MinibatchCoupling,
    acceleration_cost,
    squared_euclidean,
)
from cellflow.couplings.ground_costs import COSTS
from cellflow.couplings.minibatch import solve_assignment
from cellflow.marginals import Gaussian, Population
from cellflow.transport import assign


def points(seed, *shape):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=g, dtype=torch.float64)


def test_costs_are_taken_on_features_where_there_are_some():
    x, y, f, g = points(0, 4, 5, 3)
    cost = squared_euclidean(Batch(x, features=f), Batch(y, features=g))
    torch.testing.assert_close(cost, torch.cdist(f, g) ** 2)
    torch.testing.assert_close(COSTS["euclidean"](Batch(x), Batch(y)), torch.cdist(x, y))


def test_pairs_follow_the_features_and_serve_the_points(generator):
    """Features in reverse order of the points: the first source meets the last target."""
    line = torch.arange(6.0, dtype=torch.float64)[:, None]
    source = Population.of(line, features=line)
    target = Population.of(line + 100, features=line.flip(0))
    pairs = MinibatchCoupling(source, target, batch_size=6).sample(6, generator)
    torch.testing.assert_close(pairs.x0 + pairs.x1, torch.full((6, 1), 105.0).double())


def test_relatives_are_cheaper_and_strangers_cost_the_same():
    clones = torch.tensor([[0, -1], [1, 2], [-1, -1]])
    source = Batch(points(0, 3, 2), clones=clones)
    target = Batch(points(1, 3, 2), clones=torch.tensor([[2], [0], [-1]]))
    base = squared_euclidean(source, target)
    share = LineageCost(strength=0.8)(source, target) / base
    expected = torch.ones(3, 3).double()
    expected[0, 1] = expected[1, 0] = 0.2
    torch.testing.assert_close(share, expected)


def test_relatives_of_different_conditions_keep_the_cost_of_these():
    """Points 3 apart and conditions 4: strangers pay 25, relatives 16 more than a fifth of 9."""
    source, target = (
        Batch(
            torch.tensor([[x]]),
            condition_features=torch.tensor([[c]]),
            clones=torch.zeros(1, 1).int(),
        )
        for x, c in ((0.0, 0.0), (3.0, 4.0))
    )
    assert squared_euclidean(source, target).item() == 25
    cost = LineageCost(strength=0.8)
    assert cost(source, target).item() == pytest.approx(16 + 0.2 * 9)
    assert cost(replace(source, clones=None), target).item() == 25


def test_strong_lineage_pairs_clones_across_distances(generator):
    line = torch.tensor([[0.0], [10.0]])
    source = Population.of(line, clones=torch.tensor([[7], [8]]))
    target = Population.of(line + 1, clones=torch.tensor([[8], [7]]))
    coupling = MinibatchCoupling(source, target, batch_size=2, cost=LineageCost(strength=1.0))
    pairs = coupling.sample(2, generator)
    assert set(zip(pairs.x0[:, 0].tolist(), pairs.x1[:, 0].tolist(), strict=True)) == {
        (0.0, 11.0),
        (10.0, 1.0),
    }


@given(seed=st.integers(0, 2**31), duration=st.floats(0.2, 5))
def test_acceleration_cost_is_that_of_the_cubic_hermite_path(seed, duration):
    x0, v0, x1, v1 = points(seed, 4, 3, 2)
    # x'' of the Hermite path is linear in time, so two Gauss points integrate its square.
    nodes = torch.tensor([0.5 - 3**-0.5 / 2, 0.5 + 3**-0.5 / 2], dtype=torch.float64)
    total = torch.zeros(3, dtype=torch.float64)
    for s in nodes:
        bend = (
            (12 * s - 6) * x0 / duration**2
            + (6 - 12 * s) * x1 / duration**2
            + (6 * s - 4) * v0 / duration
            + (6 * s - 2) * v1 / duration
        )
        total += duration / 2 * bend.square().sum(dim=1)
    torch.testing.assert_close(acceleration_cost(x0, v0, x1, v1, duration), total)


def test_straight_movement_at_constant_speed_costs_nothing():
    x, v = points(0, 2, 5, 3)
    cost = acceleration_cost(x, v, x + 2 * v, v, 2.0)
    torch.testing.assert_close(cost, torch.zeros(5, dtype=torch.float64))


def field(t, x, condition=None):
    return torch.sin(x) + t[:, None] * x.flip(1)


@given(seed=st.integers(0, 2**31), stop=st.floats(0.5, 3))
def test_coupling_cost_is_the_detour_of_each_pair(seed, stop):
    source, target = Batch(points(seed, 4, 2)), Batch(points(seed + 1, 5, 2))
    found = AccelerationCost(field, (0.0, stop))(source, target)
    v0 = field(torch.zeros(4).double(), source.x)
    v1 = field(torch.full((5,), stop, dtype=torch.float64), target.x)
    detour = target.x - source.x[:, None] - stop * (v0[:, None] + v1) / 2
    torch.testing.assert_close(found, detour.square().sum(dim=2), rtol=1e-9, atol=1e-9)


def ideal(mean):
    """Return the I-CFM velocity at both ends, v(0, x) = m - x and v(1, x) = x, for mean m."""
    return lambda t, x, condition=None: torch.where(t[:, None] == 0, mean - x, x)


def test_with_an_ideal_independent_field_it_pairs_as_plain_transport_does():
    """Both ends move by half the interval."""
    mean = torch.tensor([1.0, -2.0], dtype=torch.float64)
    source, target = Batch(points(2, 60, 2)), Batch(points(3, 60, 2) + mean)
    bent = assign(AccelerationCost(ideal(mean))(source, target).numpy())
    plain = assign(squared_euclidean(source, target).numpy())
    assert (bent == plain).all()


def test_the_term_that_is_left_out_would_turn_the_coupling_around():
    """With the ideal field the cross term has the factor 2 - 5 alpha / 2, which changes its sign.

    The cost with both terms at alpha = 12/13 is in proportion to the acceleration itself.
    """
    source, target = Batch(points(2, 60, 2)), Batch(points(3, 60, 2))
    detour = AccelerationCost(ideal(torch.zeros(2).double()))(source, target)
    turn = (target.x + source.x[:, None]).square().sum(dim=2)
    plain = assign(squared_euclidean(source, target).numpy())
    against = assign((-squared_euclidean(source, target)).numpy())
    for alpha in (0.6, 2 / 3, 0.79, 0.81, 12 / 13):
        found = assign((alpha * detour + (1 - alpha) * turn).numpy())
        assert (found == (plain if alpha > 4 / 5 else against)).all()


def test_of_a_field_at_rest_the_cost_is_the_squared_distance():
    source, target = Batch(points(2, 6, 2)), Batch(points(3, 7, 2))
    found = AccelerationCost(lambda t, x, c: torch.zeros_like(x), (0.0, 2.0))(source, target)
    torch.testing.assert_close(found, torch.cdist(source.x, target.x) ** 2)


def test_noise_is_asked_with_the_covariates_of_its_target(generator):
    def towards(t, x, condition=None):
        return condition.expand_as(x)

    noise = Gaussian(torch.zeros((1, 2), dtype=torch.float64))
    rows = torch.full((9, 1), 3.0, dtype=torch.float64)
    cells = Population.of(points(1, 9, 2), condition=rows)
    cost = AccelerationCost(towards)
    coupling = AccelerationCoupling(
        MinibatchCoupling(noise, cells, cost=cost, batch_size=9), towards
    )
    pairs = coupling.sample(9, generator)
    assert (pairs.v0 == 3).all()
    assert torch.equal(pairs.v0, pairs.v1)
    source = noise.sample(4, generator)
    moved = Batch(source.x + 3), Batch(cells.points)
    torch.testing.assert_close(cost(source, cells.cells), squared_euclidean(*moved))


def test_pairs_carry_the_velocities_of_their_ends(generator):
    ends = [Gaussian(torch.full((1, 2), k, dtype=torch.float64)) for k in (0.0, 3.0)]
    span = (1.0, 2.0)
    cost = AccelerationCost(field, span)
    coupling = AccelerationCoupling(
        MinibatchCoupling(*ends, span, 8, False, solve_assignment, cost), field
    )
    pairs = coupling.sample(20, generator)
    torch.testing.assert_close(pairs.v0, field(pairs.t0, pairs.x0))
    torch.testing.assert_close(pairs.v1, field(pairs.t1, pairs.x1))


@pytest.mark.parametrize("weights", [None, [1.0, 3.0]])
def test_batches_and_pairs_keep_their_columns_together(weights, generator):
    x = torch.arange(10.0)[:, None]
    population = Population.of(
        x, None if weights is None else torch.arange(10.0), condition=x * 2, rate=x[:, 0]
    )
    batch = population.sample(50, generator)
    torch.testing.assert_close(batch.condition, batch.x * 2)
    torch.testing.assert_close(batch.rate, batch.x[:, 0])
    if weights is not None:
        assert (batch.x > 0).all()
