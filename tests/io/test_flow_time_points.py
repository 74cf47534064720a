"""Times of a part of a course, as the flow through all of it knows them."""

from dataclasses import replace

import anndata
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

import cellflow as cf
from cellflow.io import time_points_for_flow, time_points_for_result

STAGES = ["alpha", "beta", "gamma", "delta"]
MIXED = ["24h", "day 2", "day 3", "day 4"]


def with_times(course, names, *, ordered=True):
    """The course with these names of its four times."""
    course.obs["day"] = pd.Categorical(np.repeat(names, 60), names, ordered=ordered)
    return course


def fitted(course, quick):
    return cf.tl.fit(course, time_key="day", use_rep="X_pca", recipe=quick, progress=False)


def later(course):
    """The cells of the last two times; categories without cells are dropped."""
    return course[120:].copy()


@pytest.mark.parametrize(
    ("names", "times", "unit"),
    [(STAGES, (2, 3), "rank"), (MIXED, (72, 96), "hour"), ([0, 1, 2, 4], (2, 4), "")],
)
def test_a_part_keeps_the_times_of_the_whole(course, quick, tmp_path, names, times, unit):
    whole = with_times(course, names)
    flow = fitted(whole, quick)
    flow.save(tmp_path / "flow")
    for each in (flow, cf.Flow.load(tmp_path / "flow")):
        points = time_points_for_flow(later(whole), each)
        assert (points.times, points.unit) == (times, unit)
        assert points.elapsed.tolist() == [times[0]] * 60 + [times[1]] * 60


@pytest.mark.parametrize("names", [STAGES, MIXED])
def test_verbs_do_to_a_part_what_they_do_to_the_whole(course, quick, names):
    whole = with_times(course, names)
    flow = fitted(whole, quick)
    part = later(whole)
    for cells in (whole, part):
        cf.tl.velocity(cells, flow)
    np.testing.assert_allclose(
        part.obsm["velocity_pca"], whole.obsm["velocity_pca"][120:], rtol=1e-5, atol=1e-6
    )
    pushed = [
        cf.tl.push(cells, flow, list(part.obs_names[:5]), names[-1]) for cells in (whole, part)
    ]
    ends = [each.obsm["X_cellflow"] for each in pushed]
    np.testing.assert_allclose(*ends, rtol=1e-5, atol=1e-6)
    made = [cf.tl.interpolate(cells, flow, names[-2]).n_obs for cells in (whole, part)]
    assert made == [60, 60]


def test_ranks_that_were_turned_round_keep_their_times(course, quick):
    flow = fitted(with_times(course, STAGES), quick)
    course.obs["day"] = course.obs["day"].cat.reorder_categories(STAGES[::-1])
    points = time_points_for_flow(course, flow)
    assert points.times == (0, 1, 2, 3)
    assert points.labels == tuple(STAGES)
    assert points.elapsed.tolist() == np.repeat([0, 1, 2, 3], 60).tolist()


def test_other_units_are_converted_and_numbers_are_in_that_of_the_flow(course, quick):
    flow = fitted(with_times(course, ["0h", "24h", "48h", "96h"]), quick)
    days = time_points_for_flow(with_times(course, ["day 0", "day 1", "day 2", "day 4"]), flow)
    assert (days.times, days.unit) == ((0, 24, 48, 96), "hour")
    assert days.find("day 2") == 48
    assert time_points_for_flow(with_times(course, [0, 24, 48, 96]), flow).times == (0, 24, 48, 96)


def test_predictions_are_held_against_cells_whose_times_are_told_in_another_unit(course, quick):
    kept = with_times(course.copy(), MIXED)[60:].copy()
    kept.obs["day"] = kept.obs["day"].cat.remove_unused_categories()
    flow = fitted(kept, quick)
    predicted = cf.tl.interpolate(kept, flow, "day 3")
    whole = with_times(course, MIXED)
    assert (time_points_for_flow(kept, flow).unit, cf.io.time_points_of(whole).unit) == (
        "day",
        "hour",
    )
    whole.obs["side"] = np.where(whole.obsm["X_pca"][:, 1] > 0, "up", "down")
    table = cf.tl.regions(whole, predicted, "side")
    assert table["n_real"].sum() == table["n_predicted"].sum() == 60
    ax = cf.pl.interpolation(whole, predicted, show=False)
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == [
        "other time points",
        "measured, day 2",
        "measured, day 4",
        "measured, day 3",
        "predicted, day 3",
    ]
    plt.close("all")


@pytest.mark.parametrize(
    ("fit", "given", "message"),
    [
        (STAGES, ["alpha", "beta", "late", "later"], "does not know the times late, later; it was"),
        (STAGES, ["d1", "d2", "d3", "d4"], "does not know the times d1, d2, d3, d4"),
        ([0, 1, 2, 4], STAGES, "does not know the times alpha, beta, gamma, delta"),
        (
            ["3dpi", "4dpi", "5dpi", "6dpi"],
            ["E3", "E4", "E5", "E6"],
            "since conception do not conv",
        ),
    ],
)
def test_what_the_flow_cannot_know_is_refused(course, quick, fit, given, message):
    flow = fitted(with_times(course, fit), quick)
    with pytest.raises(cf.InputError, match=message):
        cf.tl.velocity(with_times(course, given), flow)


def test_stages_in_a_recorded_order_need_it_once(course, quick):
    course.obs["day"] = np.repeat(STAGES, 60)
    cf.pp.time_points(course, "day", order=STAGES)
    flow = fitted(course, quick)
    del course.uns["cellflow"]
    points = time_points_for_flow(later(course), flow)
    assert (points.times, points.labels, points.unit) == ((2, 3), ("gamma", "delta"), "rank")


def test_a_part_after_birth_counts_from_conception_as_the_whole(course, quick):
    whole = with_times(course, ["E18.5", "P0", "P1", "P5"])
    flow = fitted(whole, quick)
    points = time_points_for_flow(later(whole), flow)
    assert (points.times, points.to_elapsed("P3")) == ((20, 24), 22)
    other = with_times(course, ["P0", "P2", "P3", "P4"])
    assert time_points_for_flow(other, flow).times == (19, 21, 22, 23)


def test_results_are_compared_on_the_clock_of_their_flow(course, quick, tmp_path):
    whole = with_times(course, ["E18.5", "P0", "P1", "P5"])
    whole.obs["side"] = np.where(whole.obsm["X_pca"][:, 1] > 0, "up", "down")
    predicted = cf.tl.interpolate(whole, fitted(whole, quick), "P1")
    predicted.write_h5ad(tmp_path / "p.h5ad")
    part = later(whole)
    assert cf.io.time_points_of(part).times == (1, 5)
    for result in (predicted, anndata.read_h5ad(tmp_path / "p.h5ad")):
        entry = result.uns["cellflow"]["interpolate"]
        assert time_points_for_result(part, entry).times == (20, 24)
        assert cf.tl.regions(part, result, "side")["n_real"].sum() == 60


def test_flows_that_keep_no_times_take_them_as_they_stand(course, quick):
    whole = with_times(course, STAGES)
    flow = fitted(whole, quick)
    settings = {name: value for name, value in flow.context.settings.items() if name != "course"}
    older = replace(flow, context=replace(flow.context, settings=settings))
    assert time_points_for_flow(later(whole), older).times == (0, 1)
    odd = replace(flow, context=replace(flow.context, settings={**settings, "course": [1]}))
    with pytest.raises(cf.InputError, match="are not in cellflow's format"):
        time_points_for_flow(whole, odd)
