"""Steps, randomness, callbacks and messages of the trainer."""

import math
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cellflow import SolverError
from cellflow.couplings import IndependentCoupling
from cellflow.marginals import Gaussian, Population
from cellflow.training import Callback, Checkpoint, Every, ProgressBar, trainer
from cellflow.training.trainer import learning_rate
from tests import trainings
from tests.seeds import seeded
from tests.trainings import NETS, Plain, equal, minibatches, trained


def gradients(net):
    return [weights.grad for weights in net.parameters()]


# Steps


@given(batch_size=st.integers(1, 9), parts=st.integers(1, 12))
def test_parts_of_a_batch_give_the_gradients_of_the_whole(batch_size, parts):
    net = trainings.net().double()
    coupling = minibatches(dtype=torch.float64)
    before = trainings.net().double()
    objective = Plain()
    _, out = trained(
        net, coupling, objective, n_steps=1, warmup=1, batch_size=batch_size, accumulate=parts
    )
    assert [len(part) for part in objective.pairs] == [
        len(range(k, batch_size, parts)) for k in range(min(parts, batch_size))
    ]
    whole = type(objective.pairs[0]).cat(objective.pairs)
    loss = Plain().loss(before, whole, seeded(0))
    expected = torch.autograd.grad(loss, list(before.parameters()))
    assert len(whole) == batch_size
    for found, wanted in zip(gradients(net), expected, strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-14, rtol=1e-10)
    assert out.history["loss"] == [pytest.approx(float(loss.detach()), rel=1e-6)]


def test_a_training_in_parts_ends_where_one_in_whole_batches_does():
    nets = [
        trained(
            trainings.net().double(), minibatches(dtype=torch.float64), Plain(), accumulate=parts
        )[0]
        for parts in (1, 3)
    ]
    one, other = (torch.nn.utils.parameters_to_vector(net.parameters()) for net in nets)
    torch.testing.assert_close(one, other, atol=1e-9, rtol=0)


class Slope:
    """The sum of all weights, whose gradient is 1 everywhere, so Adam moves by its step size."""

    def loss(self, net, pairs, generator):
        return sum(weights.sum() for weights in net.parameters())


def way(**changes):
    """Return the distance that each weight moves."""
    net = trainings.net().double()
    coupling = minibatches(dtype=torch.float64)
    before = trainings.net().double()
    trained(net, coupling, Slope(), weight_decay=0.0, **changes)
    ways = torch.cat(
        [
            (old - new).flatten()
            for old, new in zip(before.parameters(), net.parameters(), strict=True)
        ]
    ).detach()
    torch.testing.assert_close(ways, ways[:1].expand_as(ways), atol=1e-12, rtol=0)
    return float(ways[0])


def test_the_first_step_of_a_warm_up_moves_nothing():
    assert way(n_steps=1, warmup=3) == 0
    assert way(n_steps=1, warmup=0) == pytest.approx(0.01, rel=1e-6)


@pytest.mark.parametrize(("warmup", "n_steps"), [(0, 12), (5, 12), (5, 4), (12, 12)])
@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_the_step_size_rises_and_falls_as_the_recipe_says(warmup, n_steps, schedule):
    rises = [min(k / warmup, 1) if warmup else 1 for k in range(n_steps)]
    falls = [
        math.cos(math.pi * k / n_steps / 2) ** 2 if schedule == "cosine" else 1
        for k in range(n_steps)
    ]
    rates = [0.01 * rise * fall for rise, fall in zip(rises, falls, strict=True)]
    recipe = trainings.settings(n_steps=n_steps, warmup=warmup, schedule=schedule)
    assert [learning_rate(recipe, k) for k in range(n_steps)] == pytest.approx(rates, abs=1e-15)
    found = way(n_steps=n_steps, warmup=warmup, schedule=schedule)
    assert found == pytest.approx(sum(rates), rel=1e-6)


@given(st.integers(0, 50), st.integers(1, 50), st.integers(0, 60))
def test_a_step_size_is_never_negative_nor_over_that_of_the_recipe(warmup, n_steps, done):
    recipe = trainings.settings(n_steps=n_steps, warmup=warmup)
    assert 0 <= learning_rate(recipe, done) <= recipe.learning_rate


class Counted:
    """A loss that is the number of the step, and pulls no weight."""

    steps = 0

    def loss(self, net, pairs, generator):
        self.steps += 1
        return 0 * net.velocity(pairs.t0, pairs.x0).sum() + self.steps


