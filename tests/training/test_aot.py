"""Denoisers from noise: the pairs of AOT, and where nothing can be denoised."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cellflow import InputError, method, recipe
from cellflow._batch import Marginal
from cellflow.couplings import MinibatchCoupling, euclidean
from cellflow.couplings.minibatch import solve_assignment
from cellflow.marginals import Gaussian, Marginals, Population, TimeAxis
from cellflow.training import builders, fit_flow, time_course
from cellflow.training.context import Fit
from cellflow.transport import assign
from tests.seeds import seeded
from tests.trainings import DEVICE

AXIS = TimeAxis("index", (0.0, 1.0))
NOISE = Gaussian(torch.zeros(1, 2))


class Recorded(Marginal):
    """Noise that keeps what was drawn."""

    def __init__(self, dim):
        self.law, self.drawn = Gaussian(torch.zeros(1, dim)), []

    def sample(self, n, generator):
        batch = self.law.sample(n, generator)
        self.drawn.append(batch.x)
        return batch


def ordered(x):
    """Rows in an order of their own, so that equal sets of rows are equal."""
    return np.array(sorted(map(tuple, x.tolist())))


def points(n=200, dim=2, seed=1, **columns):
    return Population.of(torch.randn((n, dim), generator=seeded(seed)) * 0.5, **columns)


def coupled(name, target, coupling_batch_size=64, **changes):
    numbers = recipe("default", coupling_batch_size=coupling_batch_size, standardise=False)
    chosen = method(name, **changes)
    noise = Gaussian(torch.zeros(1, target.dim))
    marginals = Marginals((0.0, 1.0), (noise, target))
    fit = Fit(marginals, chosen, numbers, torch.zeros(target.dim), 1.0, seeded(0))
    return time_course.course_coupling(fit)


def lengths(pairs):
    return (pairs.x1 - pairs.x0).norm(dim=1)


# Pairs


@given(seed=st.integers(0, 2**31), n=st.integers(2, 40), dim=st.integers(1, 6))
def test_assignment_permutes_the_noise_and_no_permutation_is_shorter(seed, n, dim):
    noise = Recorded(dim)
    pairs = MinibatchCoupling(
        noise, points(50, dim), batch_size=n, solver=solve_assignment, cost=euclidean
    ).sample(n, seeded(seed))
    np.testing.assert_array_equal(ordered(pairs.x0), ordered(noise.drawn[0]))
    total = float(lengths(pairs).double().sum())
    other = seeded(seed + 1)
    for _ in range(5):
        moved = pairs.x0[torch.randperm(n, generator=other)]
        assert total <= float((pairs.x1 - moved).norm(dim=1).double().sum()) + 1e-4
    # Two that change partners, the least other permutation.
    swapped = pairs.x0.clone()
    swapped[:2] = pairs.x0[:2].flip(0)
    assert total <= float((pairs.x1 - swapped).norm(dim=1).double().sum()) + 1e-4


def test_distances_and_their_squares_do_not_always_agree_whom_to_pair():
    """The square of a long way is dear, and two middling ones take its place."""
    rows = {}
    for name in ("squared", "euclidean"):
        x, y = (torch.randn((64, 3), generator=seeded(k), dtype=torch.float64) for k in (0, 1))
        distance = torch.cdist(x, y)
        rows[name] = assign((distance**2 if name == "squared" else distance).numpy())
    equal = float((rows["squared"] == rows["euclidean"]).mean())
    assert 0.5 < equal < 1


def test_aot_takes_the_unsquared_cost():
    """Its pairs are those of the least sum of distances, found by hand."""
    target = points(64)
    pairs = coupled("aot", target).sample(64, seeded(2))
    least = torch.cdist(pairs.x0.double(), pairs.x1.double())
    rows = assign(least.numpy())
    assert float(lengths(pairs).sum()) == pytest.approx(
        float(least[torch.arange(64), torch.from_numpy(rows)].sum()), rel=1e-5
    )
    squared = coupled("aot", target, cost="squared").sample(64, seeded(2))
    assert lengths(squared).square().sum() <= lengths(pairs).square().sum()
    assert lengths(pairs).sum() < lengths(squared).sum()


@pytest.mark.parametrize("dim", [2, 16])
def test_noise_comes_nearer_the_larger_the_batch_and_is_far_without(dim):
    target = points(1024, dim)
    mean = {
        size: float(lengths(coupled("aot", target, size).sample(1024, seeded(2))).mean())
        for size in (16, 128, 512)
    }
    apart = float(lengths(coupled("edm", target).sample(1024, seeded(2))).mean())
    assert mean[512] < mean[128] < mean[16] < apart


def test_a_large_assignment_is_served_in_small_batches(monkeypatch):
    solved = []

    def counted(cost):
        solved.append(cost.shape)
        return solve_assignment(cost)

    monkeypatch.setattr(builders, "solve_assignment", counted)
    coupling = coupled("aot", points(600), 512)
    served = [coupling.sample(64, seeded(k)).x1 for k in range(8)]
    assert solved == [(512, 512)]
    # The images of one assignment are distinct.
    assert (
        len(ordered(torch.cat(served))) == len(set(map(tuple, torch.cat(served).tolist()))) == 512
    )
    coupling.sample(64, seeded(9))
    assert len(solved) == 2


# Pairs of classes


def classes(counts=(60, 0, 140)):
    label = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    x = 0.3 * torch.randn((len(label), 2), generator=seeded(1)) + 3.0 * label[:, None]
    return Population.of(x, label=label, condition=torch.eye(len(counts))[label])


def test_within_classes_noise_is_permuted_and_crosses_to_no_other(monkeypatch):
    """All noise that was drawn for a class is served or waits with that class."""
    drawn, sample = [], Gaussian.sample

    def recorded(self, n, generator):
        batch = sample(self, n, generator)
        drawn.append(batch.x)
        return batch

    monkeypatch.setattr(Gaussian, "sample", recorded)
    coupling = coupled("aot", classes())
    pairs = coupling.sample(333, seeded(2))
    parts = coupling.components[0].components
    left = [ready[0] for ready in coupling.pending_pairs()]
    assert len(parts) == len(left) == 2
    label = pairs.c1.argmax(dim=1)
    assert torch.equal(label, (pairs.x1.mean(dim=1) / 3).round().long())
    assert sum(map(len, drawn)) == 333 + sum(map(len, left))
    everything = torch.cat([pairs.x0, *(rest.x0 for rest in left)])
    np.testing.assert_array_equal(ordered(everything), ordered(torch.cat(drawn)))
    for each, rest in zip((0, 2), left, strict=True):
        assert (rest.c1.argmax(dim=1) == each).all()
        mine = torch.cat([pairs.x0[label == each], rest.x0])
        sizes = {len(batch) for batch in drawn}
        size = min(64, int((classes().label == each).sum()))
        assert size in sizes
        assert len(mine) % size == 0


def test_noise_says_nothing_of_the_class():
    pairs = coupled("aot", classes((100, 100, 200))).sample(9000, seeded(2))
    label = pairs.c1.argmax(dim=1)
    for each in range(3):
        noise = pairs.x0[label == each]
        torch.testing.assert_close(noise.mean(dim=0), torch.zeros(2), atol=0.1, rtol=0)
        torch.testing.assert_close(noise.T.cov(), torch.eye(2), atol=0.12, rtol=0)


# Fits


def fitted(chosen, source=NOISE, target=None, times=(0.0, 1.0), **changes):
    numbers = {"n_steps": 2, "net": {"width": 8}, "standardise": False, **changes}
    return fit_flow(
        Marginals(times, (source, points() if target is None else target)), AXIS, method=chosen,
        recipe=recipe("default", **numbers), seed=0, device=DEVICE,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["edm", "aot"])
def test_the_sampler_of_edm_makes_the_data(name):
    target = Population.of(torch.randn((500, 2), generator=seeded(1)) * 0.5 + 1.0)
    flow = fitted(
        method(name), target=target, n_steps=500, net={"width": 32}, learning_rate=5e-3,
        batch_size=128, coupling_batch_size=128,
    )  # fmt: skip
    noise = NOISE.sample(800, seeded(3)).x
    made = flow.trajectory(noise, [0.0, 1.0], solver="edm-heun", n_steps=18)
    assert made.nfe == 35
    torch.testing.assert_close(made.end.mean(dim=0), torch.ones(2), atol=0.15, rtol=0)
    torch.testing.assert_close(made.end.std(dim=0), torch.full((2,), 0.5), atol=0.15, rtol=0)
    fine = flow.trajectory(noise, [0.0, 1.0], solver="edm-heun", n_steps=100).end
    other = flow.push(noise, 0.0, 1.0, solver="rk4", n_steps=100)
    assert float((fine - other).square().mean().sqrt()) < 0.05


GRID = {"kind": "edm", "channels": 4, "multipliers": (1,), "blocks": 1, "attention": ()}


@pytest.mark.parametrize("name", ["edm", "aot"])
def test_cells_of_a_time_course_are_refused_with_the_reason(name):
    with pytest.raises(
        InputError, match=r"objective 'edm' denoises: its source is standard normal noise.* cells"
    ):
        fitted(method(name), source=points())


@pytest.mark.parametrize("source", [Gaussian(torch.ones(1, 2)), Gaussian(torch.zeros(1, 2), 2.0)])
def test_noise_of_another_place_or_width_is_refused(source):
    with pytest.raises(InputError, match="its source is standard normal noise"):
        fitted(method("edm"), source=source)


def test_the_net_that_denoises_needs_noise_and_straight_paths():
    grid = {
        "target": points(dim=16), "source": Gaussian(torch.zeros(1, 16)), "net": GRID,
    }  # fmt: skip
    with pytest.raises(InputError, match="net 'edm' denoises: its source is standard normal"):
        fitted(method("ot-cfm"), **{**grid, "source": points(dim=16)})
    with pytest.raises(InputError, match="net 'edm' denoises on path 'straight', not on 'vp'"):
        fitted(method("vp"), **grid)


def test_a_flow_between_points_is_not_sampled_from_noise():
    flow = fitted(method("ot-cfm"), source=points())
    assert flow.inputs.from_noise is False
    with pytest.raises(InputError, match="'edm-heun' is for flows from standard normal noise"):
        flow.push(points().points, 0.0, 1.0, solver="edm-heun")
    assert fitted(method("ot-cfm")).inputs.from_noise is True
