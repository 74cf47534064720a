"""Fates, ancestors, descendants and transitions, where they are known."""

from dataclasses import replace

import anndata
import numpy as np
import pandas as pd
import pytest
import torch

import cellflow as cf
from cellflow.couplings import exact_full_coupling
from cellflow.marginals import Population, TimeAxis
from cellflow.tl import _plan_transitions
from cellflow.tl._time_course import TimeCourse
from cellflow.tl._transition_estimators import FlowOperator, make_estimator
from tests.flows import course_of, flow_of, fork, forking, known_flow, to_the_right


@pytest.fixture
def forked():
    return fork()


@pytest.fixture
def flow(forked):
    return known_flow(forked, forking)


@pytest.fixture
def ladder():
    """Five rungs that move right, at three days, each rung a group."""
    heights = np.tile(np.arange(5.0) * 3, 3)
    days = np.repeat([0, 1, 2], 5)
    return course_of(np.stack([days, heights], axis=1), days, rung=list("abcde") * 3)


BOTH = pytest.mark.parametrize("by", ["flow", "coupling"])
ALL = pytest.mark.parametrize("by", ["bridge", "flow", "coupling"])


def test_branches_are_certain_and_the_middle_is_open(forked, flow):
    cf.tl.fates(forked, flow, "fate", by="flow", n_neighbors=4)
    entry = forked.uns["cellflow"]["fate_probabilities"]
    assert entry["names"].tolist() == ["up", "down"]
    up = forked.obsm["fate_probabilities"][:, 0]
    assert up[:4].tolist() == [0] * 4
    assert up[4] == 0.5
    assert up[5:9].tolist() == [1] * 4
    assert up[9:17].tolist() == [0] * 4 + [1] * 4
    # Cells of the last time have their own group.
    assert up[17:].tolist() == (forked.obs["fate"][17:] == "up").astype(float).tolist()
    assert forked.obs["fate_up"].tolist() == up.tolist()
    entropy = forked.obs["fate_entropy"]
    assert entropy.iloc[4] == pytest.approx(np.log(2))
    assert entropy.iloc[:4].tolist() == [0] * 4
    assert entropy.notna().all()
    assert entry["certain_by_construction"]
    assert "known" not in entry


def test_an_ensemble_opens_the_middle_and_little_else(forked):
    still = lambda t, x: torch.zeros_like(x)  # noqa: E731
    flow = known_flow(forked, forking, score=still, diffusion=0.2, method="sf2m")
    cf.tl.fates(forked, flow, "fate", cells="day=0", by="flow", n_neighbors=1, n_samples=200)
    up = forked.obsm["fate_probabilities"][:9, 0]
    assert up[4] == pytest.approx(0.5, abs=0.15)
    assert up[0] < 0.01
    assert up[8] > 0.99
    assert np.isnan(forked.obsm["fate_probabilities"][9:17]).all()


def test_ensembles_are_the_same_in_chunks_and_forward_as_backward(forked, monkeypatch):
    def matrix(diffusion):
        noisy = known_flow(forked, forking, diffusion=diffusion, score=lambda t, x: 0 * x)
        course = TimeCourse.read(forked, noisy, None)
        estimator = make_estimator(course, "flow", n_neighbors=2, n_samples=3, seed=0)
        rows, targets = (course.rows_at(time) for time in (course.times[0], course.times[-1]))
        return FlowOperator(estimator, rows, targets)

    noisy, still = (matrix(diffusion) @ np.eye(8) for diffusion in (0.5, 0.0))
    np.testing.assert_allclose(noisy.sum(axis=1), 1)
    np.testing.assert_allclose(matrix(0.5).T @ np.eye(9), noisy.T)
    monkeypatch.setattr("cellflow.tl._transition_estimators._PATHS", 6)
    np.testing.assert_allclose(matrix(0.0) @ np.eye(8), still)


