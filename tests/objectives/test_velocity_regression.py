"""Regression on velocities, scores and growth rates, against what the best nets would leave."""

import pytest
import torch
from torch import nn

from cellflow import method, recipe
from cellflow._batch import Batch, Pairs
from cellflow.couplings import IndependentCoupling
from cellflow.marginals import Gaussian, Marginals, Population
from cellflow.nets import Fields
from cellflow.objectives import VelocityRegression, condition_at, uniform_times
from cellflow.paths import BridgePath, PathSample, StraightPath
from cellflow.training.builders import OBJECTIVE_BUILDERS
from cellflow.training.context import Fit
from tests.seeds import seeded

ENDS = (Population.of(torch.zeros(2, 2)),) * 2


class Fixed(nn.Module):
    """A net that gives one number everywhere."""

    def __init__(self, value, width=2):
        super().__init__()
        self.value, self.width = value, width

    def forward(self, t, x, condition=None):
        return torch.full((len(t), self.width), self.value, dtype=x.dtype)


def pairs_of(rate=None, n=400):
    """Everything moves by (2, 2) in two units of time."""
    x0 = torch.zeros((n, 2), dtype=torch.float64)
    return Pairs.over((1.0, 3.0), Batch(x0, rate=rate), Batch(x0 + 2))


def made(name, path, **weights):
    """The objective of a fit with these weights."""
    preset = {"growth": "default", "velocity-score": "sf2m"}[name]
    chosen = method(preset, **weights)
    fit = Fit(Marginals((0.0, 1.0), ENDS), chosen, recipe("default"), torch.zeros(2), 1.0, seeded())
    return OBJECTIVE_BUILDERS[name](fit, chosen.objective, path)


def test_the_right_velocity_leaves_nothing(generator):
    objective = VelocityRegression(StraightPath(0.1))
    right, wrong = (
        objective.loss(Fields({"velocity": Fixed(value)}), pairs_of(), generator)
        for value in (1.0, 1.5)
    )
    assert float(right) == 0
    assert float(wrong) == pytest.approx(0.25)


def test_a_net_that_says_nothing_yet_leaves_the_noise_and_the_data(generator):
    """For independent pairs it is 1 + E x1^2 per dimension."""
    data = torch.rand((500, 2), generator=generator, dtype=torch.float64) * 2 - 1
    noise = Gaussian(torch.zeros(1, 2, dtype=torch.float64))
    pairs = IndependentCoupling(noise, Population.of(data)).sample(20_000, generator)
    loss = VelocityRegression(StraightPath(0.0)).loss(
        Fields({"velocity": Fixed(0.0)}), pairs, generator
    )
    assert float(loss) == pytest.approx(1 + float(data.square().mean()), abs=0.03)


def test_a_score_adds_its_error_where_there_is_a_net_for_it(generator):
    """A score of zero leaves the variance of the noise, which is one."""
    net = {"velocity": Fixed(1.0)}
    path = BridgePath(0.5)

    def loss(nets, weight=1.0):
        g = torch.Generator().manual_seed(2)
        return float(made("velocity-score", path, score_weight=weight).loss(Fields(nets), PAIRS, g))

    PAIRS = pairs_of(n=20_000)
    extra = loss({**net, "score": Fixed(0.0)}) - loss(net)
    assert extra == pytest.approx(1, abs=0.02)
    double = loss({**net, "score": Fixed(0.0)}, weight=2.0) - loss(net)
    assert double == pytest.approx(2 * extra)


def test_growth_is_learned_and_rows_count_by_their_mass(generator):
    """Rates 0 and 1: a net that says 1 errs on the first rows, which weigh 1 throughout."""
    rate = torch.cat([torch.zeros(200), torch.ones(200)]).double()
    nets = {"velocity": Fixed(1.0), "growth": Fixed(1.0, width=1)}
    objective = VelocityRegression(StraightPath(0.0))
    loss = objective.loss(Fields(nets), pairs_of(rate), generator)
    assert float(loss) == pytest.approx(0.5)
    double = made("growth", StraightPath(0.0), growth_weight=2.0)
    assert float(double.loss(Fields(nets), pairs_of(rate), generator)) == pytest.approx(1)
    nets["growth"] = Fixed(0.0, width=1)
    # The others weigh exp(t - 3), a mean of (1 - e^-2) / 2 over the interval.
    loss = objective.loss(Fields(nets), pairs_of(rate), generator)
    assert float(loss) == pytest.approx(0.5 * 0.4323, abs=0.03)


def test_a_score_cannot_be_learned_where_the_path_has_no_noise(generator):
    nets = Fields({"velocity": Fixed(1.0), "score": Fixed(0.0)})
    with pytest.raises(TypeError, match="requires a path with noise"):
        VelocityRegression(StraightPath(0.1)).loss(nets, pairs_of(), generator)


def test_where_nets_compute_in_brain_floats_paths_do_not(generator):
    x0, x1 = torch.randn((2, 50, 3), generator=generator)
    pairs = Pairs(x0, x1, torch.zeros(50), torch.ones(50))
    seen = []

    class Product:
        """A path with a matrix product, which autocast would round."""

        def sample(self, pairs, t, generator):
            x = pairs.x0 @ pairs.x1.T @ pairs.x1
            return PathSample(x, x)

    class Spy(Fixed):
        def forward(self, t, x, condition=None):
            seen.append(x)
            return super().forward(t, x)

    for brief in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=brief):
            net = Fields({"velocity": Spy(1.0, width=3)})
            VelocityRegression(Product()).loss(net, pairs, torch.Generator().manual_seed(1))
    assert torch.equal(*seen)


def test_times_are_uniform_over_each_interval(generator):
    t = uniform_times(pairs_of(n=20_000), generator)
    assert 1 <= float(t.min()) <= float(t.max()) <= 3
    assert float(t.mean()) == pytest.approx(2, abs=0.02)
    assert float(t.var()) == pytest.approx(4 / 12, abs=0.02)


def test_covariates_go_from_those_of_the_source_to_those_of_the_target():
    ends = (Batch(torch.zeros(1, 2), condition=torch.tensor([[k, 1.0]])) for k in (0.0, 4.0))
    pairs = Pairs.over((0.0, 2.0), *ends)
    assert condition_at(pairs, torch.tensor([0.5])).tolist() == [[1.0, 1.0]]
    assert condition_at(pairs_of(), pairs_of().t0) is None


def test_without_a_growth_net_or_without_rates_the_loss_is_that_of_the_velocity(generator):
    rate = torch.ones(400, dtype=torch.float64)
    nets = {"velocity": Fixed(1.5)}
    objective = VelocityRegression(StraightPath(0.0))
    # Rows weigh exp(t - 3), a mean of (1 - e^-2) / 2 over the interval.
    loss = objective.loss(Fields(nets), pairs_of(rate), generator)
    assert float(loss) == pytest.approx(0.25 * 0.4323, abs=0.01)
    nets["growth"] = Fixed(1.0, width=1)
    assert float(objective.loss(Fields(nets), pairs_of(), generator)) == pytest.approx(0.25)
