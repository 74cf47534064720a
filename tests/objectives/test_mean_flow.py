"""Mean flows against average velocities that are known."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from cellflow import InputError, method, recipe
from cellflow._batch import Pairs
from cellflow.couplings import IndependentCoupling
from cellflow.flow import Flow
from cellflow.marginals import Gaussian, Marginals, Population, TimeAxis
from cellflow.nets import Fields
from cellflow.objectives import (
    Guidance,
    LogitNormal,
    MeanFlow,
    VelocityRegression,
    uniform_times,
)
from cellflow.paths import PathSample, StraightPath
from cellflow.training import Trainer, fit_flow
from cellflow.training.builders import OBJECTIVE_BUILDERS
from cellflow.training.context import Fit
from tests.seeds import seeded


def spread(t, s):
    """Standard deviation between N(0, 1) at t = 0 and N(0, s^2) at t = 1, coupled independently."""
    return ((1 - t) ** 2 + t**2 * s**2) ** 0.5


def average(t, r, x, s):
    """Average velocity from t, where the points are at x, to r."""
    return x * (spread(r, s) / spread(t, s) - 1) / (r - t)


def velocity(t, x, s):
    """Velocity of the points at x."""
    return x * (t * s**2 - (1 - t)) / spread(t, s) ** 2


class Net(nn.Module):
    """A net that is the closed form, with one free number, the last standard deviation."""

    def __init__(self, s):
        super().__init__()
        self.log_s = nn.Parameter(torch.tensor(math.log(s), dtype=torch.float64))

    def forward(self, t, x, condition):
        # Where r meets t the average is the velocity.
        t, s, meet = t[:, None], self.log_s.exp(), condition.abs() < 1e-6
        apart = average(t, t + torch.where(meet, 1.0, condition), x, s)
        return torch.where(meet, velocity(t, x, s), apart)


def fields(s):
    return Fields({"average": Net(s)})


class Known(Fields):
    """The closed form as the fields of a flow, with their number of covariates."""

    condition_dim = 0
    units = torch.zeros(1), 1.0

    def __init__(self):
        super().__init__({"average": Net(0.5)})


def test_fields_give_the_average_of_the_specification():
    """Noise at 1 and data at 0 there: t = .9 from noise is t = .1 here, and signs turn."""
    t, r, x = (torch.tensor([each], dtype=torch.float64) for each in (0.1, 0.8, 1.3))
    found = fields(0.5).average(t, r, x[:, None]).detach()
    assert float(-found) == pytest.approx(0.935742, abs=1e-6)


class Marginal:
    """A path whose velocity is the marginal one, so that the best net leaves nothing."""

    def sample(self, pairs, t, generator):
        t = t[:, None]
        x = (1 - t) * pairs.x0 + t * pairs.x1
        return PathSample(x, velocity(t, x, 0.5))


@pytest.mark.parametrize("own_tangent", [False, True])
def test_the_closed_form_leaves_nothing_of_the_identity_that_is_regressed_on(
    own_tangent, generator
):
    """u = v + (r - t) du/dt with the marginal velocity v, for r before and after t."""
    ends = [Gaussian(torch.zeros(1, 1, dtype=torch.float64), scale) for scale in (1.0, 0.5)]
    pairs = IndependentCoupling(*ends).sample(500, generator)
    objective = MeanFlow(Marginal(), anchored=0.0, power=0.0, own_tangent=own_tangent)
    assert float(objective.loss(fields(0.5), pairs, generator).detach()) < 1e-7
    assert float(objective.loss(fields(0.6), pairs, generator).detach()) > 1e-3


@pytest.mark.parametrize(
    ("own_tangent", "factor"), [(False, lambda t, r: spread(r, 0.5) / spread(t, 0.5)),
                                (True, lambda t, r: torch.ones_like(t))],
)  # fmt: skip
def test_noise_of_pairs_enters_the_target_once_with_the_own_velocity(
    own_tangent, factor, generator
):
    """At the true average the error is that of the pair's velocity, times 1 + (r - t) du/dx if
    du/dt is along it. The variance of x1 - x0 at x_t is (s / sigma_t)^2."""
    n, s = 100_000, 0.5
    ends = [Gaussian(torch.zeros(1, 1, dtype=torch.float64), scale) for scale in (1.0, s)]
    pairs = IndependentCoupling(*ends).sample(n, generator)
    t, r = (torch.rand(n, generator=generator, dtype=torch.float64) for _ in range(2))
    objective = MeanFlow(
        StraightPath(0.0), anchored=0.0, power=0.0, times=lambda *_: t, r_times=lambda *_: r,
        own_tangent=own_tangent,
    )  # fmt: skip
    expected = (factor(t, r) * s / spread(t, s)).square().mean()
    found = float(objective.loss(fields(s), pairs, generator).detach())
    assert found == pytest.approx(float(expected), rel=0.03)
    if own_tangent:
        # The integral of (s / sigma_t)^2 over all times.
        assert found == pytest.approx(math.pi * s / 2, rel=0.03)


def test_all_averages_that_lead_to_one_point_are_the_straight_way_to_it(generator):
    """u = (m - x) / (1 - t) whatever r is, and du/dt is zero along the way."""
    point = torch.tensor([[3.0, -1.0]], dtype=torch.float64)

    class Straight(nn.Module):
        def forward(self, t, x, condition):
            return (point - x) / (1 - t[:, None])

    ends = Gaussian(torch.zeros(1, 2, dtype=torch.float64)), Population.of(point)
    pairs = IndependentCoupling(*ends).sample(50, generator)
    objective = MeanFlow(StraightPath(0.0), anchored=0.0, power=0.0)
    assert float(objective.loss(Fields({"average": Straight()}), pairs, generator)) < 1e-20


@pytest.mark.parametrize("own_tangent", [False, True])
def test_training_finds_the_closed_form_and_one_step_its_spread(own_tangent, generator):
    ends = [Gaussian(torch.zeros(1, 1, dtype=torch.float64), scale) for scale in (1.0, 0.5)]
    net = fields(1.3)
    Trainer(
        net,
        IndependentCoupling(*ends),
        MeanFlow(StraightPath(0.0), power=0.0, own_tangent=own_tangent),
        recipe("default", n_steps=400, learning_rate=0.02, batch_size=1024, ema_decay=0),
        generator,
    ).run()
    assert float(net.nets["average"].log_s.detach().exp()) == pytest.approx(0.5, abs=0.05)
    x = ends[0].sample(20_000, generator).x
    start = torch.zeros(len(x), dtype=torch.float64)
    reached = x + net.average(start, torch.ones_like(start), x).detach()
    assert float(reached.std()) == pytest.approx(0.5, abs=0.05)


def test_where_both_times_agree_it_is_flow_matching(generator):
    """With all rows anchored and no adaptive weight the loss is the sum over dimensions."""
    ends = (Population.of(torch.randn((50, 3), generator=generator)),) * 2
    net = Fields.make(("average",), (3,), width=8, generator=generator)
    pairs = IndependentCoupling(*ends).sample(40, generator)
    mean = MeanFlow(StraightPath(0.0), anchored=1.0, power=0.0)

    def loss(objective):
        return objective.loss(net, pairs, torch.Generator().manual_seed(3))

    expected = 3 * loss(VelocityRegression(StraightPath(0.0)))
    torch.testing.assert_close(loss(mean), expected)


def test_the_regressed_average_and_its_derivative_have_one_dropout_and_one_precision(generator):
    """u = m c t has u = (r - t) du/dt at r = 2 t, whatever the mask m and the number c, if one."""

    class Dropped(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear, self.drop = nn.Linear(1, 64, bias=False), nn.Dropout(0.5)

        def forward(self, t, x, condition):
            return self.drop(self.linear(t[:, None]))

    points = torch.zeros((20, 64))
    pairs = Pairs(points, points, torch.zeros(20), torch.ones(20))
    objective = MeanFlow(
        StraightPath(0.0), anchored=0.0, power=0.0,
        times=lambda pairs, _: pairs.t0 + 0.25, r_times=lambda pairs, _: pairs.t0 + 0.5,
    )  # fmt: skip
    with torch.random.fork_rng([]), torch.autocast("cpu", torch.bfloat16):
        loss = objective.loss(Fields({"average": Dropped()}), pairs, generator)
    assert float(loss.detach()) == 0


def test_every_evaluation_is_in_float32_under_autocast_and_only_one_drops_out(generator):
    """Average with its derivative, own velocity, and both velocities of guidance."""
    calls = []

    class Noted(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(1, 3)

        def forward(self, t, x, condition):
            out = self.linear(t[:, None])
            calls.append((out.dtype, self.training))
            return out

    net = Fields({"average": Noted()}).train()
    points, ones = torch.zeros((20, 3)), torch.ones((20, 1))
    pairs = Pairs(points, points, torch.zeros(20), torch.ones(20), ones, ones)
    objective = MeanFlow(StraightPath(0.0), own_tangent=True, guidance=Guidance(2.0))
    with torch.autocast("cpu", torch.bfloat16):
        loss = objective.loss(net, pairs, generator)
    assert loss.dtype == torch.float32
    assert calls == [*[(torch.float32, False)] * 3, (torch.float32, True)]
    assert net.nets["average"].training


class Aimed(nn.Module):
    """The straight way to one point for each class, with one free number each; zeros are class 0.

    Covariates are the class, one-hot, and the span.
    """

    def __init__(self, *points):
        super().__init__()
        self.points = nn.Parameter(torch.tensor(points, dtype=torch.float64))

    def forward(self, t, x, condition):
        classes = condition[:, :-1]
        which = (classes @ torch.arange(1.0, classes.shape[1] + 1).to(classes)).long()
        return (self.points[which][:, None] - x) / (1 - t[:, None])


def classes_apart(n, generator):
    """Noise with two classes, all of one at -1 and all of the other at 1."""
    which = torch.arange(n) % 2
    target = 2.0 * which.double()[:, None] - 1
    condition = nn.functional.one_hot(which, 2).double()
    source = torch.randn((n, 1), generator=generator, dtype=torch.float64)
    t0 = torch.zeros(n, dtype=torch.float64)
    return Pairs(source, target, t0, t0 + 1, condition, condition)


@pytest.mark.parametrize("own_tangent", [False, True])
@pytest.mark.parametrize("mix", [0.0, 0.3, 0.5])
def test_the_guided_average_leaves_nothing_of_its_identity(mix, own_tangent, generator):
    """3 v(c) - 2 v(0) with v(c) to -1 and 1 and v(0) to 0.25 goes straight to -3.5 and 2.5."""
    pairs = classes_apart(500, generator)
    objective = MeanFlow(
        StraightPath(0.0), anchored=0.0, power=0.0, own_tangent=own_tangent,
        guidance=Guidance(3.0, mix, drop=0.0), times=LogitNormal(0.0, 0.5),
    )  # fmt: skip
    for aims, low, high in (((0.25, -3.5, 2.5), 0, 1e-20), ((0.25, -1.0, 1.0), 0.1, math.inf)):
        net = Fields({"average": Aimed(*aims)})
        assert low <= float(objective.loss(net, pairs, generator).detach()) <= high


def test_training_with_guidance_goes_beyond_each_class(generator):
    """To twice the class less once the mean of all, which the rows without a class learn."""
    points = torch.tensor([[0.0], [2.0]], dtype=torch.float64)
    classes = Population.of(points, condition=torch.eye(2, dtype=torch.float64))
    noise = Gaussian(torch.zeros(1, 1, dtype=torch.float64))
    net = Fields({"average": Aimed(0.0, 0.0, 0.0)})
    objective = MeanFlow(
        StraightPath(0.0), power=0.0, times=LogitNormal(0.0, 0.5), r_times=LogitNormal(0.0, 0.5),
        guidance=Guidance(2.0, drop=0.3), own_tangent=True,
    )  # fmt: skip
    chosen = recipe("default", n_steps=400, learning_rate=0.05, batch_size=256, ema_decay=0)
    Trainer(net, IndependentCoupling(noise, classes), objective, chosen, generator).run()
    aims = net.nets["average"].points.detach()
    torch.testing.assert_close(aims, aims.new_tensor([1.0, -1.0, 3.0]), rtol=0, atol=0.15)


def test_rows_without_a_class_learn_the_velocity_of_their_pair(generator):
    """Flow matching with zeros as covariates, whatever the scale and the share of averages."""
    pairs = classes_apart(300, generator)
    net = Fields({"average": Aimed(0.3, -1.0, 1.0)})
    objective = MeanFlow(
        StraightPath(0.0), anchored=0.0, power=0.0, guidance=Guidance(4.0, drop=1.0),
        times=LogitNormal(0.0, 0.5),
    )  # fmt: skip
    t = LogitNormal(0.0, 0.5)(pairs, torch.Generator().manual_seed(3))
    found = objective.loss(net, pairs, torch.Generator().manual_seed(3))
    expected = ((0.3 - pairs.x1[:, 0]) / (1 - t)).square().mean()
    torch.testing.assert_close(found.detach(), expected)


def fit_guided(condition):
    ends = tuple(Population.of(torch.full((20, 2), k), condition=condition) for k in (0.0, 1.0))
    return fit_flow(
        Marginals((0.0, 1.0), ends), TimeAxis("index", (0.0, 1.0)),
        method=method("mean-flow", guidance_scale=2.0), recipe=recipe("default", n_steps=1),
        seed=0, device=torch.device("cpu"),
    )  # fmt: skip


@pytest.mark.parametrize("condition", [None, torch.zeros(20, 1), torch.rand(20, 1)])
def test_guidance_without_categories_is_refused(condition):
    with pytest.raises(InputError, match=r"guidance_scale .* categories .* leave it at 1"):
        fit_guided(condition)


def test_the_error_of_a_guided_flow_against_pairs_is_not_reported():
    """It does not lead to the data, so it may be worse than zeros without having diverged."""
    flow = fit_guided(torch.eye(2).repeat(10, 1))
    assert flow.record.relative_errors == {}


def test_errors_are_in_units_of_the_data(generator):
    """The closed form is linear in x: ten times the data lose the same in ten times the unit."""
    ends = [Gaussian(torch.zeros(1, 1, dtype=torch.float64), scale) for scale in (1.0, 0.5)]
    pairs = IndependentCoupling(*ends).sample(40, generator)
    larger = replace(pairs, x0=10 * pairs.x0, x1=10 * pairs.x1)
    chosen, losses = method("mean-flow"), []
    for unit, each in ((1.0, pairs), (10.0, larger)):
        marginals = Marginals((0.0, 1.0), (Population.of(each.x0), Population.of(each.x1)))
        fit = Fit(marginals, chosen, recipe("default"), torch.zeros(1), unit, generator)
        objective = OBJECTIVE_BUILDERS["mean-flow"](fit, chosen.objective, StraightPath(0.0))
        losses.append(objective.loss(fields(0.8), each, seeded(3)))
    torch.testing.assert_close(*losses)


def test_adaptive_weight_bounds_the_loss_of_each_row(generator):
    ends = (Population.of(torch.randn((50, 3), generator=generator) * 100),) * 2
    net = Fields.make(("average",), (3,), width=8, generator=generator)
    pairs = IndependentCoupling(*ends).sample(40, generator)
    assert float(MeanFlow(StraightPath(0.0)).loss(net, pairs, generator).detach()) <= 1


def test_the_adaptive_weight_descends_the_logarithm_of_the_error(generator):
    """With power 1 the gradient is that of ln(error + offset)."""
    ends = [Gaussian(torch.zeros(1, 1, dtype=torch.float64), scale) for scale in (1.0, 0.5)]
    pairs, net = IndependentCoupling(*ends).sample(40, generator), fields(1.3)
    objective = MeanFlow(StraightPath(0.0), anchored=1.0, offset=0.1)
    loss = objective.loss(net, pairs, torch.Generator().manual_seed(3))
    t = uniform_times(pairs, torch.Generator().manual_seed(3))
    sample = StraightPath(0.0).sample(pairs, t, generator)
    error = (net.average(t, t, sample.x) - sample.u).square().sum(dim=1)
    wanted = (error + 0.1).log().mean()
    torch.testing.assert_close(
        *(torch.autograd.grad(each, net.parameters()) for each in (loss, wanted))
    )


def test_nets_that_attend_have_a_derivative_in_time(generator):
    """The target of one batch, with du/dt by central differences along the pairs' velocity."""
    net = Fields.make(
        ("average",), (1, 4, 4), kind="unet", channels=4, multipliers=(1,), blocks=1,
        attention=(4,), head_width=4, dropout=0.0,
    ).double()  # fmt: skip
    for weights in net.parameters():
        nn.init.normal_(weights, std=0.2, generator=generator)
    pairs = IndependentCoupling(
        *(Gaussian(torch.full((1, 16), k, dtype=torch.float64)) for k in (0.0, 2.0))
    ).sample(6, generator)
    free = MeanFlow(StraightPath(0.0), anchored=0.0, power=0.0)
    found = free.loss(net, pairs, torch.Generator().manual_seed(5))
    seed = torch.Generator().manual_seed(5)
    t, r = (torch.rand(6, generator=seed, dtype=torch.float64) for _ in range(2))
    v, step = pairs.x1 - pairs.x0, 1e-5

    def u(t):
        return net.average(t, r, pairs.x0 + t[:, None] * v)

    slope = (u(t + step) - u(t - step)) / (2 * step)
    error = u(t) - v - (r - t)[:, None] * slope
    torch.testing.assert_close(found, error.square().sum(dim=1).mean(), rtol=1e-6, atol=0)
    assert float(slope.detach().abs().mean()) > 0.01


