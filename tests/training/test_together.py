"""Fits side by side: each is the one that it would be alone."""

import pytest
import torch

from cellflow import SolverError, method, recipe
from cellflow.marginals import Marginals, Population, TimeAxis
from cellflow.training import Job, fit_flow, fit_flows
from cellflow.training import together as module
from tests.seeds import seeded
from tests.trainings import DEVICE, points

SMALL = recipe("default", n_steps=12, batch_size=16, net={"width": 8, "depth": 2})

#: Methods that can be stacked, with parts that couplings keep and numbers that differ by fold.
STACKED = {
    "default": method("default"),
    "ot-cfm": method("ot-cfm"),
    "sigma 0": method("ot-cfm", sigma=0.0),
    "independent": method("i-cfm"),
    "whole plan": method("ot-cfm", coupling="exact-full"),
}
OTHERS = {"mean flow": method("mean-flow"), "metric": method("ot-mfm", geopath_steps=12)}


def jobs(each, small=SMALL, **columns):
    """Two folds, of other cells, with two seeds each."""
    out = []
    for fold in range(2):
        cells = [points(10 * fold + k, n=30 + k, dim=3, **columns) for k in range(3)]
        cells[1] = Population.of(cells[1].points * (1 + fold) + 1)
        times = (0.0, 1.0, 2.0 + fold)
        marginals, axis = Marginals(times, tuple(cells)), TimeAxis("index", (0.0, 1.0, 2.0, 3.0))
        out += [Job(marginals, axis, each, small, seed) for seed in (4, 5)]
    return out


def alone(job):
    return fit_flow(
        job.marginals, job.axis, method=job.method, recipe=job.recipe, seed=job.seed, device=DEVICE
    )


def check_same(flows, todo):
    for flow, job in zip(flows, todo, strict=True):
        single = alone(job)
        state, other = flow.nets.state_dict(), single.nets.state_dict()
        assert state.keys() == other.keys()
        for name in state:
            torch.testing.assert_close(state[name], other[name], rtol=1e-4, atol=1e-5)
        assert flow.history["step"] == single.history["step"]
        assert flow.history["loss"] == pytest.approx(single.history["loss"], rel=1e-4)
        assert flow.settings.keys() == single.settings.keys()
        torch.testing.assert_close(
            flow.push(job.marginals.populations[0].points, 0.0, 1.0),
            single.push(job.marginals.populations[0].points, 0.0, 1.0),
            rtol=1e-3, atol=1e-4,
        )  # fmt: skip


@pytest.mark.parametrize("name", STACKED)
def test_stacked_fits_are_those_fitted_alone(name, monkeypatch):
    todo = jobs(STACKED[name])
    monkeypatch.setattr(module, "fit_flow", lambda *_, **__: pytest.fail("fitted one by one"))
    check_same(fit_flows(todo, device=DEVICE), todo)


@pytest.mark.parametrize("name", OTHERS)
def test_what_cannot_be_stacked_comes_out_by_the_same_call(name):
    todo = jobs(OTHERS[name], recipe(SMALL, n_steps=2))[1:3]
    check_same(fit_flows(todo, device=DEVICE), todo)


def test_jobs_of_different_kinds_come_back_in_their_order():
    deeper = recipe(SMALL, net={"depth": 3})
    todo = [*jobs(method("ot-cfm")), *jobs(method("ot-cfm"), deeper), *jobs(method("i-cfm"))]
    todo = [todo[k] for k in torch.randperm(len(todo), generator=seeded(0)).tolist()]
    check_same(fit_flows(todo, device=DEVICE), todo)


def test_numbers_of_the_recipe_are_kept_to():
    changes = {"warmup": 3, "ema_decay": 0.0, "weight_decay": 0.1, "train_fraction": 0.8}
    todo = jobs(method("ot-cfm"), recipe(SMALL, **changes))
    check_same(fit_flows(todo, device=DEVICE), todo)


def test_a_fit_that_diverges_is_the_one_that_fails(monkeypatch):
    good, bad = jobs(method("i-cfm"))[:2], jobs(method("i-cfm"))[2]
    cells = [Population.of(each.points * 1e25) for each in bad.marginals.populations]
    wild = recipe(SMALL, standardise=False)
    todo = [Job(each.marginals, each.axis, each.method, wild, each.seed) for each in good]
    lost = Job(Marginals(bad.marginals.times, tuple(cells)), bad.axis, bad.method, wild, 4)
    with pytest.raises(SolverError, match="the loss became"):
        fit_flows([*todo, lost], device=DEVICE)
    assert len(fit_flows(todo, device=DEVICE)) == 2
