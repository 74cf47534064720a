"""Fine-tuning by optimal acceleration transport: where it starts, what follows, when it stops."""

from copy import deepcopy

import pytest
import torch

from cellflow import CellflowWarning, InputError, method, recipe
from cellflow._batch import Pairs
from cellflow.marginals import Gaussian, Marginals, Population, TimeAxis
from cellflow.nets import Fields
from cellflow.training import (
    Checkpoint,
    Every,
    Trainer,
    fit_flow,
    report_straightness,
    resolve_fine_tuning,
    target_net,
    trainer,
)
from cellflow.training.target_net import TargetNet, integrate_sources, spread
from tests.seeds import seeded
from tests.trainings import DEVICE, equal, minibatches, net, regression, settings

AXIS = TimeAxis("real", (0.0, 1.0, 3.0))
TWO = TimeAxis("index", (0.0, 1.0))
SHORT = recipe("default", n_steps=150, net={"width": 16, "depth": 2}, batch_size=64)
OAT = method("oat-fm")
#: Enough for the new velocities to settle.
LONG = recipe(SHORT, n_steps=1000, batch_size=256, net={"width": 64})


def moving(n=120):
    """Populations that move at constant speed over intervals of different lengths."""
    cells = torch.randn((3, n, 2), generator=seeded(1)) * 0.5
    cells[:, :, 0] += 3 * torch.tensor(AXIS.times)[:, None]
    times = tuple(AXIS.positions.tolist())
    return Marginals(times, tuple(Population.of(each) for each in cells))


def ellipse(n=400):
    """Noise, and normal points three times as wide and half as high."""
    target = torch.randn((n, 2), generator=seeded(2)) * torch.tensor([3.0, 0.5])
    return Marginals((0.0, 1.0), (Gaussian(torch.zeros(1, 2)), Population.of(target)))


def fitted(marginals, chosen="i-cfm", axis=AXIS, numbers=SHORT, **options):
    chosen = method(chosen) if isinstance(chosen, str) else chosen
    return fit_flow(
        marginals, axis, method=chosen, recipe=numbers,
        **{"seed": 0, "device": DEVICE, **options},
    )  # fmt: skip


@pytest.fixture(scope="module")
def prior():
    return fitted(moving())


@pytest.fixture(scope="module")
def crossing():
    """A flow of pairs drawn apart, whose paths bend."""
    numbers = recipe(SHORT, n_steps=1500, batch_size=256, net={"width": 64})
    return fitted(ellipse(), "i-cfm", TWO, numbers)


def tuned(prior, marginals=None, chosen=OAT, numbers=None, **options):
    marginals = moving() if marginals is None else marginals
    numbers = resolve_fine_tuning(prior, OAT, None, {}, {})[1] if numbers is None else numbers
    return fitted(marginals, chosen, prior.axis, numbers, prior=prior, **options)


# Where it starts


def test_a_fine_tuning_that_moves_nothing_gives_the_flow_that_it_starts_from(prior):
    still = recipe(SHORT, learning_rate=1e-30, n_steps=2, weight_decay=0.0)
    before = deepcopy(prior.nets.state_dict())
    flow = tuned(prior, numbers=still, seed=5)
    assert equal(flow.nets, prior.nets)
    assert flow.nets.nets["velocity"].scale == prior.nets.nets["velocity"].scale != 1
    assert tuned(prior).fingerprint != prior.fingerprint
    assert all(torch.equal(value, before[name]) for name, value in prior.nets.state_dict().items())


def test_the_recipe_is_that_of_the_prior_unless_another_is_given(prior):
    assert resolve_fine_tuning(prior, "oat-fm", None, {}, {})[1] == prior.recipe
    other = recipe(SHORT, learning_rate=2e-4)
    given = resolve_fine_tuning(prior, "oat-fm", other, {}, {"n_steps": 7})[1]
    assert (given.n_steps, given.learning_rate) == (7, 2e-4)


def test_noise_is_that_of_a_straight_prior_and_else_none(prior):
    def sigma(flow, **changes):
        return resolve_fine_tuning(flow, "oat-fm", None, changes, {})[0].path.sigma

    assert sigma(prior) == 0.1
    assert sigma(prior, sigma=0.3) == 0.3
    assert sigma(fitted(moving(), "vp", numbers=recipe(SHORT, n_steps=2))) == 0
    assert (
        resolve_fine_tuning(prior, method("oat-fm", sigma=0.7), None, {}, {})[0].path.sigma == 0.7
    )