@pytest.mark.parametrize("by", ["bridge", "coupling"])
def test_plans_multiplied_one_by_one_are_those_of_the_whole_chain(ladder, by):
    flow = known_flow(ladder, to_the_right)
    course = TimeCourse.read(ladder, flow, None)
    estimator = make_estimator(course, by, n_neighbors=1, n_samples=None, seed=0)
    first, second, last = (course.rows_at(time) for time in course.times)
    values, origins = np.eye(4), [second[::2], first[1:]]
    for rows, found in zip(origins, estimator.descend(origins, last[1:], values), strict=True):
        (alone,) = estimator.descend([rows], last[1:], values)
        np.testing.assert_allclose(found, alone)


@pytest.mark.parametrize("by", ["bridge", "coupling", "flow"])
def test_weights_spread_by_the_transposed_transitions(ladder, by):
    flow = known_flow(ladder, to_the_right)
    course = TimeCourse.read(ladder, flow, None)
    estimator = make_estimator(course, by, n_neighbors=2, n_samples=None, seed=0)
    first, second, last = (course.rows_at(time) for time in course.times)
    origins = [first[1:], second[::2]]
    weights = [np.arange(2.0 * len(rows)).reshape(-1, 2) for rows in origins]
    found = estimator.spread(origins, last[1:], weights)
    for rows, own, each in zip(origins, weights, found, strict=True):
        (matrix,) = estimator.descend([rows], last[1:], np.eye(len(last) - 1))
        np.testing.assert_allclose(each, matrix.T @ own)
    if by != "flow":  # backward, plans are the same matrices
        (backward,) = estimator.spread([last[1:]], first, [np.eye(len(last) - 1)])
        (matrix,) = estimator.descend([first], last[1:], np.eye(len(last) - 1))
        np.testing.assert_allclose(backward, matrix)


def test_fates_by_coupling_are_the_product_of_exact_plans(forked, flow):
    cf.tl.fates(forked, flow, "fate", by="coupling")
    days = [torch.as_tensor(forked.obsm["X_pca"][forked.obs["day"] == day]) for day in range(3)]
    first, second = (
        exact_full_coupling(Population.of(a), Population.of(b)).plan.matrix(len(a), len(b))
        for a, b in (days[:2], days[1:])
    )
    product = (
        first / first.sum(axis=1, keepdims=True) @ (second / second.sum(axis=1, keepdims=True))
    )
    expected = product @ (forked.obs["fate"][forked.obs["day"] == 2] == "up").to_numpy(float)
    np.testing.assert_allclose(forked.obsm["fate_probabilities"][:9, 0], expected, atol=1e-12)


@BOTH
def test_rungs_keep_their_group_forward_and_back(ladder, by):
    flow = known_flow(ladder, to_the_right)
    options = {"by": by, "n_neighbors": 1}
    cf.tl.fates(ladder, flow, "rung", **options)
    np.testing.assert_allclose(ladder.obsm["fate_probabilities"][:10], np.tile(np.eye(5), (2, 1)))
    cf.tl.ancestors(ladder, flow, "rung=a,b & day=2", 0, **options)
    cf.tl.descendants(ladder, flow, "rung=a,b & day=0", 2, **options)
    half = [0.5, 0.5, 0, 0, 0]
    np.testing.assert_allclose(ladder.obs["cellflow_ancestors"], half + [np.nan] * 10)
    np.testing.assert_allclose(ladder.obs["cellflow_descendants"], [np.nan] * 10 + half)
    table = cf.tl.transitions(ladder, flow, "rung", **options)
    assert len(table) == 50
    kept = table["source"] == table["target"]
    np.testing.assert_allclose(table["probability"], kept)
    np.testing.assert_allclose(table["mass"], kept / 5)


@BOTH
def test_transitions_of_a_permutation(ladder, by):
    """Rungs are called otherwise at the next day: a is b, b is c, and so on."""
    ladder.obs["rung"] = list("abcdebcdeacdeab")
    table = cf.tl.transitions(
        ladder, known_flow(ladder, to_the_right), "rung", by=by, n_neighbors=1
    )
    following = table["source"].map(dict(zip("abcde", "bcdea", strict=True)))
    np.testing.assert_allclose(table["probability"], table["target"] == following)


