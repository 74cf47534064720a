"""Pairs drawn ahead are those drawn when asked, and nothing is lost on the way out."""

import threading

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cellflow.couplings import AccelerationCoupling, Coupling
from cellflow.training.feed import Feed, FeedState
from tests.seeds import seeded
from tests.trainings import couplings, minibatches, same_pairs

CPU = torch.device("cpu")
NAMES = [*couplings(), "acceleration"]


def made(name):
    if name == "acceleration":
        return AccelerationCoupling(minibatches(), lambda t, x, _c: x * t[:, None])
    return couplings()[name]


def drawn(name, n, batches):
    """Batches of a fresh coupling, without any feed."""
    coupling, generator = made(name), seeded(5)
    return [coupling.sample(n, generator) for _ in range(batches)]


def all_same(found, expected):
    return len(found) == len(expected) and all(map(same_pairs, found, expected))


class Failing(Coupling):
    """A coupling that fails at its fourth draw."""

    def __init__(self):
        self.coupling, self.draws = minibatches(), 0

    def pending_pairs(self):
        return self.coupling.pending_pairs()

    def sample(self, n, generator):
        self.draws += 1
        if self.draws == 4:
            torch.rand(1, generator=generator)
            raise ZeroDivisionError("no plan")
        return self.coupling.sample(n, generator)


numbers = {"n": st.integers(1, 30), "ahead": st.integers(1, 3), "batches": st.integers(0, 5)}


@pytest.mark.parametrize("name", NAMES)
@given(**numbers)
def test_a_thread_changes_nothing_about_the_pairs(name, n, ahead, batches):
    feed = Feed(made(name), n, seeded(5))
    with feed.prefetch(ahead):
        found = [feed.next() for _ in range(batches)]
    assert all_same(found, drawn(name, n, batches))


@pytest.mark.parametrize("name", NAMES)
@given(**numbers)
def test_after_the_block_coupling_and_generator_are_where_the_last_pair_left_them(
    name, n, ahead, batches
):
    feed = Feed(made(name), n, seeded(5))
    with feed.prefetch(ahead):
        for _ in range(batches):
            feed.next()
    alone = made(name), seeded(5)
    for _ in range(batches):
        alone[0].sample(n, alone[1])
    assert torch.equal(feed.generator.get_state(), alone[1].get_state())
    left = [sum(map(len, ready)) for ready in feed.coupling.pending_pairs()]
    assert left == [sum(map(len, ready)) for ready in alone[0].pending_pairs()]
    found = [feed.next(), feed.coupling.sample(3, feed.generator)]
    assert all_same(found, [alone[0].sample(n, alone[1]), alone[0].sample(3, alone[1])])


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), max_size=4))
def test_blocks_follow_each_other_without_a_seam(blocks):
    feed = Feed(made("mixture"), 7, seeded(5))
    found = []
    for ahead, batches in blocks:
        with feed.prefetch(ahead):
            found += [feed.next() for _ in range(batches)]
        found.append(feed.next())
    assert all_same(found, drawn("mixture", 7, len(found)))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("ahead", [0, 2])
def test_a_source_lets_a_fresh_coupling_go_on_alike(name, ahead):
    feed = Feed(made(name), 7, seeded(5))
    with feed.prefetch(ahead):
        sources = [feed.state]
        for _ in range(3):
            feed.next()
            sources.append(feed.state)
    expected = drawn(name, 7, 6)
    for served, source in enumerate(sources):
        coupling, generator = made(name), seeded(99)
        coupling.sample(3, generator)
        FeedState.from_tensors(source.tensors, CPU).restore(coupling, generator)
        found = [coupling.sample(7, generator) for _ in range(6 - served)]
        assert all_same(found, expected[served:])


def test_pairs_are_really_drawn_ahead_and_no_more_than_asked():
    class Counting(Coupling):
        def __init__(self):
            self.coupling, self.draws = minibatches(), threading.Semaphore(0)

        def sample(self, n, generator):
            self.draws.release()
            return self.coupling.sample(n, generator)

    counting = Counting()
    feed = Feed(counting, 7, seeded(5))
    with feed.prefetch(2):
        feed.next()
        # One served and two ahead, at least; one more may be waiting for room.
        assert all(counting.draws.acquire(timeout=20) for _ in range(3))
    assert sum(counting.draws.acquire(blocking=False) for _ in range(9)) <= 1


@pytest.mark.parametrize("ahead", [0, 1, 3])
def test_an_error_of_the_coupling_is_raised_where_the_pairs_are_asked_for(ahead):
    feed = Feed(Failing(), 7, seeded(5))
    with feed.prefetch(ahead):
        for expected in drawn("minibatch", 7, 3):
            assert same_pairs(feed.next(), expected)
        with pytest.raises(ZeroDivisionError, match="no plan"):
            feed.next()


def test_an_error_is_heard_by_whoever_asks_again_and_pairs_before_it_stay_served():
    feed = Feed(Failing(), 7, seeded(5))
    with feed.prefetch(2):
        served = [feed.next() for _ in range(3)]
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                feed.next()
    served.append(feed.next())
    assert all_same(served, drawn("minibatch", 7, 4))


@pytest.mark.parametrize("name", ["minibatch", "failing"])
@pytest.mark.parametrize("served", [0, 1, 3])
def test_no_thread_outlives_the_block(name, served):
    before = set(threading.enumerate())
    feed = Feed(Failing() if name == "failing" else minibatches(), 7, seeded(5))

    def interrupted():
        with feed.prefetch(2):
            assert len(set(threading.enumerate()) - before) <= 1
            for _ in range(served):
                feed.next()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert set(threading.enumerate()) <= before


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_stream_beside_that_of_the_net_changes_nothing():
    def made_there():
        coupling = minibatches()
        coupling.source, coupling.target = (
            each.to("cuda") for each in (coupling.source, coupling.target)
        )
        return coupling, torch.Generator("cuda").manual_seed(5)

    coupling, generator = made_there()
    expected = [coupling.sample(7, generator) for _ in range(20)]
    coupling, generator = made_there()
    feed = Feed(coupling, 7, generator)
    found = [feed.next()]
    with feed.prefetch(2):
        found += [feed.next() for _ in range(18)]
    found.append(feed.next())
    assert all_same(found, expected)