def test_a_recipe_with_the_default_net_takes_that_of_the_prior(prior):
    flow = tuned(prior, numbers=recipe("default", n_steps=2, standardise=False, ahead=3))
    kept = flow.recipe
    assert kept.net == SHORT.net
    # As the prior has it; and nothing is drawn ahead of the net that pairs are asked of.
    assert (kept.standardise, kept.ahead) == (True, 0)


# What it does


@pytest.mark.slow
def test_paths_get_straight_and_their_ends_stay(crossing):
    """Transport between normal laws needs no crossing; pairs drawn apart cross."""
    flow = report_straightness(crossing, tuned(crossing, ellipse(), numbers=LONG), ellipse())
    numbers = flow.record.fine_tuning
    assert numbers["before"]["npe"] > 0.1
    assert numbers["after"]["npe"] < numbers["before"]["npe"] / 4
    assert numbers["after"]["w2"] < 1.1 * numbers["before"]["w2"]
    assert 0.95 < flow.history["ratio"][-1] < 1.05
    assert len(flow.history["ratio"]) == len(flow.history["step"])


def test_intervals_of_any_length_keep_their_course(prior):
    """End velocities are per flow time, as displacements are, so straight courses stay."""
    flow = tuned(prior, numbers=recipe(SHORT, learning_rate=2e-4))
    for start, stop in ((0.0, 1.0), (1.0, 3.0)):
        x = moving().populations[int(start)].points
        moved = flow.push(x, start, stop).mean(dim=0) - x.mean(dim=0)
        assert float(moved[0]) == pytest.approx(3 * (stop - start), rel=0.05)


@pytest.mark.parametrize(
    "chosen", [method("oat-fm", oat_target="hermite"), method("oat-fm", oat_copy_every=5)]
)
@pytest.mark.slow
def test_the_hermite_target_and_copies_keep_the_ends_as_well(crossing, chosen):
    flow = report_straightness(crossing, tuned(crossing, ellipse(), chosen, LONG), ellipse())
    numbers = flow.record.fine_tuning
    assert numbers["after"]["npe"] < numbers["before"]["npe"]
    assert 0.95 < flow.history["ratio"][-1] < 1.05


def test_what_was_straight_and_is_fine_tuned_is_told_in_one_line(prior, caplog, monkeypatch):
    monkeypatch.setattr("cellflow._log.logger.propagate", True)
    with caplog.at_level("INFO", logger="cellflow"):
        report_straightness(prior, tuned(prior), moving())
    line = caplog.messages[0]
    assert set(caplog.messages) == {line}
    assert line.startswith("path energy ")
    assert "NPE" in line
    assert "W2 to the data" in line
    assert line.count("->") == 4


# The net that gives end velocities


def pairs_of(n=50):
    x0, x1 = torch.randn((2, n, 4), generator=seeded(3))
    return Pairs(x0, 2 * x1, torch.zeros(n), torch.ones(n))


def followed(**changes):
    each = net()
    return each, TargetNet(each, method("oat-fm", **changes).objective, pairs_of(), 9)


def at_step(steps):
    """A trainer after so many steps, as a callback sees it."""
    each = Trainer(net(), minibatches(), regression(), settings(), seeded(0))
    each.steps = steps
    return each


def shift(each, by):
    with torch.no_grad():
        for weights in each.parameters():
            weights.add_(by)


def first(each):
    return next(each.parameters()).flatten()[0].item()


def test_it_follows_by_an_average_from_the_weights_of_the_prior():
    each, target = followed(oat_decay=0.9)
    start = first(each)
    shift(each, 1.0)
    target.after_step(at_step(1))
    assert first(target.net) == pytest.approx(start + 0.1, rel=1e-5)
    assert not target.net.training


def test_it_can_stay_as_it_is_or_be_copied_now_and_then():
    each, frozen = followed(oat_decay=1.0)
    start = first(each)
    shift(each, 1.0)
    frozen.after_step(at_step(1))
    assert first(frozen.net) == start
    each, copied = followed(oat_copy_every=3)
    for step in range(1, 6):
        shift(each, 1.0)
        copied.after_step(at_step(step))
    assert first(copied.net) == pytest.approx(first(each) - 2, rel=1e-5)


def test_the_net_that_couplings_ask_is_the_one_that_follows(prior):
    """With copies after each step pairs differ from those of a net that stays."""
    numbers = recipe(SHORT, n_steps=40, learning_rate=0.01)
    ends = [
        tuned(prior, chosen=method("oat-fm", **changes, oat_tolerance=99.0), numbers=numbers)
        for changes in ({"oat_decay": 1.0}, {"oat_copy_every": 1}, {"oat_decay": 0.0})
    ]
    assert ends[0].fingerprint != ends[1].fingerprint == ends[2].fingerprint


