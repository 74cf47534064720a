"""Verbs check columns, keys, times and settings before they embed, fit or sample."""

import numpy as np
import pytest

import cellflow as cf
from cellflow import InputError
from cellflow.flow import Flow
from tests.linear_flows import linear_flow


@pytest.fixture
def idle(monkeypatch):
    """Fail where cells are embedded or points are read, a net is trained, or a flow is followed."""

    def work(*_, **__):
        raise AssertionError("work was started")

    for name in (
        "cellflow.representation.slots.fit_representation",
        "cellflow.evaluation.evaluation.fit_representation",
        "cellflow.pp._embed.fit_representation",
        "cellflow.training.fit.Trainer",
    ):
        monkeypatch.setattr(name, work)
    for name in ("push", "trajectory", "simulate", "velocity"):
        monkeypatch.setattr(Flow, name, work)


@pytest.fixture
def cells(course):
    course.obsm["X_umap"] = np.sin(5 * course.obsm["X_pca"][:, :2])
    course.obs["fate"] = np.where(np.arange(course.n_obs) % 2, "up", "down")
    return course


COLUMNS = [
    ({"time_key": "nope"}, "'nope'"),
    ({"label_key": "nope"}, "'nope'"),
    ({"condition_keys": "nope"}, "'nope'"),
    ({"lineage_key": "nope"}, "'nope'"),
    ({"cost_rep": "nope"}, "'nope'"),
    ({"group_key": "nope"}, "go together"),
    ({"growth": "rates", "growth_key": "nope"}, "'nope'"),
    ({"method": "nope"}, "'nope'"),
    ({"recipe": "nope"}, "'nope'"),
    ({"device": "cuda:77"}, "cuda:77"),
]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        *COLUMNS,
        ({"method": cf.method("ot-cfm", coupling="acceleration")}, "give it as prior"),
        ({"checkpoint": "none/state"}, "none does not exist"),
        ({"checkpoint": "/dev/null"}, "not written under /dev"),
        ({"checkpoint": "state.h5ad"}, "would have the name of a .h5ad file"),
        ({"leave_out": 77}, "77"),
    ],
)
def test_a_fit(cells, idle, settings, message):
    with pytest.raises(InputError, match=message):
        cf.tl.fit(cells, **{"use_rep": "X_pca", **settings}, progress=False)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        *COLUMNS,
        ({"times": 77}, "77"),
        ({"use_rep": "nope"}, "'nope'"),
        ({"replicate_key": "nope"}, "'nope'"),
        ({"n_dims": 9}, "9 is more than the 3"),
        ({"hold_out": "nope"}, "'nope'"),
    ],
)
def test_held_out_scores(cells, idle, settings, message):
    with pytest.raises(InputError, match=message):
        cf.tl.holdout(cells, **{"use_rep": "X_pca", **settings}, progress=False)


def test_all_data_sets_of_a_benchmark_before_the_first(cells, idle):
    other = cells.copy()
    del other.obs["fate"]
    with pytest.raises(InputError, match=r"data 'second'.*'fate'"):
        cf.tl.benchmark(
            {"first": cells, "second": other}, use_rep="X_pca", label_key="fate", progress=False
        )


def test_a_flow_that_cannot_be_fine_tuned(cells, request):
    flow = linear_flow(cells, np.zeros((3, 3)), np.ones(3), [0, 1, 2, 4], rate=0.1)
    request.getfixturevalue("idle")
    with pytest.raises(InputError, match="fine-tunes flows of a velocity alone"):
        cf.tl.finetune(cells, flow, progress=False)


@pytest.mark.parametrize(
    ("verb", "settings", "message"),
    [
        ("finetune", {"device": "cuda:77"}, "cuda:77"),
        ("finetune", {"checkpoint": "none/state"}, "none does not exist"),
        ("finetune", {"time_key": "nope"}, "'nope'"),
        ("fates", {"cells": "fate=nope"}, "'nope'"),
        ("fates", {"groups": "fate", "time": 77}, "77"),
        ("fates", {"by": "flow", "n_samples": 2}, "has no score"),
        ("transitions", {"groups": "fate", "by": "flow", "n_samples": 2}, "has no score"),
        ("push", {"cells": "day=0", "time": 1, "n_samples": 2}, "has no score"),
        ("push", {"cells": "day=0", "time": 1, "basis": "nope"}, "'nope'"),
        ("trajectories", {"n_samples": 2}, "has no score"),
        ("uncertainty", {"time": 77}, "77"),
        ("pseudotime", {"n_neighbors": 10**6}, "n_neighbors must be under"),
        ("velocity", {"basis": "nope"}, "'X_nope'"),
        ("velocity", {"basis": "umap", "n_neighbors": 999}, "n_neighbors must be under 240"),
        ("velocity", {"decode": True}, "cannot be decoded"),
        ("gene_trends", {"genes": "nope"}, "cannot be decoded"),
        ("interpolate", {"time": 77}, "77"),
    ],
)
def test_verbs_that_follow_cells(cells, request, verb, settings, message):
    flow = linear_flow(cells, np.zeros((3, 3)), np.ones(3), [0, 1, 2, 4])
    request.getfixturevalue("idle")
    with pytest.raises(InputError, match=message):
        getattr(cf.tl, verb)(cells, flow, **settings)
