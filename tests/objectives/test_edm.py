"""Denoising at log-normal levels of noise, against what the best denoiser leaves."""

import math

import pytest
import torch
from torch import nn

from cellflow import method, recipe
from cellflow._batch import Batch, Pairs
from cellflow.couplings import IndependentCoupling
from cellflow.marginals import Gaussian, Marginals, Population
from cellflow.nets import Fields, Preconditioning
from cellflow.objectives import EDM
from cellflow.paths import StraightPath
from cellflow.training import Trainer
from cellflow.training.builders import OBJECTIVE_BUILDERS
from cellflow.training.context import Fit
from tests.seeds import seeded


class Best(nn.Module):
    """Velocity of the best denoiser of data N(0, spread^2), with a factor on what it denoises."""

    def __init__(self, spread=0.5, factor=1.0):
        super().__init__()
        self.spread, self.factor = spread, factor

    def forward(self, t, x, condition=None):
        t = t[:, None]
        sigma = (1 - t) / t
        denoised = x / t * self.spread**2 / (self.spread**2 + sigma**2)
        return (self.factor * denoised - x) / (1 - t)


def pairs_of(n=4000, spread=0.5, interval=(0.0, 1.0)):
    noise, data = torch.randn((2, n, 3), generator=seeded(1), dtype=torch.float64)
    return Pairs.over(interval, Batch(noise), Batch(spread * data))


@pytest.mark.parametrize("spread", [0.5, 2.0])
def test_the_best_denoiser_of_gaussian_data_leaves_one_at_every_level(spread):
    """The posterior variance is sigma^2 sigma_d^2 / (sigma^2 + sigma_d^2), one over lambda."""
    for p_mean, p_std in ((-1.2, 1.2), (2.0, 0.1), (-4.0, 0.1)):
        objective = EDM(StraightPath(0.0), p_mean, p_std, spread)
        pairs = pairs_of(20_000, spread)
        best = objective.loss(Fields({"velocity": Best(spread)}), pairs, seeded())
        assert float(best) == pytest.approx(1, abs=0.03)
        worse = objective.loss(Fields({"velocity": Best(spread, 0.8)}), pairs, seeded())
        assert worse > best


def test_the_loss_is_that_of_the_denoised_data():
    """lambda |D - y|^2 with D = x + (1 - t) v, by hand at the same levels."""
    objective, pairs, net = EDM(StraightPath(0.0)), pairs_of(50), Best(factor=0.3)
    sigma = objective.levels(pairs.t0, seeded(5))
    t = 1 / (1 + sigma)
    x = pairs.x1 + sigma[:, None] * pairs.x0
    denoised = x * t[:, None] + (1 - t)[:, None] * net(t, x * t[:, None])
    weight = Preconditioning.of(sigma, 0.5).weight
    expected = (weight * (denoised - pairs.x1).square().mean(dim=1)).mean()
    found = objective.loss(Fields({"velocity": net}), pairs, seeded(5))
    torch.testing.assert_close(found, expected)


def test_the_length_of_the_interval_changes_nothing():
    """Twice the time at half the speed denoises as well."""

    class Slow(Best):
        def forward(self, t, x, condition=None):
            return super().forward((t - 1) / 2, x, condition) / 2

    objective = EDM(StraightPath(0.0))
    fast = objective.loss(Fields({"velocity": Best()}), pairs_of(), seeded())
    slow = objective.loss(Fields({"velocity": Slow()}), pairs_of(interval=(1.0, 3.0)), seeded())
    torch.testing.assert_close(fast, slow)


def test_levels_are_log_normal():
    levels = EDM(StraightPath(0.0), p_mean=-0.7, p_std=1.5).levels(torch.zeros(40_000), seeded())
    assert float(levels.log().mean()) == pytest.approx(-0.7, abs=0.03)
    assert float(levels.log().std()) == pytest.approx(1.5, abs=0.03)
    median = float(levels.median())
    assert median == pytest.approx(math.exp(-0.7), rel=0.04)


def test_a_fit_weighs_levels_by_the_spread_of_its_points():
    """Where nets have no scale of their own, the best denoiser leaves one at the fit's levels."""
    chosen = method("edm", p_mean=1.0, p_std=0.2)
    ends = Marginals((0.0, 1.0), (Gaussian(torch.zeros(1, 3)), Population.of(torch.zeros(2, 3))))
    fit = Fit(ends, chosen, recipe("default"), torch.zeros(3), 2.0, seeded())
    objective = OBJECTIVE_BUILDERS["edm"](fit, chosen.objective, StraightPath(0.0))
    best = objective.loss(Fields({"velocity": Best(2.0)}), pairs_of(20_000, 2.0), seeded())
    assert float(best) == pytest.approx(1, abs=0.03)
    logs = objective.levels(torch.zeros(9000), seeded()).log()
    assert float(logs.mean()) == pytest.approx(1, abs=0.01)
    assert float(logs.std()) == pytest.approx(0.2, abs=0.01)


def test_levels_say_nothing_of_who_is_paired_with_whom():
    """Drawn from the generator of times alone: other pairs, the same levels."""
    objective = EDM(StraightPath(0.0))
    seen = []

    class Spy(Best):
        def forward(self, t, x, condition=None):
            seen.append(t)
            return super().forward(t, x)

    pairs = pairs_of(20)
    for each in (pairs, pairs[torch.arange(19, -1, -1)]):
        objective.loss(Fields({"velocity": Spy()}), each, seeded(3))
    assert torch.equal(*seen)


def test_covariates_reach_the_net():
    noise, data = torch.randn((2, 6, 2), generator=seeded())
    condition = torch.eye(6)
    seen = []

    class Spy(Best):
        def forward(self, t, x, condition=None):
            seen.append(condition)
            return super().forward(t, x)

    pairs = Pairs.over((0.0, 1.0), Batch(noise), Batch(data, condition=condition))
    EDM(StraightPath(0.0)).loss(Fields({"velocity": Spy()}), pairs, seeded())
    torch.testing.assert_close(seen[0], condition)


def test_a_small_net_learns_the_best_denoiser_of_gaussian_data():
    """Data N(m, 0.5^2) in the plane: D = m + (x - m) 0.25 / (0.25 + sigma^2)."""
    mean = torch.tensor([[0.6, -0.4]])
    coupling = IndependentCoupling(Gaussian(torch.zeros(1, 2)), Gaussian(mean, 0.5))
    net = Fields.make(("velocity",), (2,), width=48, depth=2, activation="silu",
                      time_features=4, generator=seeded())  # fmt: skip
    numbers = recipe(
        "default", n_steps=1200, batch_size=512, learning_rate=5e-3, ema_decay=0.99,
        standardise=False,
    )  # fmt: skip
    trained = Trainer(net, coupling, EDM(StraightPath(0.0)), numbers, seeded(2)).run()
    for sigma in (0.05, 0.3, 1.0, 3.0):
        x = mean + (0.25 + sigma**2) ** 0.5 * torch.randn((2000, 2), generator=seeded(4))
        t = torch.full((2000,), 1 / (1 + sigma))
        with torch.no_grad():
            found = t[:, None] * x + (1 - t[:, None]) * trained.velocity(t, t[:, None] * x)
        best = mean + (x - mean) * 0.25 / (0.25 + sigma**2)
        error = float((found - best).square().mean().sqrt())
        # In units of what even the best denoiser leaves.
        assert error < 0.15 * sigma * 0.5 / (0.25 + sigma**2) ** 0.5, sigma
