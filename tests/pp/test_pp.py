"""Preprocessing verbs and their slots."""

import anndata
import numpy as np
import pytest

import cellflow as cf
from cellflow.io import time_points_of


def test_time_points_writes_elapsed_times(course):
    course.obs["label"] = [f"day {day:g}" for day in course.obs["day"]]
    assert cf.pp.time_points(course, "label") is None
    np.testing.assert_array_equal(course.obs["cellflow_time"], course.obs["day"])
    entry = course.uns["cellflow"]["time_points"]
    assert entry["unit"] == "day"
    assert entry["labels"].tolist() == ["day 0", "day 1", "day 2", "day 4"]
    assert entry["counts"].tolist() == [60] * 4


def test_copies_leave_the_original_alone(course):
    timed = cf.pp.time_points(course, "day", copy=True)
    embedded = cf.pp.embed(timed, use_rep="X_pca", copy=True)
    assert "cellflow" not in course.uns
    assert "cellflow_time" not in course.obs
    assert "X_cellflow" not in timed.obsm
    assert "X_cellflow" in embedded.obsm


def test_embed_says_what_it_did(semrau, course, capsys):
    cf.pp.embed(semrau, n_dims=4, whiten=True)
    course.X = np.zeros((240, 0))
    cf.pp.embed(course, use_rep="X_pca", n_dims=2)
    told = capsys.readouterr().err
    assert (
        "counts: normalised to 12 per cell, log1p, PCA of 41 genes, 4 dimensions, whitened" in told
    )
    assert "obsm['X_pca'] as it is, 2 dimensions" in told


def test_embed_writes_where_it_is_told(course):
    cf.pp.embed(course, use_rep="X_pca", n_dims=2, key_added="X_two")
    assert course.obsm["X_two"].shape == (240, 2)
    assert course.obsm["X_two"].dtype == np.float32
    assert course.uns["cellflow"]["representations"]["X_two"]["source"] == "X_pca"


def test_an_embedding_that_is_taken_as_it_came_is_a_copy(course):
    course.obsm["X_pca"] = course.obsm["X_pca"].astype(np.float32)
    cf.pp.embed(course, use_rep="X_pca")
    kept = course.obsm["X_cellflow"].copy()
    course.obsm["X_pca"] *= 2
    np.testing.assert_array_equal(course.obsm["X_cellflow"], kept)


def test_embedding_over_its_own_source_is_refused(course):
    with pytest.raises(cf.InputError, match="use_rep and key_added are both 'X_pca'"):
        cf.pp.embed(course, use_rep="X_pca", key_added="X_pca")


def test_names_of_other_slots_can_be_keys(course, quick):
    cf.pp.embed(course, use_rep="X_pca", key_added="fit")
    cf.tl.fit(course, use_rep="fit", recipe=quick, progress=False)
    assert cf.tl.fit(course, use_rep="fit", recipe=quick, progress=False).dim == 3


def test_a_foreign_slot_of_our_name_is_refused(course):
    course.uns["cellflow"] = "mine"
    with pytest.raises(cf.InputError, match="was not written by cellflow"):
        cf.pp.time_points(course, "day")


@pytest.mark.parametrize("whiten", [True, False])
def test_slots_survive_h5ad(semrau, tmp_path, whiten):
    cf.pp.time_points(semrau, "time")
    cf.pp.embed(semrau, n_dims=4, whiten=whiten)
    semrau.write_h5ad(tmp_path / "a.h5ad")
    again = anndata.read_h5ad(tmp_path / "a.h5ad")
    from cellflow.representation import read_slots

    first, second = (read_slots(a, "X_cellflow") for a in (semrau, again))
    np.testing.assert_allclose(first.transform(semrau), second.transform(again))
    np.testing.assert_allclose(
        again.obsm["X_cellflow"], first.transform(semrau), rtol=1e-4, atol=1e-4
    )
    assert first.describe() == second.describe()


def test_plain_numbers_can_be_given_a_unit_which_is_kept(semrau):
    cf.pp.time_points(semrau, "time", unit="h")
    assert semrau.uns["cellflow"]["time_points"]["unit"] == "hour"
    assert time_points_of(semrau).describe().endswith("(hours)")
    cf.pp.time_points(semrau, "time")
    assert semrau.uns["cellflow"]["time_points"]["unit"] == "hour"
    semrau.obs["other"] = semrau.obs["time"]
    assert time_points_of(semrau, "other").unit == ""


def test_an_order_makes_names_of_stages_times(course):
    names = ["early", "mid, first", "mid", "late"]
    course.obs["stage"] = np.repeat(names, 60)
    with pytest.raises(cf.InputError, match=r"not times: 'early'.*--time-order"):
        cf.pp.time_points(course, "stage")
    cf.pp.time_points(course, "stage", order=names)
    record = course.uns["cellflow"]["time_points"]
    assert record["unit"] == "rank"
    assert record["order"].tolist() == record["labels"].tolist() == names
    assert time_points_of(course).find("mid") == 2
    part = course[course.obs["stage"] != "mid, first"].copy()
    assert time_points_of(part).times == (0, 2, 3)
    cf.pp.time_points(part, "stage")
    assert part.uns["cellflow"]["time_points"]["times"].tolist() == [0, 2, 3]
    cf.pp.time_points(course, "stage", order=names[::-1])
    assert time_points_of(course).find("late") == 0


def test_replicates_of_stages_are_joined_by_their_order(course):
    course.obs["stage"] = np.repeat(["early_rep1", "early_rep2", "late_rep1", "late_rep2"], 60)
    cf.pp.time_points(course, "stage", order=["early", "late"])
    assert course.uns["cellflow"]["time_points"]["counts"].tolist() == [120, 120]
    assert time_points_of(course).find("late_rep2") == 1


@pytest.mark.parametrize(
    ("order", "message"),
    [
        (["early", "mid"], r"lacks values of obs\['stage'\]: 'late'; it has 'early', 'mid'"),
        (["early", "early", "late"], "two or more different labels"),
        ("early", "two or more different labels"),
    ],
)
def test_orders_that_do_not_fit_are_refused(course, order, message):
    course.obs["stage"] = np.repeat(["early", "late"], 120)
    with pytest.raises(cf.InputError, match=message):
        cf.pp.time_points(course, "stage", order=order)


def test_units_that_are_unknown_or_contradict_labels_are_refused(course):
    with pytest.raises(cf.InputError, match=r"unknown unit of time 'dya'.*: second, minute"):
        cf.pp.time_points(course, "day", unit="dya")
    course.obs["hours"] = [f"{day:g}h" for day in course.obs["day"]]
    with pytest.raises(cf.InputError, match=r"unit is 'day', but the times .* are hours"):
        cf.pp.time_points(course, "hours", unit="day")
    cf.pp.time_points(course, "hours", unit="hour")