@ALL
def test_rows_of_sources_sum_to_one_whatever_the_times_are_called(course, quick, by, rng):
    course.obs["kind"] = rng.choice(["x", "y", "z"], 240)
    flow = cf.tl.fit(course, use_rep="X_pca", recipe=quick, progress=False)
    labels = {0.0: "day 0", 1.0: "day 1", 2.0: "day 2", 4.0: "day 4"}
    course.obs["day"] = pd.Categorical(course.obs["day"].map(labels))
    table = cf.tl.transitions(course, flow, "kind", by=by)
    by_source = table.groupby(["source_time", "source"])["probability"].sum()
    assert len(by_source) == 9
    assert by_source.tolist() == pytest.approx([1] * 9)
    assert table.groupby("source_time")["mass"].sum().tolist() == pytest.approx([1] * 3)
    cf.tl.fates(course, flow, "kind", time="day 4", by=by)
    rows = course.obsm["fate_probabilities"]
    np.testing.assert_allclose(rows.sum(axis=1), 1)
    np.testing.assert_array_equal(rows[180:], pd.get_dummies(course.obs["kind"][180:]))


def test_cells_that_grow_have_more_descendants(ladder):
    """The first rung doubles in an interval, by the flow and by the cells that are there."""
    grown = known_flow(
        ladder, to_the_right, method="wfr-fm", growth=lambda t, x: np.log(2) * (x[:, 1] < 1)
    )
    cf.tl.descendants(ladder, grown, "rung=a,b & day=0", 1, by="flow", n_neighbors=1)
    expected = [2 / 3, 1 / 3, 0, 0, 0]
    found = ladder.obs["cellflow_descendants"]
    np.testing.assert_allclose(found[5:10], expected, rtol=1e-5)
    cf.tl.ancestors(ladder, grown, "rung=a,b & day=1", 0, by="flow", n_neighbors=1)
    np.testing.assert_allclose(ladder.obs["cellflow_ancestors"][:5], [0.5, 0.5, 0, 0, 0])
    more = course_of(
        [*ladder.obsm["X_pca"][:10], (1, 0.1)], [0] * 5 + [1] * 6, rung=list("abcdeabcdea")
    )
    flow = flow_of(more, grown.nets, method="wfr-fm", wfr_length_scale=1.0)
    cf.tl.descendants(more, flow, "rung=a,b & day=0", 1, by="coupling")
    shares = more.obs.groupby("rung")["cellflow_descendants"].sum()
    np.testing.assert_allclose(shares, expected, atol=0.02)


@pytest.mark.parametrize("by", ["flow", "coupling"])
def test_cells_of_several_times_weigh_as_shares_of_the_population_they_become(ladder, by):
    """All cells double in an interval, so the first have grown for twice as long at day 2."""
    flow = known_flow(
        ladder, to_the_right, method="wfr-fm", growth=lambda t, x: torch.full((len(x),), np.log(2))
    )
    flow = replace(flow, record=replace(flow.record, wfr_length_scale=1.0))
    group = ladder.obs_names.isin(["c0", "c6"])
    cf.tl.descendants(ladder, flow, group, 2, by=by, n_neighbors=1)
    found = ladder.obs["cellflow_descendants"]
    np.testing.assert_allclose(found[10:], [0.5, 0.5, 0, 0, 0], atol=1e-5)


def test_a_time_with_half_as_many_cells_is_the_same_population(ladder):
    ladder = ladder[[*range(5), 5, 6, 10, 11, 12, 13, 14]].copy()
    flow = known_flow(ladder, to_the_right)
    group = ladder.obs_names.isin(["c0", "c6"])
    cf.tl.descendants(ladder, flow, group, 2, by="flow", n_neighbors=1)
    found = ladder.obs["cellflow_descendants"][7:]
    np.testing.assert_allclose(found, np.array([1 / 5, 1 / 2, 0, 0, 0]) / 0.7, atol=1e-6)


