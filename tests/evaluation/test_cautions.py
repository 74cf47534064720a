"""Cautions on fates, batches and scores, on courses with and without each fault."""

import numpy as np
import pandas as pd
import pytest

import cellflow as cf
from cellflow.evaluation.cautions import (
    check_batches,
    check_fates,
    check_group_shares,
    check_score_settings,
    check_scores,
    flow_settings,
)
from cellflow.report._cautions import cautions
from cellflow.report._inputs import ReportInputs

N = 200


def certain(sides):
    """Fates by side, with probabilities of 0.97."""
    up = np.where(sides > 0, 0.97, 0.03)
    return np.stack([up, 1 - up], axis=1)


# Fates


@pytest.mark.parametrize("dims", [2, 20])
@pytest.mark.parametrize("cut", [0.0, 0.8])
def test_certain_fates_of_one_cloud_are_cautioned_and_of_two_groups_are_not(dims, cut, rng):
    cloud = rng.normal(size=(N, dims)) * np.linspace(2, 0.5, dims)
    fates, times = certain(cloud[:, 1] - cut), np.full(N, 2.0)
    (said,) = check_fates(cloud, fates, times, ["A", "B"])
    assert "time 2 are given fates with a mean probability of 0.97" in said
    assert "A and B" in said
    apart = cloud.copy()
    apart[:, 1] += 4 * np.sign(cloud[:, 1] - cut)
    assert check_fates(apart, fates, times, ["A", "B"]) == []


def test_fates_that_are_open_or_few_or_missing_are_left_alone(rng):
    cloud, times = rng.normal(size=(N, 2)), np.full(N, 2.0)
    fates = certain(cloud[:, 0])
    names = ["A", "B"]
    assert check_fates(cloud, 0.5 + 0.6 * (fates - 0.5), times, names) == []
    assert check_fates(cloud[:30], fates[:30], times[:30], names) == []
    assert check_fates(cloud, np.full((N, 2), np.nan), times, names) == []
    assert check_fates(cloud, np.tile([0.99, 0.01], (N, 1)), times, names) == []


def test_of_three_fates_the_two_that_share_a_cloud_are_named(rng):
    cloud = rng.normal(size=(3 * N, 2))
    far = np.arange(3 * N) < N
    cloud[far, 0] += 12
    which = np.where(far, 0, np.where(cloud[:, 1] > 0, 1, 2))
    (said,) = check_fates(cloud, np.eye(3)[which], np.zeros(3 * N), ["far", "up", "down"])
    assert "up and down" in said
    assert "far" not in said


# Batches


