"""The energy of bent paths: in units of straight ones, and what minimising it does."""

import math
from copy import deepcopy

import pytest
import torch

import cellflow as cf
from cellflow._batch import Batch, Pairs
from cellflow._errors import InputError
from cellflow.couplings import MinibatchCoupling
from cellflow.marginals import Population
from cellflow.nets import GeopathNet
from cellflow.objectives.metric_energy import MetricEnergy
from cellflow.paths.land import LandMetric
from cellflow.paths.metric_path import MetricPath
from cellflow.paths.riemannian import IntervalMetrics, RBFMetric
from cellflow.training import EarlyStopping, Trainer
from cellflow.training.devices import cpu_threads
from tests.seeds import seeded


def flat(x, t0):
    """The Euclidean metric."""
    return torch.ones_like(x)


def random_pairs(generator, n=400, length=2.0):
    ends = torch.randn((2, n, 3), generator=generator, dtype=torch.float64)
    return Pairs.over((1.0, 1.0 + length), Batch(ends[0]), Batch(ends[1] + 2))


def value(energy, net, pairs, generator):
    with torch.no_grad():
        return float(energy.loss(net, pairs, generator))


def straight_net():
    return GeopathNet(3, width=8, depth=1, generator=seeded()).double()


def bent_net(seed=0):
    net = straight_net()
    torch.nn.init.normal_(net.mlp.last.weight, generator=seeded(seed))
    return net


def land(generator, dtype=torch.float64):
    samples = torch.randn((50, 3), generator=generator, dtype=dtype) + 1
    return IntervalMetrics(torch.tensor([1.0], dtype=dtype), [LandMetric(samples, 0.5, rho=0.1)])


def test_straight_paths_have_energy_one(generator):
    metric, pairs = land(generator), random_pairs(generator, 20_000)
    energy = MetricEnergy.relative(metric, 0.1, pairs, seeded(1))
    assert value(energy, straight_net(), pairs, seeded(1)) == pytest.approx(1)
    others = random_pairs(generator, 20_000)
    assert value(energy, straight_net(), others, generator) == pytest.approx(1, abs=0.05)


def test_without_curvature_the_energy_is_the_squared_speed(generator):
    pairs = random_pairs(generator)
    expected = float(((pairs.x1 - pairs.x0) / 2).square().sum(dim=1).mean())
    assert value(MetricEnergy(flat), straight_net(), pairs, generator) == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(5))
def test_without_curvature_no_bend_has_less_energy(seed):
    pairs = random_pairs(seeded(seed), 4000)
    energy = MetricEnergy.relative(flat, 0.0, pairs, seeded(seed))
    assert value(energy, bent_net(seed), pairs, seeded(seed)) > 1


def test_dimensions_count_by_their_metric(generator):
    pairs = random_pairs(generator)
    weights = torch.tensor([1.0, 10.0, 100.0], dtype=torch.float64)
    energy = MetricEnergy(lambda x, t0: weights.expand_as(x))
    speeds = ((pairs.x1 - pairs.x0) / 2).square().mean(dim=0)
    expected = pytest.approx(float(weights @ speeds))
    assert value(energy, straight_net(), pairs, generator) == expected


def test_the_metric_is_asked_for_the_interval_that_starts_with_each_pair(generator):
    pairs = random_pairs(generator)
    pairs = Pairs(pairs.x0, pairs.x1, pairs.t0 + torch.arange(len(pairs)), pairs.t1 + len(pairs))
    energy = MetricEnergy(lambda x, t0: t0[:, None].expand_as(x))
    way = (pairs.x1 - pairs.x0) / (pairs.t1 - pairs.t0)[:, None]
    expected = pytest.approx(float((pairs.t0 * way.square().sum(dim=1)).mean()))
    assert value(energy, straight_net(), pairs, generator) == expected


def test_rows_count_by_their_mass(generator):
    pairs = random_pairs(generator)
    mass = 1 + torch.rand(len(pairs), generator=generator, dtype=torch.float64)
    heavy = Pairs(**{**pairs.columns(), "m0": mass, "m1": mass})
    speeds = ((pairs.x1 - pairs.x0) / 2).square().sum(dim=1)
    expected = pytest.approx(float((mass * speeds).mean()))
    assert value(MetricEnergy(flat), straight_net(), heavy, generator) == expected


def test_the_net_that_is_handed_over_counts_and_its_copies_on_their_own(generator):
    pairs, energy = random_pairs(generator), MetricEnergy(flat)
    net = straight_net()
    copy = deepcopy(net)
    before = value(energy, copy, pairs, seeded())
    torch.nn.init.ones_(net.mlp.last.bias)
    assert value(energy, copy, pairs, seeded()) == before
    assert value(energy, net, pairs, seeded()) > before


