"""Couplings whose costs see conditions: from none of them to those of equal conditions alone."""

import math

import pytest
import torch

from cellflow._batch import Batch
from cellflow.couplings import (
    IndependentCoupling,
    MinibatchCoupling,
    SemidiscreteCoupling,
    squared_euclidean,
)
from cellflow.couplings import fit_potentials as fitted
from cellflow.images.conditional_costs import ConditionCosts, ConditionedNoise, balanced_weight
from cellflow.marginals import Gaussian, Population

SPAN = (0.0, 1.0)


@pytest.fixture
def points(generator):
    """60 points in the plane, half of them with either of two conditions."""
    z = torch.arange(60).remainder(2).float()[:, None] * 2 - 1
    x = torch.randn((60, 2), generator=generator)
    return Population.of(x, condition=z)


def with_costs(points, weight):
    """Noise and points with conditions in costs."""
    z = Population.of(points.stored.condition)
    noise = ConditionedNoise(torch.zeros(1, 2), conditions=z, weight=weight)
    return noise, Population(points.stored, transform=ConditionCosts(weight))


def semidiscrete(noise, target, generator):
    potentials = fitted(noise, target.cells.cost_features, target.masses, generator=generator)
    return SemidiscreteCoupling(noise, target, SPAN, potentials)


def test_squared_distances_are_those_of_points_and_weighed_ones_of_conditions(points, generator):
    noise, target = with_costs(points, 3.0)
    source, drawn = noise.sample(7, generator), target.sample(5, generator)
    z = source.condition_features / 3**0.5
    expected = torch.cdist(source.x, drawn.x).square() + 3 * torch.cdist(z, drawn.condition) ** 2
    torch.testing.assert_close(squared_euclidean(source, drawn), expected, rtol=1e-4, atol=1e-4)


def test_noise_is_that_of_its_law_and_has_no_condition_of_its_own(points, generator):
    noise, _ = with_costs(points, 3.0)
    plain = Gaussian(torch.zeros(1, 2)).sample(6, torch.Generator().manual_seed(0)).x
    drawn = noise.sample(6, generator.manual_seed(0))
    torch.testing.assert_close(drawn.x, plain)
    assert drawn.condition is None
    assert set((drawn.condition_features[:, 0] / 3**0.5).sign().tolist()) <= {-1.0, 1.0}


def test_conditions_are_drawn_apart_from_the_noise(points, generator):
    drawn = with_costs(points, 1.0)[0].sample(20_000, generator)
    both = torch.corrcoef(drawn.cost_features.T)
    assert both[:2, 2].abs().max() < 0.03
    assert drawn.condition_features.mean().abs() < 0.03


def test_without_a_weight_the_coupling_is_that_of_points_alone(points):
    noise, target = with_costs(points, 0.0)
    seeds = [torch.Generator().manual_seed(1) for _ in range(2)]
    free = semidiscrete(noise, target, seeds[0])
    alone = semidiscrete(Gaussian(torch.zeros(1, 2)), points, seeds[1])
    x = torch.randn((4000, 2), generator=seeds[0])
    chosen = free.potentials.assign(torch.cat([x, torch.zeros(4000, 1)], dim=1))
    assert (chosen == alone.potentials.assign(x)).float().mean() > 0.9


def test_a_large_weight_pairs_equal_conditions_only(points, generator):
    noise, target = with_costs(points, 300.0)
    coupling = semidiscrete(noise, target, generator)
    source = noise.sample(3000, generator)
    z = target.stored.condition[coupling.potentials.draw(source.cost_features, generator)]
    assert (z.sign() == source.condition_features.sign()).all()


def test_inside_a_condition_a_large_weight_is_transport_to_its_points(points, generator):
    """As with classes: noise goes to the points of one condition as if there were no others."""
    noise, target = with_costs(points, 300.0)
    coupling = semidiscrete(noise, target, generator)
    mine = points[torch.arange(0, 60, 2)]
    apart = semidiscrete(Gaussian(torch.zeros(1, 2)), mine, generator)
    x = torch.randn((4000, 2), generator=generator)
    z = torch.full((4000, 1), -(300.0**0.5))
    together = coupling.potentials.assign(torch.cat([x, z], dim=1))
    assert (together % 2 == 0).all()
    assert (together // 2 == apart.potentials.assign(x)).float().mean() > 0.85


@pytest.mark.parametrize("weight", [0.0, 1.0, 300.0])
def test_pairs_have_the_conditions_of_their_targets(weight, points, generator):
    noise, target = with_costs(points, weight)
    for coupling in (
        semidiscrete(noise, target, generator),
        MinibatchCoupling(noise, target, SPAN, 16),
        IndependentCoupling(noise, target, SPAN),
    ):
        pairs = coupling.sample(200, generator)
        rows = torch.cdist(pairs.x1, points.stored.x).argmin(dim=1)
        torch.testing.assert_close(pairs.c1, points.stored.condition[rows])
        torch.testing.assert_close(pairs.c0, pairs.c1)


def test_the_more_conditions_weigh_the_less_noise_tells_of_them(points, generator):
    """Points that lie where their condition says: transport alone gives each side of the noise."""
    z = points.stored.condition
    sided = Population.of(points.stored.x * 0.3 + z * torch.tensor([[2.0, 0.0]]), condition=z)
    told = []
    for weight in (0.0, 1.0, 300.0):
        noise, target = with_costs(sided, weight)
        pairs = semidiscrete(noise, target, generator).sample(4000, generator)
        told.append(float(torch.corrcoef(torch.stack([pairs.x0[:, 0], pairs.c1[:, 0]]))[0, 1]))
    assert told[0] > 0.7
    assert told[0] > told[1] > told[2]
    assert abs(told[2]) < 0.06


def test_a_reading_comes_first_and_devices_are_kept_to(points, generator):
    def doubled(rows, generator):
        return Batch(2 * rows.x, condition=rows.condition)

    target = Population(points.stored, transform=ConditionCosts(4.0, doubled))
    cells = target.cells
    torch.testing.assert_close(cells.x, 2 * points.stored.x)
    torch.testing.assert_close(cells.cost_features, torch.cat([cells.x, 2 * cells.condition], 1))
    noise = with_costs(points, 4.0)[0].to("cpu")
    assert isinstance(noise, ConditionedNoise)
    assert noise.weight == 4.0


def test_the_balanced_weight_lets_the_nearest_condition_cost_the_best_gain():
    x = torch.tensor([[0.0], [2.0], [4.0]])
    z = torch.tensor([[0.0], [1.0], [3.0]])
    spread, nearest = (8 / 3) ** 0.5, (1 + 1 + 4) / 3
    expected = spread * math.sqrt(2 * math.log(3)) / nearest
    assert balanced_weight(Population.of(x, condition=z)) == pytest.approx(expected, rel=1e-5)


def test_the_balanced_weight_is_in_the_units_of_both(generator):
    x, z = torch.randn((2, 3000, 4), generator=generator)
    one, other = (
        balanced_weight(Population.of(a * x, condition=b * z)) for a, b in ((1, 1), (3, 2))
    )
    assert other == pytest.approx(one * 3 / 4, rel=1e-3)


@pytest.mark.parametrize("n", [1, 5])
def test_where_nothing_differs_the_weight_is_one(n):
    same = Population.of(torch.ones(n, 2), condition=torch.ones(n, 1))
    assert balanced_weight(same) == 1.0
