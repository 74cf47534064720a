"""The average of the weights against its closed forms."""

from math import comb

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from cellflow.training.average import Average, HalfLifeAverage
from tests.trainings import equal, trained

WEIGHTS = st.lists(st.floats(-10, 10), min_size=1, max_size=40)


def averaged(start, weights, decay, *, ramp):
    """The average of a net whose one weight takes these values, one a step."""
    net = nn.Linear(1, 1, bias=False, dtype=torch.float64)
    net.weight.data.fill_(start)
    average = Average(net, decay, ramp=ramp)
    for step, weight in enumerate(weights, start=1):
        net.weight.data.fill_(weight)
        average.update(step)
    assert net.weight.item() == weights[-1]
    return average.net.weight.item()


@given(st.floats(-10, 10), WEIGHTS, st.floats(0, 0.9999))
def test_without_a_ramp_weights_count_by_powers_of_the_decay(start, weights, decay):
    n = len(weights)
    expected = decay**n * start + (1 - decay) * sum(
        decay ** (n - k) * weight for k, weight in enumerate(weights, start=1)
    )
    assert averaged(start, weights, decay, ramp=False) == pytest.approx(expected, abs=1e-10)


@given(WEIGHTS, st.integers(1, 7))
def test_with_decay_zero_and_some_steps_between_it_is_the_last_of_their_copies(weights, every):
    net = nn.Linear(1, 1, bias=False, dtype=torch.float64)
    net.weight.data.fill_(99.0)
    average = Average(net, 0.0, ramp=False, every=every)
    for step, weight in enumerate(weights, start=1):
        net.weight.data.fill_(weight)
        average.update(step)
    taken = len(weights) // every * every
    assert average.net.weight.item() == (weights[taken - 1] if taken else 99.0)


@given(st.floats(-1e9, 1e9), WEIGHTS)
def test_with_a_ramp_the_start_is_forgotten_and_step_k_counts_by_about_its_eighth_power(
    start, weights
):
    """Keeping (n - 1) / (n + 8) gives weight k the share C(k + 7, 8) / C(n + 8, 9)."""
    n = len(weights)
    expected = sum(
        comb(k + 7, 8) / comb(n + 8, 9) * weight for k, weight in enumerate(weights, start=1)
    )
    assert averaged(start, weights, 0.9999, ramp=True) == pytest.approx(expected, abs=1e-10)


@given(st.lists(st.floats(-10, 10), min_size=30, max_size=60))
def test_the_ramp_ends_where_it_reaches_the_decay(weights):
    """(n - 1) / (n + 8) passes 1 / 2 at n = 10; from there on it is the plain average."""
    ramped = averaged(0.0, weights[:10], 0.5, ramp=True)
    assert averaged(0.0, weights, 0.5, ramp=True) == pytest.approx(
        averaged(ramped, weights[10:], 0.5, ramp=False), abs=1e-10
    )


def by_images(halflife, batch_size, *, ramp=True):
    return HalfLifeAverage(nn.Linear(1, 1), halflife, batch_size, ramp=ramp)


def test_a_half_life_in_images_grows_with_those_seen_as_in_edm():
    """Batches of 512: after 0.1 million images, and from 10 million on."""
    average = by_images(500_000, 512)
    assert average.decay_at(1) == 0
    assert average.decay_after(100_000) == pytest.approx(0.931482, abs=1e-6)
    for seen in (10_000_000, 10**9):
        assert average.decay_after(seen) == pytest.approx(0.999290, abs=1e-6)
    assert average.decay_at(101) == average.decay_after(100 * 512)


@given(st.floats(1, 1e6), st.integers(1, 512), st.integers(1, 10**6))
def test_a_ramp_holds_the_half_life_at_a_twentieth_of_what_was_seen(halflife, batch_size, step):
    seen = (step - 1) * batch_size
    ramped, plain = (
        by_images(halflife, batch_size, ramp=ramp).decay_at(step) for ramp in (True, False)
    )
    assert plain == 0.5 ** (batch_size / halflife)
    if seen * 0.05 >= halflife:
        assert ramped == plain
    else:
        assert ramped == (0.5 ** (batch_size / (0.05 * seen)) if seen else 0)


def test_a_half_life_takes_the_place_of_the_decay():
    net, out = trained(ema_halflife=1e-9, ema_decay=0.9999)
    assert equal(out.net, net)
    assert out.net is not net
    slow_net, slow = trained(ema_halflife=1e12, ema_ramp=False)
    assert equal(slow_net, net)
    assert not equal(slow.net, net)


def test_buffers_are_those_of_the_net():
    net = nn.BatchNorm1d(2)
    average = Average(net, 0.99, ramp=False)
    net(torch.randn((8, 2), generator=torch.Generator().manual_seed(0)))
    average.update(1)
    assert torch.equal(average.net.running_mean, net.running_mean)
    assert torch.equal(average.net.running_var, net.running_var)
    assert int(average.net.num_batches_tracked) == 1
    assert not average.net.training
    assert net.training


def test_a_short_training_is_not_averaged_with_its_initial_weights():
    one_step = {"n_steps": 1, "learning_rate": 0.1, "ema_decay": 0.9999}
    net, out = trained(**one_step)
    assert equal(out.net, net)
    slow_net, slow = trained(**one_step, ema_ramp=False)
    assert equal(slow_net, net)
    assert not equal(slow.net, net)


def test_without_an_average_the_last_weights_are_used():
    net, out = trained(ema_decay=0.0)
    assert out.net is net
    again, averaged_too = trained(ema_decay=0.9)
    assert equal(again, net)
    assert averaged_too.net is not again
