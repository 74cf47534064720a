"""A fit that is worse than cells that stand still says so, and one that is not finite is none."""

import re
from dataclasses import replace

import pytest
import torch

from cellflow import CellflowWarning, DivergenceError, method, recipe
from cellflow._batch import Pairs
from cellflow.couplings import Coupling
from cellflow.flow import FitRecord, Flow, describe_misfit
from cellflow.marginals import TimeAxis
from cellflow.nets import Fields
from cellflow.paths import PathSample
from cellflow.training import fit_flow
from cellflow.training.relative_errors import relative_errors
from tests.training.test_every_method import moving
from tests.trainings import Plain, net, settings, trained

AXIS = TimeAxis("index", (0.0, 1.0, 2.0, 3.0))
CPU = torch.device("cpu")


class Ones(Coupling):
    """Pairs of ones, at times 0 and 1."""

    def sample(self, n, generator):
        ones = torch.ones((n, 2))
        return Pairs(ones, ones, torch.zeros(n), torch.ones(n))


class Known:
    """Velocity 2, noise 1 with ratio 3, growth 0.5; late times have others and no weight."""

    def sample(self, pairs, t, generator):
        ones, rows = torch.ones_like(pairs.x0), torch.ones_like(t)
        late = (t > 0.5).float()
        u = (2 + 1000 * late[:, None]) * ones
        return PathSample(ones, u, ones, 3 * rows, (0.5 + 1000 * late) * rows, 1 - late)


class Constant(Fields):
    def __init__(self, **values):
        super().__init__(dict(Fields.make(tuple(values), (2,), width=4, depth=1).nets.items()))
        self.values = values

    def velocity(self, t, x, condition=None):
        return self.values["velocity"] * torch.ones_like(x)

    def score(self, t, x, condition=None):
        return self.values["score"] * torch.ones_like(x)

    def growth(self, t, x, condition=None):
        return self.values["growth"] * torch.ones_like(t)


@pytest.mark.parametrize("accumulate", [1, 3])
def test_errors_are_relative_to_those_of_zeros(accumulate):
    """(3 - 2)^2 / 2^2, (3 s + 1)^2 / 1 and (1.5 - .5)^2 / .5^2, but for .1^2 in the divisors."""
    nets = Constant(velocity=3.0, score=1.0, growth=1.5)
    numbers = recipe("default", batch_size=8, accumulate=accumulate)
    found = relative_errors(nets, Ones(), Known(), numbers, CPU)
    wanted = {"velocity": 1 / 4.01, "score": 16 / 1.01, "growth": 1 / 0.26}
    assert found == pytest.approx(wanted)
    still = relative_errors(Constant(velocity=0.0), Ones(), Known(), numbers, CPU)
    assert still == pytest.approx({"velocity": 4 / 4.01})


def test_fields_that_are_not_finite_are_no_fit():
    nets = Constant(velocity=float("inf"))
    with pytest.raises(DivergenceError, match="the fitted velocity is not finite, learning rate"):
        relative_errors(nets, Ones(), Known(), recipe("default", batch_size=8), CPU)


def test_a_tenth_of_the_unit_is_tolerated_where_targets_are_zero():
    """.05^2 over .1^2; the unit of a velocity is the scale of the net, here 3."""

    class Still(Known):
        def sample(self, pairs, t, generator):
            sample = super().sample(pairs, t, generator)
            return replace(sample, u=0 * sample.u, growth=0 * sample.growth, weight=None)

    nets, numbers = Constant(velocity=0.15, growth=0.05), recipe("default", batch_size=8)
    nets.nets["velocity"].scale.fill_(3.0)
    found = relative_errors(nets, Ones(), Still(), numbers, CPU)
    assert found == pytest.approx({"velocity": 0.25, "growth": 0.25})


@pytest.mark.parametrize("name", ["default", "sf2m", "i-cfm", "wfr-fm"])
def test_a_diverged_fit_says_so_when_it_ends_and_when_it_is_read(name, tmp_path):
    short = recipe("default", n_steps=60, learning_rate=1.0, net={"width": 32})
    numbers = {"method": method(name), "seed": 0, "device": CPU}
    with pytest.warns(CellflowWarning, match="worse than cells that stand still: .* velocity"):
        flow = fit_flow(moving(), AXIS, recipe=short, **numbers)
    flow.save(tmp_path / "flow")
    with pytest.warns(CellflowWarning, match=re.escape(describe_misfit(flow.record, flow.recipe))):
        assert Flow.load(tmp_path / "flow").record == flow.record
    # A fit of two steps is a bad one, but did not diverge; warnings are errors here.
    fit_flow(moving(), AXIS, recipe=recipe("default", n_steps=2, net={"width": 32}), **numbers)


def test_what_a_misfit_says():
    record = FitRecord(relative_errors={"velocity": 0.6, "growth": 123.4})
    wanted = r"those of zero, growth 123 times; do not use .* learning_rate \(it was 0.002\), clip"
    assert re.search(wanted, describe_misfit(record, recipe("default")))
    assert describe_misfit(FitRecord(relative_errors={"score": 1.05}), recipe("default")) is None


@pytest.mark.parametrize(("n_steps", "is_worse"), [(50, True), (49, False)])
def test_short_fits_are_not_judged(n_steps, is_worse):
    record = FitRecord(relative_errors={"velocity": 1.2})
    assert bool(describe_misfit(record, recipe("default", n_steps=n_steps))) == is_worse


def test_weights_that_are_not_finite_after_the_last_step_are_no_fit():
    """A step of 1e38 times the learning rate 10 leaves float32, after the last loss was read."""

    class Steep(Plain):
        def loss(self, net, pairs, generator):
            return net.velocity(pairs.t0, pairs.x0).square().mean()

    with pytest.raises(DivergenceError, match=r"weights are not finite after step 1, "):
        trained(net(), objective=Steep(), n_steps=1, learning_rate=1e39, ema_decay=0.0)
    assert settings().n_steps == 17
