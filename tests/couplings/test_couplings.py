"""Properties that all couplings share, and those in which they differ."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cellflow.couplings import IndependentCoupling, MinibatchCoupling, MixtureCoupling
from cellflow.marginals import Population
from tests.gaussians import Normal


def populations(seed: int, n: int = 24, d: int = 2) -> tuple[Population, Population]:
    points = torch.randn(
        (2, n, d), generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    return Population.of(points[0]), Population.of(points[1] + 1)


MAKERS = {
    "independent": IndependentCoupling,
    "ot": lambda *a: MinibatchCoupling(*a, batch_size=16),
    "ot, replaced": lambda *a: MinibatchCoupling(*a, batch_size=16, replace=True),
    "piecewise": lambda *a: MixtureCoupling([MinibatchCoupling(*a, batch_size=16)] * 2),
}


@pytest.mark.parametrize("name", MAKERS)
@given(seed=st.integers(0, 2**31), n=st.integers(1, 70))
def test_every_coupling_serves_what_is_asked_from_its_marginals(name, seed, n):
    source, target = populations(seed)
    pairs = MAKERS[name](source, target, (1.0, 3.0)).sample(n, torch.Generator().manual_seed(seed))
    assert len(pairs) == len(pairs.x0) == len(pairs.x1) == n
    assert {tuple(x) for x in pairs.x0.tolist()} <= {tuple(x) for x in source.points.tolist()}
    assert {tuple(x) for x in pairs.x1.tolist()} <= {tuple(x) for x in target.points.tolist()}
    assert (pairs.t0 == 1).all()
    assert (pairs.t1 == 3).all()


@pytest.mark.parametrize("name", MAKERS)
def test_same_seed_same_pairs(name):
    source, target = populations(0)
    first, second = (
        MAKERS[name](source, target, (0.0, 1.0)).sample(50, torch.Generator().manual_seed(7))
        for _ in range(2)
    )
    assert torch.equal(first.x0, second.x0)
    assert torch.equal(first.x1, second.x1)


@pytest.mark.parametrize("name", MAKERS)
def test_pairs_keep_the_marginal_moments(name, generator):
    pairs = MAKERS[name](Normal(), Normal(2.0, 0.5), (0.0, 1.0)).sample(20_000, generator)
    assert float(pairs.x0.mean()) == pytest.approx(0, abs=0.03)
    assert float(pairs.x0.std()) == pytest.approx(1, abs=0.03)
    assert float(pairs.x1.mean()) == pytest.approx(2, abs=0.03)
    assert float(pairs.x1.std()) == pytest.approx(0.5, abs=0.03)


@given(seed=st.integers(0, 2**31), n=st.integers(2, 40))
def test_without_replacement_every_point_of_the_batch_is_served_once(seed, n):
    source, target = populations(seed, n)
    pairs = MinibatchCoupling(source, target, batch_size=n).sample(
        n, torch.Generator().manual_seed(seed)
    )
    for served, points in ((pairs.x0, source.points), (pairs.x1, target.points)):
        assert sorted(map(tuple, served.tolist())) == sorted(map(tuple, points.tolist()))


def test_with_replacement_about_one_in_e_points_are_left_out(generator):
    source, target = populations(0, 500)
    pairs = MinibatchCoupling(source, target, batch_size=500, replace=True).sample(500, generator)
    assert len(torch.unique(pairs.x0, dim=0)) / 500 == pytest.approx(1 - 1 / np.e, abs=0.06)


def test_one_plan_is_served_whole_before_the_next_is_solved(generator, monkeypatch):
    source, target = populations(0, 60)
    coupling = MinibatchCoupling(source, target, batch_size=60)
    solved = []
    solve = MinibatchCoupling._solve
    monkeypatch.setattr(
        MinibatchCoupling, "_solve", lambda self, g: solved.append(1) or solve(self, g)
    )
    served = torch.cat([coupling.sample(20, generator).x0 for _ in range(3)])
    assert len(solved) == 1
    assert len(torch.unique(served, dim=0)) == 60


@pytest.mark.slow
def test_transport_cost_falls_with_the_batch_and_is_under_the_independent_one(generator):
    def cost(coupling):
        pairs = coupling.sample(4_000, generator)
        return float((pairs.x1 - pairs.x0).square().sum(dim=1).mean())

    ends = Normal(), Normal(2.0, 0.5)
    costs = [cost(MinibatchCoupling(*ends, batch_size=size)) for size in (2, 8, 64)]
    assert cost(IndependentCoupling(*ends)) > costs[0] > costs[1] > costs[2] > 4.25 - 0.1


def test_intervals_are_drawn_equally_often(generator):
    source, target = populations(0)
    spans = [(0.0, 1.0), (1.0, 2.0), (2.0, 5.0)]
    coupling = MixtureCoupling([IndependentCoupling(source, target, span) for span in spans])
    starts = coupling.sample(9_000, generator).t0
    for start, _ in spans:
        assert float((starts == start).double().mean()) == pytest.approx(1 / 3, abs=0.02)