def test_plans_have_the_length_scale_of_the_fit(quick, monkeypatch):
    """The second interval is ten times as long as the first; the fit took one scale for both."""
    x = np.repeat([0.0, 1.0, 11.0], 8)[:, None] + np.linspace(0, 0.3, 8).repeat(3)[:, None]
    course = course_of(np.hstack([x, 0 * x]), np.repeat([0, 1, 2], 8), kind=list("ab") * 12)
    flow = cf.tl.fit(course, use_rep="X_pca", method="wfr-fm", recipe=quick, progress=False)
    seen, whole = [], _plan_transitions.wfr_coupling

    def spied(*ends, delta, **options):
        seen.append(delta)
        return whole(*ends, delta=delta, **options)

    monkeypatch.setattr(_plan_transitions, "wfr_coupling", spied)
    cf.tl.fates(course, flow, "kind", by="coupling", rng=5)
    assert seen == [flow.record.wfr_length_scale] * 2


def test_coupling_keeps_to_the_labels_of_the_flow(ladder):
    """Without labels each rung is coupled with itself; with labels it can't be."""
    flow = flow_of(ladder, known_flow(ladder, to_the_right).nets, label_key="donor")
    ladder.obs["donor"] = list("xxyyzyyxxzxxyyz")
    ladder.obs["n"] = ladder.obs["rung"]
    table = cf.tl.transitions(ladder, flow, "rung", by="coupling")
    first = table[(table["source_time"] == 0) & (table["probability"] > 0)]
    assert (first["source"] + first["target"]).tolist() == ["ac", "bd", "ca", "db", "ee"]


@pytest.fixture
def arms():
    """Two arms of six cells each at three days, so mixed that neighbours are of either."""
    heights = np.tile(np.repeat(np.linspace(0, 1, 6), 2), 3)
    days = np.repeat([0, 1, 2], 12)
    return course_of(np.stack([days, heights], axis=1), days, arm=["ctrl", "drug"] * 18)


def within(adata, key):
    """A flow to the right that was fitted with the arm as label or as condition."""
    flow = known_flow(adata, to_the_right)
    if key == "label_key":
        return replace(flow, inputs=replace(flow.inputs, label_key="arm"))
    conditions = [{"key": "arm", "categories": ["ctrl", "drug"]}]
    settings = {**flow.context.settings, "conditions": conditions}
    return replace(flow, context=replace(flow.context, settings=settings))


@ALL
@pytest.mark.parametrize("key", ["label_key", "condition_keys"])
def test_cells_descend_within_their_arm(arms, monkeypatch, key, by):
    flow = within(arms, key)
    monkeypatch.setattr(type(flow.nets), "condition_dim", 2 if key == "condition_keys" else 0)
    cf.tl.fates(arms, flow, "arm", by=by)
    ctrl = arms.obsm["fate_probabilities"][:24, 0]
    np.testing.assert_allclose(ctrl, [1, 0] * 12)
    cf.tl.ancestors(arms, flow, "arm=drug & day=2", 0, by=by)
    shares = arms.obs.groupby("arm")["cellflow_ancestors"].sum()
    np.testing.assert_allclose(shares, [0, 1], atol=1e-12)


@ALL
def test_all_cells_of_a_group_have_as_many_ancestors(arms, by):
    """Six cells of one arm and three of the other, which are coupled apart."""
    arms = arms[[k for k in range(36) if k not in (31, 33, 35)]].copy()
    cf.tl.ancestors(arms, within(arms, "label_key"), "day=2", 1, by=by)
    shares = arms.obs.groupby("arm")["cellflow_ancestors"].sum()
    np.testing.assert_allclose(shares, [6 / 9, 3 / 9])