def test_gradients_reach_all_weights(generator):
    net = bent_net()
    MetricEnergy(land(generator)).loss(net, random_pairs(generator), generator).backward()
    assert all(float(weights.grad.abs().sum()) > 0 for weights in net.parameters())


@pytest.mark.parametrize("scale", [0.01, 7.0, 1000.0])
def test_the_relative_energy_has_no_units(scale):
    """With lengths, noise and the kernel in one unit, the loss is the same in any other."""

    def loss(unit):
        generator = seeded()
        pairs = random_pairs(generator)
        pairs = Pairs(pairs.x0 * unit, pairs.x1 * unit, pairs.t0, pairs.t1)
        samples = unit * torch.randn((50, 3), generator=generator, dtype=torch.float64)
        local = LandMetric(samples, 0.5 * unit, rho=0.1 * unit**2)
        metric = IntervalMetrics(torch.tensor([1.0]).double(), [local])
        net = bent_net()
        net.standardise(samples)
        energy = MetricEnergy.relative(metric, 0.1 * unit, pairs, generator)
        return value(energy, net, pairs, generator)

    assert loss(scale) == pytest.approx(loss(1.0), rel=1e-3)


def test_energies_are_as_precise_where_other_nets_compute_in_brain_floats(generator):
    metric, net = land(generator, torch.float32), bent_net().float()
    pairs = random_pairs(generator)
    single = Pairs(**{name: column.float() for name, column in pairs.columns().items()})
    plain = value(MetricEnergy(metric), net, single, seeded(1))
    with torch.autocast("cpu", torch.bfloat16):
        assert value(MetricEnergy(metric), net, single, seeded(1)) == plain


def arc(start, stop, generator, n=300):
    angle = math.pi * (start + (stop - start) * torch.rand(n, generator=generator))
    points = torch.stack([angle.cos(), angle.sin()], dim=1)
    return points + 0.05 * torch.randn((n, 2), generator=generator)


@pytest.mark.parametrize("kind", ["land", "rbf"])
def test_paths_learn_to_follow_an_arc_of_cells(kind, generator):
    """Chords of the arc cross the void; the trained paths stay where cells are."""
    source, target = arc(0, 0.55, generator), arc(0.45, 1, generator)
    metric = (
        LandMetric.between(source, target, 0.2)
        if kind == "land"
        else RBFMetric.fit(
            torch.cat([source, target]), generator, n_centres=20, contrast=50.0, alpha=2.0
        )
    )
    coupling = MinibatchCoupling(Population.of(source), Population.of(target), batch_size=64)
    pairs = coupling.sample(2048, generator)
    energy = MetricEnergy.relative(
        IntervalMetrics(torch.zeros(1), [metric]), 0.02, pairs, generator
    )
    net = GeopathNet(2, width=32, depth=2, generator=generator)
    net.standardise(torch.cat([source, target]))
    recipe = cf.recipe("default", n_steps=100, batch_size=128, learning_rate=1e-2, clip=1.0)
    with cpu_threads(1):
        early_stopping = EarlyStopping(coupling, generator.device, patience=None)
        trained = Trainer(
            net, coupling, energy, recipe, generator, callbacks=[early_stopping]
        ).run()
    assert value(energy, trained, pairs, generator) < 0.5
    path = MetricPath(trained.requires_grad_(requires_grad=False), sigma=0)
    radius = path.sample(pairs, pairs.t0 + 0.5, generator).x.norm(dim=1)
    chord = ((pairs.x0 + pairs.x1) / 2).norm(dim=1)
    assert float((radius - 1).abs().mean()) < 0.5 * float((chord - 1).abs().mean())


def test_points_that_do_not_move_have_no_energy_to_compare_with(generator):
    still = Batch(torch.zeros((5, 2)))
    with pytest.raises(InputError, match="must be positive and finite, got 0"):
        MetricEnergy.relative(flat, 0.0, Pairs.over((0.0, 1.0), still, still), generator)


def test_a_metric_that_is_infinite_is_refused(generator):
    with pytest.raises(InputError, match="finite, got inf"):
        MetricEnergy.relative(lambda x, t0: x / 0.0, 0.0, _moving(), generator)


def _moving():
    return Pairs.over((0.0, 1.0), Batch(torch.ones((5, 2))), Batch(2 * torch.ones((5, 2))))