def batches_of(rng, n=60):
    day = np.repeat([0.0, 1.0, 2.0], n)
    obs = pd.DataFrame({"donor": np.tile(["a", "b"], len(day) // 2), "cell_type": "x"})
    return obs, rng.normal(size=(len(day), 3)), day


def test_batches_that_mix_within_and_between_times_are_no_caution(rng):
    obs, points, day = batches_of(rng)
    assert check_batches(obs, points, day) == []
    obs["batch_score"] = rng.normal(size=len(obs))
    obs["sampled"] = "one"
    assert check_batches(obs, points, day) == []


def test_batches_that_no_two_times_share_are_cautioned(rng):
    obs, points, day = batches_of(rng)
    obs["Batch"] = [f"b{time:g}" for time in day]
    (said,) = check_batches(obs, points, day)
    assert "No two consecutive times share a value of obs['Batch']" in said
    obs["Batch"] = np.where(day == 2, "late", "early")
    (said,) = check_batches(obs, points, day)
    assert "at both ends of time 1 to time 2: shifts" in said


def test_times_in_a_column_of_batches_are_no_batches_in_any_spelling(rng):
    obs, points, day = batches_of(rng)
    obs["sample_age"] = [f"d{time:g}" for time in day]
    assert check_batches(obs, points, day) == []
    obs["sample_age"] = [f"{40 + time:g}" for time in day]
    assert check_batches(obs, points, day) == []
    obs = obs.rename(columns={"sample_age": "Batch"})
    assert check_batches(obs, points, day, time_key="Batch") == []
    assert "obs['Batch']" in check_batches(obs, points, day)[0]
    obs["Batch"] = [f"{24 * time:g}h" for time in day]
    assert check_batches(obs, points, day) == []
    obs["Batch"] = [f"P{1 + time:g}" for time in day]
    assert "obs['Batch']" in check_batches(obs, points, day)[0]


def test_batches_that_lie_apart_are_cautioned_beside_chance_unless_coupled_within(rng):
    obs, points, day = batches_of(rng)
    points[:, 0] += 6 * (obs["donor"] == "b")
    (said,) = check_batches(obs, points, day)
    assert "99% of the nearest cells" in said
    assert "by chance 49%" in said
    assert check_batches(obs, points, day, label_key="donor") == []


# Scores


def table(**changed):
    values = {"time": [1.0, 2.0], "w1": [0.5, 0.5], "w1_midpoint": [0.6, 0.6]}
    values |= {"w1_previous": [0.9, 0.9], "w1_next": [0.9, 0.9], **changed}
    return pd.DataFrame(values)


def test_scores_above_a_baseline_are_cautioned():
    assert check_scores(table()) == []
    (said,) = check_scores(table(w1_midpoint=[0.6, 0.3]))
    assert said.startswith("At 2 a prediction without any model is nearer")
    assert "W1 0.300 by the midpoint of coupled cells, 0.500 by the flow" in said
    (said,) = check_scores(table(w1_next=[0.1, 0.9]))
    assert "at 1 W1 0.100 by the cells after" in said
    seeds = pd.concat([table(w1=[0.5, 0.7]), table(w1=[0.5, 0.4])])
    assert check_scores(seeds) == []


def test_settings_of_scores_and_flow_are_compared_by_name():
    flow = {"method": {"path": {"sigma": 0.1}, "coupling": {"name": "ot"}}, "use_rep": None}
    scores = {"method": {"path": {"sigma": 0.1}, "coupling": {"name": "ot", "epsilon": None}}}
    assert check_score_settings(scores, flow) == []
    scores["method"]["path"]["sigma"] = 0.2
    scores["use_rep"] = "X_pca"
    space, others = check_score_settings(scores, flow)
    assert "another representation than the flow's: use_rep X_pca (flow: none). They do" in space
    assert "other settings than the flow's: method.path.sigma 0.2 (flow: 0.1)" in others


# One sentence in the verb, the figure and the report


def test_verb_figure_and_report_say_the_same(course, caplog):
    adata = course
    adata.obs["batch"] = [f"b{day:g}" for day in adata.obs["day"]]
    short = cf.recipe("default", n_steps=2, net={"width": 8})
    options = {"use_rep": "X_pca", "progress": False, "method": "ot-cfm"}
    with caplog.at_level("INFO", "cellflow"):
        flow = cf.tl.fit(adata, recipe=short, **options)
        scores = cf.tl.holdout(adata, recipe=cf.recipe(short, n_steps=1), **options)
    batches, beaten, others = (
        "No two consecutive times share a value of obs['batch']",
        "At day 1, day 2 a prediction without any model is nearer to the real cells",
        "recipe.n_steps 1 (flow: 2)",
    )
    told = " ".join(cautions(ReportInputs.read(adata, flow, None, None, None)))
    predicted = cf.tl.interpolate(adata, flow, 1.5)
    drawn = [
        " ".join(ax.figure._supxlabel.get_text().split())
        for ax in (cf.pl.interpolation(adata, predicted), cf.pl.holdout(scores))
    ]
    for said, figure in ((batches, drawn[0]), (beaten, drawn[1]), (others, drawn[1])):
        assert said in caplog.text
        assert said in told
        assert said in figure
    assert flow_settings(flow)["n_dims"] == 3
    assert "another representation than the flow's: whiten True (flow: False)" in told


def test_a_flow_without_faults_is_told_and_drawn_without_cautions(course, quick, caplog):
    with caplog.at_level("INFO", "cellflow"):
        flow = cf.tl.fit(course, use_rep="X_pca", recipe=quick, progress=False)
    assert "caution" not in caplog.text
    predicted = cf.tl.interpolate(course, flow, 1.5)
    assert cf.pl.interpolation(course, predicted).figure._supxlabel is None


def test_a_terminal_group_whose_share_falls_is_named():
    """A rises, B falls from 50 % to 20 %, and C by less than chance."""
    elapsed = np.repeat([0.0, 1.0, 2.0], 100)
    first = np.repeat([-1, 0, 2], [60, 10, 30])
    second = np.repeat([0, 1, 2], [25, 50, 25])
    third = np.repeat([0, 1, 2], [60, 20, 20])
    codes = np.concatenate([first, second, third])
    (caution,) = check_group_shares(codes, elapsed, ["A", "B", "C"])
    assert caution.startswith(
        "The share of B in the cells falls from 50% at time 1 to 20% at time 2."
    )