def test_derivative_of_an_affine_net_is_that_of_its_coefficients(generator):
    """u = A x + b t + c r has du/dt = A v + b, so the target is v + (r - t) (A v + b)."""
    a, b, c = torch.randn((3,), generator=generator, dtype=torch.float64)

    class Affine(nn.Module):
        def forward(self, t, x, condition):
            return a * x + b * t[:, None] + c * (t[:, None] + condition)

    pairs = IndependentCoupling(
        *(Gaussian(torch.full((1, 1), k, dtype=torch.float64)) for k in (0.0, 2.0))
    ).sample(30, generator)
    seed = torch.Generator().manual_seed(5)
    share, other, draw = (torch.rand(30, generator=seed, dtype=torch.float64) for _ in range(3))
    free = MeanFlow(StraightPath(0.0), anchored=0.0, power=0.0)
    loss = free.loss(Fields({"average": Affine()}), pairs, torch.Generator().manual_seed(5))
    t, r, v = share[:, None], other[:, None], pairs.x1 - pairs.x0
    x = pairs.x0 + t * v
    error = a * x + b * t + c * r - (v + (r - t) * (a * v + b))
    assert draw.min() >= 0
    torch.testing.assert_close(loss, error.square().sum(dim=1).mean())


class Noting:
    """A path that notes the times it is drawn at."""

    def sample(self, pairs, t, generator):
        self.t = t
        return PathSample(pairs.x0, pairs.x0)