@pytest.mark.parametrize("changes", [{"oat_decay": 0.9}, {"oat_copy_every": 4}])
def test_a_resumed_fine_tuning_ends_with_the_weights_of_one_that_was_not(
    prior, changes, tmp_path, monkeypatch
):
    monkeypatch.setattr(trainer, "READ_EVERY", 3)
    chosen = method("oat-fm", **changes, oat_tolerance=99.0)
    numbers = recipe(SHORT, n_steps=13, learning_rate=0.01, coupling_batch_size=100, batch_size=30)
    options = {"chosen": chosen, "numbers": numbers}
    whole = tuned(prior, **options)

    def interrupt(_step, _net):
        raise KeyboardInterrupt

    path = tmp_path / "state.safetensors"
    with pytest.raises(KeyboardInterrupt):
        tuned(prior, **options, checkpoint=Checkpoint(path, 5), callbacks=[Every(7, interrupt)])
    resumed = tuned(prior, **options, checkpoint=Checkpoint(path, 5, resume=True))
    assert equal(resumed.nets, whole.nets)
    assert resumed.history == whole.history
    assert len(whole.history["ratio"]) == 5
    other = fitted(moving(), seed=1)
    with pytest.raises(InputError, match=r"other settings \(prior\)"):
        tuned(other, **options, checkpoint=Checkpoint(path, 5, resume=True))


# When it stops


def test_points_are_carried_each_over_its_own_interval():
    class Constant(torch.nn.Module):
        def forward(self, t, x, condition=None):
            return t[:, None].expand_as(x)

    pairs = Pairs(
        torch.zeros(2, 1), torch.zeros(2, 1), torch.tensor([0.0, 1.0]), torch.tensor([1.0, 4.0])
    )
    found = integrate_sources(Fields({"velocity": Constant()}), pairs)
    torch.testing.assert_close(found, torch.tensor([[0.5], [7.5]]))


def test_the_spread_is_around_the_mean_of_each_end():
    x = torch.tensor([[0.0], [2.0], [10.0], [14.0]])
    ends = torch.tensor([1.0, 1.0, 2.0, 2.0])
    pairs = Pairs(x, x, ends - 1, ends)
    assert float(spread(x, pairs)) == pytest.approx(((1 + 1 + 4 + 4) / 4) ** 0.5)


class Widening(torch.nn.Module):
    """v = r x: carries points to e^r times their place."""

    def __init__(self, rate):
        super().__init__()
        self.rate = torch.nn.Parameter(torch.tensor(rate))

    def forward(self, t, x, condition=None):
        return self.rate * x


def watching(real, prior=0.0, n_steps=500):
    """The monitor of a prior, where real points are so many times wider than the start."""
    x = torch.randn((64, 2), generator=seeded(1))
    pairs = Pairs(x, real * x, torch.zeros(64), torch.ones(64))
    return TargetNet(Fields({"velocity": Widening(prior)}), OAT.objective, pairs, n_steps)


def stops(target, *ratios, every=50):
    """Whether it stops at each of some readings of nets that carry points to these spreads."""
    trained, found = at_step(0), []
    for k, rate in enumerate(torch.tensor(ratios).log().tolist()):
        trained.steps, trained.current = every * (k + 1), Fields({"velocity": Widening(rate)})
        trained.history["step"].append(trained.steps)
        found.append(target.after_reading(trained))
    return found


def test_the_ratio_is_that_of_what_is_carried_to_what_the_prior_carries():
    def ratio(rate, **options):
        trained = at_step(50)
        trained.current = Fields({"velocity": Widening(rate)})
        trained.history["step"].append(50)
        watching(**options).after_reading(trained)
        return trained.history["ratio"][0]

    assert ratio(0.03, real=1.0) == pytest.approx(torch.tensor(0.03).exp().item(), rel=1e-4)
    assert ratio(0.5, real=1.5, prior=0.5) == pytest.approx(1.0)


@pytest.mark.parametrize(("ratio", "real"), [(1.1, 1.0), (0.9, 1.0), (0.9, 2.0), (1.1, 0.5)])
def test_it_stops_where_the_spread_stays_away(ratio, real):
    with pytest.warns(CellflowWarning, match=r"stopped at step 300: .* for 250 steps outside"):
        assert stops(watching(real), *[ratio] * 6) == [False] * 5 + [True]


@pytest.mark.parametrize(("ratio", "real"), [(1.35, 1.4), (0.74, 0.7), (1.04, 1.0)])
def test_it_goes_on_where_the_spread_comes_near_that_of_the_data(ratio, real):
    assert not any(stops(watching(real), *[ratio] * 20))