def test_weights_decay_on_their_own_and_readings_are_means_since_the_last_one(monkeypatch):
    monkeypatch.setattr(trainer, "READ_EVERY", 3)
    net = trainings.net()
    before = [weights.detach().clone() for weights in net.parameters()]
    numbers = {"learning_rate": 0.1, "weight_decay": 0.2, "schedule": "constant", "ema_decay": 0.0}
    _, out = trained(net, objective=Counted(), n_steps=7, **numbers)
    assert (out.history["step"], out.history["loss"]) == ([3, 6, 7], [2, 5, 7])
    torch.testing.assert_close(list(net.parameters()), [0.98**7 * each for each in before])


def test_long_gradients_are_cut_and_short_ones_left():
    def norm(clip):
        net, _ = trained(n_steps=1, clip=clip)
        return float(torch.cat([each.flatten() for each in gradients(net)]).norm())

    free = norm(None)
    assert norm(free / 2) == pytest.approx(free / 2, rel=1e-4)
    assert norm(free * 2) == free


@pytest.mark.parametrize("kind", ["mlp", "channels-last"])
def test_brain_floats_stay_near_and_leave_the_weights_precise(kind):
    ends = {
        precision: trained(trainings.net(kind), n_steps=40, precision=precision, learning_rate=1e-3)
        for precision in ("fp32", "bf16")
    }
    for net, out in ends.values():
        for each in (net, out.net):
            assert {weights.dtype for weights in each.parameters()} == {torch.float32}
    (_, precise), (_, brief) = ends.values()
    assert not equal(precise.net, brief.net)
    assert brief.history["loss"] == pytest.approx(precise.history["loss"], rel=0.02)
    x, t = torch.randn((50, 4), generator=seeded(3)), torch.linspace(0, 1, 50)
    with torch.no_grad():
        found, expected = (out.net.velocity(t, x) for out in (brief, precise))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, atol=0.05, rtol=0)


# Randomness


@pytest.mark.parametrize("kind", NETS)
@pytest.mark.parametrize("ahead", [0, 2])
def test_the_same_seed_gives_the_same_weights_and_global_randomness_is_left_alone(kind, ahead):
    ends = []
    for seed in (1, 1, 2):
        # What the caller did before is of no matter.
        torch.rand(seed)
        state = torch.random.get_rng_state()
        ends.append(trained(trainings.net(kind), seed=seed, ahead=ahead)[0])
        assert torch.equal(torch.random.get_rng_state(), state)
    assert equal(ends[0], ends[1])
    assert not equal(ends[0], ends[2])


def test_global_randomness_is_left_alone_where_training_ends_in_an_error():
    state = torch.random.get_rng_state()
    with pytest.raises(SolverError):
        trained(trainings.net("dropout"), objective=Lost(3))
    assert torch.equal(torch.random.get_rng_state(), state)


def test_dropout_is_another_at_every_step():
    """With the same pair at every step, and a step size of about zero, only dropout changes."""
    row = torch.arange(4.0)[None]
    ends = Population.of(row), Population.of(row.flip(1))
    losses = []

    class Listening(Plain):
        def loss(self, net, pairs, generator):
            losses.append(super().loss(net, pairs, generator))
            return losses[-1]

    trained(
        trainings.net("dropout"), IndependentCoupling(*ends), Listening(),
        n_steps=6, batch_size=1, learning_rate=1e-12,
    )  # fmt: skip
    assert len({float(loss.detach()) for loss in losses}) == 6


# What is seen on the way


@pytest.mark.parametrize("kind", NETS)
@pytest.mark.parametrize("decay", [0.0, 0.9])
def test_looks_are_taken_in_evaluation_mode_and_training_goes_on_in_its_own(kind, decay):
    seen, objective, net = [], Plain(), trainings.net(kind)

    def look(step, current):
        modules = {each.training for each in current.modules()}
        seen.append((step, modules, current is net, len(objective.modes)))

    _, out = trained(
        net, objective=objective, n_steps=10, ema_decay=decay, callbacks=[Every(4, look)]
    )
    assert seen == [(step, {False}, decay == 0, step) for step in (4, 8, 10)]
    assert objective.modes == [True] * 10
    assert not out.net.training
    alone, _ = trained(trainings.net(kind), objective=Plain(), n_steps=10, ema_decay=decay)
    assert equal(alone, net)


def test_several_looks_have_their_own_steps():
    seen = []
    looks = [
        Every(every, lambda step, _net, every=every: seen.append((step, every))) for every in (3, 7)
    ]
    trained(n_steps=7, callbacks=looks)
    assert seen == [(3, 3), (6, 3), (7, 3), (7, 7)]


def test_a_look_that_fails_leaves_the_net_in_training_mode():
    net = trainings.net()

    def fail(_step, _net):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        trained(net, ema_decay=0.0, callbacks=[Every(2, fail)])
    assert net.training


