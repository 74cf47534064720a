"""Figures: what is drawn, on which axes, and what cannot be drawn."""

import pytest
from matplotlib import pyplot as plt

import cellflow as cf


@pytest.fixture
def course(fitted_course):
    return fitted_course[0]


@pytest.fixture
def flow(fitted_course):
    return fitted_course[1]


@pytest.fixture
def predicted(course, flow):
    return cf.tl.interpolate(course, flow, 1.5)


@pytest.fixture(scope="module")
def scores(course_of_all, quick):
    return cf.tl.holdout(course_of_all.copy(), use_rep="X_pca", recipe=quick, progress=False)


@pytest.fixture
def draws(course, flow, predicted, scores):
    return {
        "interpolation": lambda **k: cf.pl.interpolation(course, predicted, **k),
        "trajectories": lambda **k: cf.pl.trajectories(course, flow, **k),
        "holdout": lambda **k: cf.pl.holdout(scores, **k),
        "loss": lambda **k: cf.pl.loss(flow, **k),
    }


@pytest.mark.parametrize("name", ["interpolation", "trajectories", "holdout", "loss"])
def test_every_figure_takes_axes_and_gives_them_back(name, draws, tmp_path):
    ax = plt.figure().add_subplot()
    assert draws[name](ax=ax, show=False) is ax
    own = draws[name](show=False)
    assert own is not ax
    cf.pl.save(own, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 5_000


@pytest.mark.parametrize("name", ["interpolation", "loss"])
def test_figures_are_shown_when_asked(name, draws, monkeypatch):
    shown = []
    monkeypatch.setattr(plt, "show", lambda: shown.append(1))
    draws[name](show=False)
    draws[name]()
    assert not shown
    draws[name](show=True)
    assert shown


def test_interpolation_tells_observed_from_predicted(course, predicted):
    ax = cf.pl.interpolation(course, predicted, show=False)
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["other time points", "measured, 1", "measured, 2", "predicted, 1.5"]
    counts = [len(dots.get_offsets()) for dots in ax.collections]
    assert counts == [120, 60, 60, 120]


def test_real_cells_of_the_predicted_time_are_drawn_where_there_are_some(course, quick):
    kept = course[course.obs["day"] != 2].copy()
    flow = cf.tl.fit(kept, use_rep="X_pca", recipe=quick, progress=False)
    ax = cf.pl.interpolation(course, cf.tl.interpolate(kept, flow, 2), show=False)
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == [
        "other time points",
        "measured, 1",
        "measured, 4",
        "measured, 2",
        "predicted, 2",
    ]


def test_a_course_without_other_times_has_none_in_the_legend(course, quick):
    two = course[course.obs["day"] < 2].copy()
    flow = cf.tl.fit(two, use_rep="X_pca", recipe=quick, progress=False)
    ax = cf.pl.interpolation(two, cf.tl.interpolate(two, flow, 0.5), show=False)
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["measured, 0", "measured, 1", "predicted, 0.5"]


def test_trajectories_start_at_cells_of_the_first_time(course, flow):
    ax = cf.pl.trajectories(course, flow, n_cells=7, show=False)
    starts = ax.collections[-1].get_offsets()
    first = course.obsm["X_pca"][course.obs["day"] == 0, :2]
    assert len(starts) == 7
    assert all((abs(first - start).sum(axis=1) < 1e-5).any() for start in starts)


def test_holdout_draws_one_mark_for_each_fold_and_series(scores):
    ax = cf.pl.holdout(scores, show=False)
    assert [len(marks.get_offsets()) for marks in ax.collections[:4]] == [2] * 4
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["day 1", "day 2"]


def test_holdout_shows_one_size_its_meaning_and_replicates_where_known(scores):
    ax = cf.pl.holdout(scores.assign(w1_replicates=[0.7, float("nan")]), show=False)
    drawn = {dots.get_label(): dots for dots in ax.collections}
    heights = [dots[1] for dots in drawn["cellflow"].get_offsets().tolist()]
    assert heights == scores["w1"].tolist()
    levels = [line[0, 1] for line in drawn["reference (fresh cells)"].get_segments()]
    assert levels == scores["w1_reference"].tolist()
    assert "replicates of the time" in drawn
    said = " ".join(ax.figure._supxlabel.get_text().split())
    assert "than the midpoint, which needs no model" in said
    part = cf.pl.holdout(scores[scores["time"] == 2], show=False)
    assert "day 1" not in part.figure._supxlabel.get_text()
    plain = cf.pl.holdout(scores, show=False).collections
    assert "replicates of the time" not in [dots.get_label() for dots in plain]


def test_what_cannot_be_drawn_is_named(course, flow, predicted, scores):
    with pytest.raises(cf.InputError, match=r"result of cellflow\.tl\.interpolate"):
        cf.pl.interpolation(course, course)
    with pytest.raises(cf.InputError, match=r"no components \(0, 3\).*dimensions 0 to 2"):
        cf.pl.interpolation(course, predicted, components=(0, 3))
    with pytest.raises(cf.InputError, match="n_cells must be positive"):
        cf.pl.trajectories(course, flow, n_cells=0)
    with pytest.raises(cf.InputError, match="missing columns: w1_midpoint"):
        cf.pl.holdout(scores.drop(columns="w1_midpoint"))
