"""Held-out evaluation: what is scored, and that nothing leaks in the strict protocol."""

import anndata
import numpy as np
import pytest

import cellflow as cf
from cellflow.metrics import BASELINES


def holdout(adata, recipe, **options):
    return cf.tl.holdout(adata, recipe=recipe, progress=False, **options)


def test_every_interior_time_is_a_fold_with_all_columns(course, quick):
    scores = holdout(course, quick, use_rep="X_pca")
    assert scores["time"].tolist() == [1, 2]
    assert scores["n_true"].tolist() == [60, 60]
    assert np.isfinite(scores.to_numpy()).all()
    wanted = {"w1", "w1_uniform", "w1_half", "w2", "mmd", "energy", "mean_error", "cov_error"}
    wanted |= {"var_ratio", "reference", "gap_closed", "seconds"}
    wanted |= {f"{metric}_{name}" for metric in ("w1", "w1_half") for name in BASELINES}
    assert wanted <= set(scores)


def test_moving_population_is_predicted_better_than_by_its_neighbours(course):
    recipe = cf.recipe("default", n_steps=300, width=32)
    scores = holdout(course, recipe, use_rep="X_pca", times=[2], whiten=False)
    row = scores.iloc[0]
    assert row["w1"] < 0.4 < 0.9 < min(row["w1_previous"], row["w1_next"])


def test_time_axis_decides_where_the_midpoint_stands(course, quick):
    """Day 2 is a third of the way from day 1 to day 4, and half way by index."""
    real, index = (
        holdout(course, quick, use_rep="X_pca", times=[2], time_axis=axis).iloc[0]
        for axis in ("real", "index")
    )
    assert real["w1_midpoint"] < index["w1_midpoint"]


def test_several_seeds_are_measured_with_one_yardstick(course, quick):
    both = holdout(course, quick, use_rep="X_pca", times=[1], rng=[3, 5])
    alone = holdout(course, quick, use_rep="X_pca", times=[1], rng=5)
    assert both["seed"].tolist() == [3, 5]
    assert both["w1_midpoint"].nunique() == both["reference"].nunique() == 1
    assert both["w1"].nunique() == 2
    columns = [column for column in alone if column != "seconds"]
    np.testing.assert_array_equal(both[columns].iloc[1], alone[columns].iloc[0])


def test_strict_folds_do_not_see_the_held_out_cells(course, quick):
    """Moving the held-out cells changes neither the prediction nor what it is scored in... but
    the score's unit, so the test compares raw predictions through an unwhitened score."""
    from cellflow.io import time_points_of
    from cellflow.representation import Settings
    from cellflow.tl._folds import make_fold

    other = course.copy()
    other.obsm["X_pca"][(other.obs["day"] == 2).to_numpy()] *= 7
    settings = Settings(use_rep="X_pca", whiten=True)
    kept = (course.obs["day"] != 2).to_numpy()
    for fit_to_all, same in ((False, True), (True, False)):
        cells = [
            make_fold(a, time_points_of(a), 2.0, settings, fit_to_all=fit_to_all).cells[kept]
            for a in (course, other)
        ]
        assert np.allclose(*cells) is same


def test_score_is_in_units_of_all_cells_under_both_protocols(course):
    """Baselines need no fit, so on one clock they agree between protocols."""
    quick = cf.recipe("default", n_steps=1)
    strict, paper = (
        holdout(course, quick, use_rep="X_pca", times=[1], protocol=protocol, time_axis="real")
        for protocol in ("strict", "paper")
    )
    for name in ("previous", "next"):
        assert strict[f"w1_{name}"].item() == pytest.approx(paper[f"w1_{name}"].item(), rel=1e-6)
    assert strict["reference"].item() == pytest.approx(paper["reference"].item(), rel=1e-6)


def test_units_of_the_data_do_not_change_a_whitened_score(course):
    quick = cf.recipe("default", n_steps=1)
    first = holdout(course, quick, use_rep="X_pca", times=[1])
    course.obsm["X_pca"] = course.obsm["X_pca"] * [1, 10, 100] + 3
    second = holdout(course, quick, use_rep="X_pca", times=[1])
    assert first["w1_previous"].item() == pytest.approx(second["w1_previous"].item(), rel=1e-5)


def test_paper_protocol_carries_the_cells_before(course, quick):
    strict, paper = (
        holdout(course, quick, use_rep="X_pca", times=[1], protocol=protocol)
        for protocol in ("strict", "paper")
    )
    assert strict["n_predicted"].item() == 120
    assert paper["n_predicted"].item() == 60


def test_record_says_what_was_done_and_survives_h5ad(semrau, quick, tmp_path):
    scores = holdout(semrau, quick, times=["24.0"])
    entry = semrau.uns["cellflow"]["holdout"]
    assert entry["settings"]["n_dims"] == 5
    assert entry["settings"]["whiten"]
    assert not entry["settings"]["representation_may_have_seen_held_out"]
    semrau.write_h5ad(tmp_path / "a.h5ad")
    again = anndata.read_h5ad(tmp_path / "a.h5ad").uns["cellflow"]["holdout"]
    np.testing.assert_allclose(again["scores"]["w1"], scores["w1"])


def test_representations_that_may_have_seen_everything_are_marked(course, quick):
    for options, seen in (
        ({"use_rep": "X_pca"}, True),
        ({"use_rep": "X_pca", "protocol": "paper"}, True),
    ):
        holdout(course, quick, times=[1], **options)
        settings = course.uns["cellflow"]["holdout"]["settings"]
        assert settings["representation_may_have_seen_held_out"] is seen


BAD = {
    "no such time": ({"times": [3]}, "no cells at time 3; times in the data: 0, 1, 2, 4"),
    "an end": ({"times": [4]}, "time 4 has no neighbours on both sides; .* 1, 2"),
    "not a time": ({"times": ["noon"]}, "'noon' is no time"),
    "protocol": ({"protocol": "lax"}, "unknown protocol 'lax'; valid: strict, paper"),
    "coupling": ({"coupling": "sinkhorn"}, "unknown coupling 'sinkhorn'"),
    "dimensions": ({"n_dims": 9}, "n_dims 9 is more than the 3 dimensions of obsm"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_folds_are_named(case, course, quick):
    options, message = BAD[case]
    with pytest.raises(cf.InputError, match=message):
        holdout(course, quick, use_rep="X_pca", **options)


def test_two_times_leave_nothing_to_hold_out(course, quick):
    with pytest.raises(cf.InputError, match="needs three times or more; there are 0, 1"):
        holdout(course[course.obs["day"] < 2].copy(), quick, use_rep="X_pca")


def test_protocol_of_the_paper_on_real_cells(shared_data):
    """Baselines of the CITE-seq cells, known from other code, on the first 5 whitened PCs."""
    cite = anndata.read_h5ad(shared_data / "cite_pca100.h5ad")
    scores = holdout(
        cite[::4].copy(), cf.recipe("torchcfm", n_steps=200), time_key="time", use_rep="X_pca",
        n_dims=5, protocol="paper", times=[3],
    ).iloc[0]  # fmt: skip
    assert scores["w1_midpoint"] == pytest.approx(0.82, abs=0.06)
    assert scores["w1_previous"] == pytest.approx(0.98, abs=0.06)