class Counting(Callback):
    """Counts steps and readings, and stops the training at a step."""

    def __init__(self, stop=None):
        self.stop, self.counts = stop, torch.zeros(2)
        self.states = []

    def after_step(self, trainer):
        self.counts[0] += 1
        self.states.append((trainer.steps, trainer.done))

    def after_reading(self, trainer):
        self.counts[1] += 1
        trainer.history.setdefault("count", []).append(float(self.counts[1]))
        assert not trainer.current.training
        return trainer.steps == self.stop

    def state(self):
        return {"counts": self.counts}

    def restore(self, tensors):
        self.counts = tensors["counts"].clone()


def test_a_callback_follows_steps_and_readings_and_may_stop():
    counting = Counting(stop=100)
    _, out = trained(n_steps=170, callbacks=[counting])
    assert out.history["step"] == [50, 100]
    assert out.history["count"] == [1, 2]
    assert counting.counts.tolist() == [100, 2]
    assert counting.states == [(step, step == 100) for step in range(1, 101)]


def test_the_state_of_a_callback_is_in_the_checkpoint(tmp_path):
    path = tmp_path / "state.safetensors"

    def interrupt(_step, _net):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(
            n_steps=120,
            checkpoint=Checkpoint(path, 30),
            callbacks=[Counting(), Every(71, interrupt)],
        )
    counting = Counting()
    _, out = trained(n_steps=120, checkpoint=Checkpoint(path, resume=True), callbacks=[counting])
    assert counting.counts.tolist() == [120, 3]
    assert out.history["count"] == [1, 2, 3]
    assert counting.states[0] == (61, False)


@dataclass
class Lost:
    """A loss that is not finite at one step."""

    at: int
    value: float = math.nan
    step: int = 0

    def loss(self, net, pairs, generator):
        self.step += 1
        return Slope().loss(net, pairs, generator) + (self.value if self.step == self.at else 0)


@pytest.mark.parametrize("at", [1, 50, 57])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_no_number_stops_the_training_and_its_step_is_named(at, value):
    with pytest.raises(SolverError, match=f"the loss became {value} at step {at}[ ;]"):
        trained(objective=Lost(at, value), n_steps=60)


def test_a_state_that_came_of_such_a_loss_is_not_kept(tmp_path):
    kept = Checkpoint(tmp_path / "state.safetensors", 2, resume=True)
    with pytest.raises(SolverError, match="at step 7"):
        trained(objective=Lost(7), n_steps=60, checkpoint=kept)
    assert kept.load().step == 6


def test_the_bar_tells_the_loss_the_rate_and_the_share_of_the_coupling(capsys):
    trained(n_steps=60, callbacks=[ProgressBar("digits", "images")])
    shown = capsys.readouterr().err
    assert "digits: 100%" in shown
    assert "60/60" in shown
    loss, rate, share = shown.rsplit(", loss=", 1)[1].split("]")[0].split(", ")
    assert float(loss) > 0
    assert float(rate.removesuffix(" images/s").replace(",", "")) > 0
    assert 0 <= float(share.removeprefix("coupling ").removesuffix("%")) <= 100


def test_the_bar_goes_on_where_a_training_was_resumed(capsys, tmp_path):
    path = tmp_path / "state.safetensors"

    def interrupt(_step, _net):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(n_steps=60, checkpoint=Checkpoint(path, 10), callbacks=[Every(41, interrupt)])
    trained(n_steps=60, checkpoint=Checkpoint(path, 10, resume=True), callbacks=[ProgressBar()])
    assert "| 40/60" in capsys.readouterr().err


def test_nothing_is_shown_unasked(capsys):
    trained(n_steps=60)
    assert capsys.readouterr() == ("", "")


def test_noise_is_drawn_again_at_every_step():
    noise = IndependentCoupling(Gaussian(torch.zeros(1, 4)), Population.of(torch.zeros(1, 4)))
    objective = Plain()
    trained(coupling=noise, objective=objective, n_steps=5)
    drawn = torch.cat([pairs.x0 for pairs in objective.pairs])
    assert len(torch.unique(drawn)) == drawn.numel()


def test_a_loss_that_is_no_number_is_told_with_its_batch_and_what_to_try():
    wanted = (
        r"at step 57 \(it was [\d.e+-]+ at the last reading\); learning rate [\d.e+-]+, last batch "
        r"of 8 pairs, sources -?[\d.]+ \+- [\d.]+, at most [\d.]+, targets .*: "
        r"try a tenth of the learning_rate, clip 1, or look for cells far from all others"
    )
    with pytest.raises(SolverError, match=wanted):
        trained(objective=Lost(57), n_steps=60)