def test_plans_weigh_cells_by_what_they_grow_to_in_elapsed_time(ladder):
    """From day 1 to day 4 a cell that grows at 0.5 a day becomes exp(1.5), on any clock."""
    ladder.obs["day"] = np.repeat([0.0, 1.0, 4.0], 5)
    ladder.obs["rate"] = np.where(ladder.obs["rung"] == "a", 0.5, 0.0)
    nets = known_flow(ladder, to_the_right).nets
    flow = flow_of(ladder, nets, method=cf.method(growth="rates"), growth_key="rate")
    for clock in ("real", "index"):
        clocked = replace(flow, axis=TimeAxis(clock, (0.0, 1.0, 4.0)))
        course = TimeCourse.read(ladder, clocked, None)
        source, _ = _plan_transitions.CouplingTransitions(course, 0)._populations(1.0, 4.0)
        expected = np.array([np.exp(1.5), 1, 1, 1, 1]) / (np.exp(1.5) + 4)
        np.testing.assert_allclose(source.masses, expected, rtol=1e-5)


@ALL
def test_an_arm_that_ends_has_no_fate(arms, by):
    arms.obs.loc[arms.obs["day"] == 2, "arm"] = "ctrl"
    cf.tl.fates(arms, within(arms, "label_key"), "arm", cells="day=1", by=by)
    found = arms.obsm["fate_probabilities"][12:24, 0]
    np.testing.assert_array_equal(found, [1, np.nan] * 6)
    table = cf.tl.transitions(arms, within(arms, "label_key"), "arm", by=by)
    assert table.groupby("source_time")["mass"].sum().tolist() == pytest.approx([1, 1])
    with pytest.raises(cf.InputError, match="have no relatives at time 2"):
        cf.tl.descendants(arms, within(arms, "label_key"), "arm=drug & day=1", 2, by=by)


def test_slots_survive_h5ad_and_copies_leave_the_original(forked, flow, tmp_path):
    copy = cf.tl.fates(forked, flow, "fate", by="flow", copy=True, key_added="end")
    assert "end_probabilities" not in forked.obsm
    assert "cellflow" not in forked.uns
    assert cf.tl.ancestors(copy, flow, "fate=up", 0, key_added="mine") is None
    copy.write_h5ad(tmp_path / "a.h5ad")
    again = anndata.read_h5ad(tmp_path / "a.h5ad")
    np.testing.assert_array_equal(again.obsm["end_probabilities"], copy.obsm["end_probabilities"])
    entry = again.uns["cellflow"]["end_probabilities"]
    assert entry["names"].tolist() == ["up", "down"]
    assert (entry["by"], entry["time"], entry["n_neighbors"]) == ("flow", 2, 20)
    assert entry["columns"].tolist() == ["end_up", "end_down"]
    assert again.obs["mine"].sum() == pytest.approx(1)
    assert again.uns["cellflow"]["mine"]["cells"] == "fate=up"


def test_cells_without_a_group_do_not_vote(forked, flow):
    forked.obs["fate"] = forked.obs["fate"].where(forked.obs_names != "c17")
    cf.tl.fates(forked, flow, "fate", by="flow", n_neighbors=4)
    np.testing.assert_allclose(forked.obsm["fate_probabilities"][8], [0.75, 0.25])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"groups": "fat"}, "unknown obs column 'fat' .did you mean 'fate'"),
        (
            {"by": "flows"},
            "unknown estimator of transitions .by. 'flows'.*valid: bridge, flow, coupling",
        ),
        ({"time": 1.5}, "no cells were measured at time 1.5"),
        ({"key_added": "a/b"}, "key_added must be a name without a slash, got 'a/b'"),
        ({"time": []}, "time is an empty list"),
        ({"time": {}}, "time is an empty mapping"),
        ({"time": {"upp": 2}}, "unknown group 'upp' .did you mean 'up'"),
        ({"time": {"up": 1}}, r"no cell of time 1 has 'up' in obs\['fate'\]"),
        ({"time": [1, 3]}, "no cells were measured at time 3"),
        ({"cells": "fate=up", "time": 1}, "none of the 4 cells chosen .fate=up. is at or before"),
        ({"by": "flow", "n_neighbors": 0}, "n_neighbors must be positive"),
        ({"by": "coupling", "n_samples": 3}, "n_samples goes with by=.flow."),
        ({"n_samples": 3}, "n_samples goes with by=.flow."),
        ({"by": "flow", "n_samples": 3}, "has no score"),
    ],
)
def test_mistakes_are_named(forked, flow, options, message):
    groups = options.pop("groups", "fate")
    with pytest.raises(cf.InputError, match=message):
        cf.tl.fates(forked, flow, groups, **options)