def test_it_goes_on_while_the_spread_comes_back():
    back = [0.78, 0.77, 0.78, 0.79, 0.8, 0.81, 0.82, 0.84, 0.86, 0.88, 0.9, 0.92, 0.94, 0.96]
    assert not any(stops(watching(1.0), *back))
    visits = [0.9, 0.9, 0.9, 1.0] * 5
    assert not any(stops(watching(1.0), *visits))


def test_long_trainings_are_given_more_time():
    assert not any(stops(watching(1.0, n_steps=5000), *[0.9] * 20))
    with pytest.warns(CellflowWarning, match="for 1000 steps outside"):
        assert stops(watching(1.0, n_steps=5000), *[0.9] * 21)[-1]


@pytest.mark.parametrize(("alpha", "side"), [(2 / 3, -1), (12 / 13, 1)])
@pytest.mark.slow
def test_a_training_whose_alpha_shrinks_or_stretches_is_stopped(crossing, alpha, side):
    chosen = method("oat-fm", oat_alpha=alpha)
    with pytest.warns(CellflowWarning, match="fine-tuning stopped at step"):
        flow = tuned(crossing, ellipse(), chosen, LONG)
    assert flow.history["step"][-1] < LONG.n_steps
    assert side * (flow.history["ratio"][-1] - 1) > 0.05


def test_readings_change_nothing_about_the_training(prior, monkeypatch):
    whole = tuned(prior)
    monkeypatch.setattr(target_net, "_N_MOVED", 16)
    assert equal(tuned(prior).nets, whole.nets)


# What is refused


@pytest.mark.parametrize(
    ("chosen", "roles"),
    [
        ("sf2m", "velocity and score"),
        ("wfr-fm", "velocity and growth"),
        ("mean-flow", "average"),
    ],
)
def test_flows_of_more_than_a_velocity_are_refused(chosen, roles):
    first = fitted(moving(30), chosen, numbers=recipe(SHORT, n_steps=2))
    with pytest.raises(InputError, match=f"the prior has {roles}; fit it with objective"):
        tuned(first, moving(30))


def test_flows_that_start_from_noise_at_every_time_are_refused():
    first = fitted(moving(30), "fm", numbers=recipe(SHORT, n_steps=2))
    with pytest.raises(InputError, match="starts from noise at every time"):
        tuned(first, moving(30))


def test_other_nets_missing_priors_and_other_parts_are_refused(prior):
    other = recipe(SHORT, net={"width": 24})
    with pytest.raises(InputError, match=r"keeps the net of the prior .*width=16.*width=24"):
        tuned(prior, numbers=other)
    with pytest.raises(InputError, match="give it as prior"):
        fitted(moving(), "oat-fm")
    with pytest.raises(InputError, match="'oat' needs the end velocities of coupling accel"):
        method("oat-fm", coupling="ot")
    with pytest.raises(InputError, match="has objective 'oat', this method 'velocity'"):
        resolve_fine_tuning(prior, "ot-cfm", None, {}, {})
    with pytest.raises(InputError, match="oat_alpha=0"):
        method("oat-fm", oat_alpha=0)


def test_noise_with_covariates_that_are_no_classes_is_refused():
    dose = torch.randn((60, 1), generator=seeded(1))
    target = Population.of(torch.randn((60, 2), generator=seeded(2)), condition=dose)
    marginals = Marginals((0.0, 1.0), (Gaussian(torch.zeros(1, 2)), target))
    first = fitted(marginals, "i-cfm", TWO, recipe(SHORT, n_steps=2))
    with pytest.raises(InputError, match="covariates that differ within a class"):
        tuned(first, marginals)


def test_classes_are_coupled_each_with_all_of_the_noise():
    """Two classes that noise would tell apart by place: each is still made from all of it."""
    label = torch.tensor([0, 1]).repeat_interleave(100)
    x = 0.3 * torch.randn((200, 2), generator=seeded(1)) + 3.0 * (2 * label[:, None] - 1)
    target = Population.of(x, label=label, condition=torch.eye(2)[label])
    marginals = Marginals((0.0, 1.0), (Gaussian(torch.zeros(1, 2)), target))
    first = fitted(marginals, "i-cfm", TWO, recipe(SHORT, n_steps=400, net={"width": 32}))
    flow = tuned(first, marginals)
    noise = torch.randn((200, 2), generator=seeded(3))
    for row, place in zip(torch.eye(2), (-3.0, 3.0), strict=True):
        made = flow.push(noise, 0.0, 1.0, condition=row.expand(200, 2))
        torch.testing.assert_close(made.mean(dim=0), torch.full((2,), place), atol=0.3, rtol=0)