def test_each_end_of_the_average_has_its_law(generator):
    """Those of t and r are told apart by a net that notes its covariate, which is r - t."""
    n = 40_000
    points = torch.zeros((n, 1), dtype=torch.float64)
    pairs = Pairs(points, points, points[:, 0], points[:, 0] + 2.0)
    ends = (Population.of(points[:5]),) * 2
    path, spans = Noting(), []

    class Net(nn.Module):
        def forward(self, t, x, condition):
            spans.append(condition.detach()[:, 0])
            return x

    def logits(**settings):
        chosen = method("mean-flow", anchored=0.0, mean_times="logit-normal", **settings)
        fit = Fit(Marginals((0.0, 2.0), ends), chosen, recipe("default"), points[0], 1.0, generator)
        objective = OBJECTIVE_BUILDERS["mean-flow"](fit, chosen.objective, path)
        objective.loss(Fields({"average": Net()}), pairs, generator)
        return torch.logit(torch.stack([path.t, path.t + spans.pop()]) / 2)

    for settings, means, stds in (
        ({"logit_mean": 0.6, "logit_std": 1.2}, (0.6, 0.6), (1.2, 1.2)),
        ({"logit_mean": 0.6, "logit_std": 1.2, "r_times": "logit-normal"}, (0.6, 4.0), (1.2, 1.6)),
        # The logistic distribution has the standard deviation pi / sqrt(3).
        ({"r_times": "uniform"}, (0.4, 0.0), (1.0, math.pi / 3**0.5)),
    ):
        found = logits(**settings)
        assert found.mean(dim=1).tolist() == pytest.approx(means, abs=0.05)
        assert found.std(dim=1).tolist() == pytest.approx(stds, abs=0.05)