def test_groups_must_be_there_when_they_are_told(forked, flow):
    forked.obs["early"] = forked.obs["fate"].where(forked.obs["day"] < 2)
    with pytest.raises(cf.InputError, match=r"no cell of time 2 has a value in obs\['early'\]"):
        cf.tl.fates(forked, flow, "early")
    with pytest.raises(cf.InputError, match=r"no cell of time 2 has a value in obs\['early'\]"):
        cf.tl.transitions(forked, flow, "early")
    with pytest.raises(cf.InputError, match=r"none of the 9 cells chosen .fate=start. is after"):
        cf.tl.ancestors(forked, flow, "fate=start", 0)
    with pytest.raises(cf.InputError, match=r"none of the 8 cells chosen .* is before time 2"):
        cf.tl.descendants(forked, flow, "fate=up,down", 2)


def test_a_symmetric_fork_leaves_the_middle_open_and_ends_certain(forked, flow):
    cf.tl.fates(forked, flow, "fate")
    up = forked.obs["fate_up"].to_numpy()
    assert up[4] == pytest.approx(0.5, abs=1e-3)
    np.testing.assert_allclose(up[:9] + up[8::-1], 1, atol=1e-3)
    assert (np.diff(up[:9]) >= -1e-12).all()
    assert up[9:13].max() < 0.2 < 0.8 < up[13:17].min()
    entry = forked.uns["cellflow"]["fate_probabilities"]
    assert entry["start_times"].tolist() == [0, 1]
    assert entry["known"][0] < entry["known"][1]
    assert not entry["certain_by_construction"]


def test_probabilities_are_shares_where_nothing_can_be_known():
    """Fates are drawn after day 2, from cells that do not differ before."""
    course = cf.datasets.simulate_course(n_cells=600, n_genes=150, times=(0, 1, 4), rng=3)
    cf.pp.embed(course, n_dims=20)
    short = cf.recipe("default", n_steps=5)
    flow = cf.tl.fit(course, time_key="time", recipe=short, progress=False)
    losses = {}
    for by in ("bridge", "flow"):
        cf.tl.fates(course, flow, "state", by=by, time=4)
        names = list(course.uns["cellflow"]["fate_probabilities"]["names"])
        start = (course.obs["time"] == 1).to_numpy()
        found = course.obsm["fate_probabilities"][start, names.index("A")]
        truth = course.obsm["true_fate_probabilities"][start, 0]
        losses[by] = float(np.square(found - truth).mean())
    assert losses["bridge"] < 0.03 < 0.05 < losses["flow"]


@BOTH
def test_fates_of_several_times(ladder, by):
    """Rung a ends at day 1, and b at day 2; the others at both."""
    ladder.obs["rung"] = ladder.obs["rung"].where(ladder.obs_names != "c10")
    flow = known_flow(ladder, to_the_right)
    cf.tl.fates(
        ladder, flow, "rung", by=by, n_neighbors=1, time={"a": 1, **dict.fromkeys("bcde", 2)}
    )
    expected = np.tile(np.eye(5), (3, 1))
    expected[10] = np.nan
    np.testing.assert_allclose(ladder.obsm["fate_probabilities"], expected, atol=1e-3)
    entry = ladder.uns["cellflow"]["fate_probabilities"]
    assert entry["end_times"].tolist() == [1, 2]
    cf.tl.fates(ladder, flow, "rung", by=by, n_neighbors=1, time=[1, "2"])
    np.testing.assert_allclose(ladder.obsm["fate_probabilities"], expected, atol=1e-3)


def test_terminal_cells_get_no_caution_about_their_own_group(arms):
    """Groups that are mixed at the last time are certain there, since they are given."""
    flow = known_flow(arms, to_the_right)
    cf.tl.fates(arms, flow, "arm")
    assert "cautions" not in arms.uns["cellflow"]["fate_probabilities"]
    assert arms.obs["fate_ctrl"][:24].between(0.3, 0.7).all()


def test_a_fate_of_a_single_cell_gets_a_caution(arms):
    last = np.flatnonzero(arms.obs["day"] == arms.obs["day"].max())
    arm = arms.obs["arm"].astype(object)
    arm.iloc[last[0]] = "rare"
    arms.obs["arm"] = arm
    cf.tl.fates(arms, known_flow(arms, to_the_right), "arm")
    (caution,) = arms.uns["cellflow"]["fate_probabilities"]["cautions"]
    assert caution.startswith("Few terminal cells stand for the fates rare (1 cell), so")


def test_terminal_groups_are_proposed(forked, flow):
    cf.tl.fates(forked, flow, by="flow", n_neighbors=4)
    proposed = forked.obs["cellflow_terminal"]
    assert proposed.notna().tolist() == [False] * 17 + [True] * 8
    table = pd.crosstab(proposed, forked.obs["fate"])
    assert sorted(table[["up", "down"]].to_numpy().ravel().tolist()) == [0, 0, 4, 4]
    assert forked.obs["fate_terminal 1"].notna().all()
    with pytest.raises(cf.InputError, match="groups are proposed at one time only"):
        cf.tl.fates(forked, flow, time=[1, 2])


def test_columns_of_others_are_not_replaced(forked, flow):
    cf.tl.fates(forked, flow, "fate")
    forked.obs["other"] = forked.obs["fate"].map({"up": "a/b", "down": "b"}).astype("category")
    cf.tl.fates(forked, flow, "other")
    assert {"fate_a_b", "fate_b"} <= set(forked.obs)
    assert not {"fate_up", "fate_down"} & set(forked.obs)
    for slot in ("mine_probabilities", "mine_entropy"):
        mine = forked.copy()
        (mine.obsm if "prob" in slot else mine.obs)[slot] = np.ones((25, 1))
        with pytest.raises(cf.InputError, match=f"{slot}'. was not written by fates"):
            cf.tl.fates(mine, flow, "fate", key_added="mine")
    mine = forked.copy()
    mine.obs["cellflow_terminal"] = "x"
    with pytest.raises(cf.InputError, match="proposed groups would replace it"):
        cf.tl.fates(mine, flow)
    forked.obs["end_b"] = 1
    with pytest.raises(cf.InputError, match="obs already has, or would get twice: end_b"):
        cf.tl.fates(forked, flow, "other", key_added="end")
    assert "end_probabilities" not in forked.obsm


def test_real_clones_and_fates_by_flow_and_plans_agree(shared_data, quick):
    """On haematopoiesis, where the two ways are known to agree on most cells."""
    adata = anndata.read_h5ad(shared_data / "weinreb2020_larry781.h5ad")
    flow = cf.tl.fit(adata, use_rep="X_pca", recipe=quick, progress=False)
    for by in ("flow", "coupling"):
        cf.tl.fates(adata, flow, "state_info", by=by, key_added=by)
    told = (adata.obs["time"] < 6).to_numpy()
    ours, theirs = (adata.obsm[f"{by}_probabilities"][told] for by in ("flow", "coupling"))
    np.testing.assert_allclose(ours.sum(axis=1), 1)
    monocyte = list(adata.uns["cellflow"]["flow_probabilities"]["names"]).index("Monocyte")
    assert np.corrcoef(ours[:, monocyte], theirs[:, monocyte])[0, 1] > 0.5