def test_exact_averages_go_as_far_in_one_step_as_in_many_and_by_solvers():
    flow = Flow(Known(), TimeAxis("index", (0.0, 1.0)), method("mean-flow"), recipe("default"))
    x = torch.tensor([[1.0], [-2.0]], dtype=torch.float64)
    for n_steps in (None, 1, 2, 5):
        way = flow.trajectory(x, [0.0, 0.5, 1.0], solver="average", n_steps=n_steps)
        assert way.nfe == 2 * (n_steps or 1)
        torch.testing.assert_close(way.x[1], x * spread(0.5, 0.5))
        torch.testing.assert_close(way.end, x * 0.5)
    by_solver = flow.trajectory(x, [0.0, 1.0], solver="dopri5", tolerance=1e-8)
    torch.testing.assert_close(by_solver.end, x * 0.5, rtol=3e-3, atol=0)
    assert by_solver.nfe > 10


@pytest.mark.parametrize(("start", "length"), [(0.0, 1.0), (2.0, 3.0)])
def test_logits_of_times_are_normal_inside_the_interval(start, length, generator):
    n = 40_000
    x = torch.zeros((n, 1), dtype=torch.float64)
    t0 = torch.full((n,), start, dtype=torch.float64)
    t = LogitNormal(0.4, 2.0)(Pairs(x, x, t0, t0 + length), generator)
    logits = torch.logit((t - start) / length)
    assert float(logits.mean()) == pytest.approx(0.4, abs=0.05)
    assert float(logits.std()) == pytest.approx(2.0, abs=0.05)
