"""Fitting and predicting through the public verbs."""

import anndata
import numpy as np
import pytest

import cellflow as cf


@pytest.fixture
def course(fitted_course):
    return fitted_course[0]


@pytest.fixture
def fitted(fitted_course):
    return fitted_course[1]


def test_fit_records_itself_and_makes_what_is_missing(semrau, quick, tmp_path):
    flow = cf.tl.fit(semrau, recipe=quick, progress=False)
    assert semrau.obsm["X_cellflow"].shape[1] == flow.dim == 40
    entry = semrau.uns["cellflow"]["fit"]
    assert entry["method"]["coupling"]["name"] == "composition"
    assert entry["time_axis"] == "learned"
    assert entry["recipe"]["n_steps"] == 30
    assert entry["history"]["step"].tolist() == [30]
    assert entry["versions"]["cellflow"] == cf.__version__
    semrau.write_h5ad(tmp_path / "a.h5ad")
    again = anndata.read_h5ad(tmp_path / "a.h5ad").uns["cellflow"]["fit"]
    assert again["recipe"]["net"]["activation"] == "silu"
    np.testing.assert_allclose(again["history"]["loss"], entry["history"]["loss"])


def test_named_representation_is_used_and_nothing_else_written(course, fitted):
    assert fitted.dim == 3
    assert set(course.obsm) == {"X_pca"}
    assert set(course.uns["cellflow"]) == {"fit"}


def test_interpolated_cells_carry_their_origin(course, fitted):
    predicted = cf.tl.interpolate(course, fitted, 1.5)
    assert predicted.n_obs == 120
    assert predicted.n_vars == 0
    assert set(predicted.obs["start_time"]) == {1, 2}
    assert predicted.obs["cellflow_weight"].sum() == pytest.approx(1)
    start = predicted.obs["start_cell"].iloc[0]
    assert course.obs.loc[start, "day"] == 1
    assert predicted.obs_names.is_unique


def test_nearer_side_weighs_more(course, quick):
    fitted = cf.tl.fit(course, use_rep="X_pca", time_axis="real", recipe=quick, progress=False)
    predicted = cf.tl.interpolate(course, fitted, 3.5)
    shares = predicted.obs.groupby("start_time")["cellflow_weight"].sum()
    assert shares[2] == pytest.approx(0.25)
    assert shares[4] == pytest.approx(0.75)
    before = cf.tl.interpolate(course, fitted, 3.5, start="previous")
    assert set(before.obs["start_time"]) == {2}


def test_cells_that_share_one_clock_need_no_randomness_and_others_spread(course, quick):
    points = {}
    for asynchrony in (0.0, 1.0):
        method = cf.method("ot-cfm", asynchrony=asynchrony)
        flow = cf.tl.fit(course, use_rep="X_pca", method=method, recipe=quick, progress=False)
        points[asynchrony] = [
            cf.tl.interpolate(course, flow, 3, rng=rng).obsm["X_cellflow"] for rng in (0, 0, 1)
        ]
    once, again, other = points[0.0]
    assert (once == again).all()
    assert (once == other).all()
    once, again, other = points[1.0]
    assert (once == again).all()
    assert (once != other).any()


def test_at_a_time_of_the_course_the_cells_are_its_own(course, fitted):
    predicted = cf.tl.interpolate(course, fitted, 2)
    own = course[course.obs["day"] == 2]
    np.testing.assert_allclose(predicted.obsm["X_cellflow"], own.obsm["X_pca"], rtol=1e-6)
    assert predicted.obs["start_cell"].tolist() == own.obs_names.tolist()


def test_counts_decode_to_genes_and_the_prediction_survives_h5ad(semrau, quick, tmp_path):
    cf.pp.embed(semrau, n_dims=10)
    flow = cf.tl.fit(semrau, recipe=quick, progress=False)
    predicted = cf.tl.interpolate(semrau, flow, "30.0")
    assert predicted.var_names.tolist() == semrau.var_names.tolist()
    assert np.isfinite(predicted.X).all()
    predicted.write_h5ad(tmp_path / "p.h5ad")
    again = anndata.read_h5ad(tmp_path / "p.h5ad")
    np.testing.assert_array_equal(again.X, predicted.X)


def test_loaded_flow_predicts_from_a_file_that_was_never_embedded(semrau, quick, tmp_path):
    bare = semrau.copy()
    flow = cf.tl.fit(semrau, recipe=quick, progress=False)
    flow.save(tmp_path / "flow")
    first = cf.tl.interpolate(semrau, flow, 30)
    second = cf.tl.interpolate(bare, cf.Flow.load(tmp_path / "flow"), 30)
    np.testing.assert_allclose(first.obsm["X_cellflow"], second.obsm["X_cellflow"], atol=1e-5)


def test_same_seed_same_prediction(course, quick):
    ends = [
        cf.tl.interpolate(
            course, cf.tl.fit(course, use_rep="X_pca", recipe=quick, rng=rng, progress=False), 1.5
        ).obsm["X_cellflow"]
        for rng in (4, 4, np.random.default_rng(1), np.random.default_rng(1))
    ]
    np.testing.assert_array_equal(ends[0], ends[1])
    np.testing.assert_array_equal(ends[2], ends[3])
    assert not np.array_equal(ends[0], ends[2])


def test_flow_remembers_its_time_column(course, quick, tmp_path):
    course.obs["time"] = 10 - course.obs["day"]
    flow = cf.tl.fit(course, time_key="day", use_rep="X_pca", recipe=quick, progress=False)
    flow.save(tmp_path / "flow")
    del course.uns["cellflow"]
    predicted = cf.tl.interpolate(course, cf.Flow.load(tmp_path / "flow"), 1.5)
    assert set(predicted.obs["start_time"]) == {1, 2}
    assert (course.obs.loc[predicted.obs["start_cell"], "day"] < 3).all()


def test_cells_of_times_that_the_flow_has_not_seen_are_left_aside(course, quick):
    kept = course[course.obs["day"] != 2].copy()
    flow = cf.tl.fit(kept, use_rep="X_pca", recipe=quick, progress=False)
    predicted = cf.tl.interpolate(course, flow, 2)
    assert set(predicted.obs["start_time"]) == {1, 4}


def test_record_names_the_flow(course, fitted, tmp_path):
    fitted.save(tmp_path / "flow")
    entry = course.uns["cellflow"]["fit"]
    assert entry["flow_id"] == fitted.fingerprint == cf.Flow.load(tmp_path / "flow").fingerprint


def test_points_that_stand_there_are_used_and_made_anew_from_the_counts_alone(semrau, quick):
    import scanpy as sc

    cf.pp.embed(semrau, n_dims=5)
    before = cf.tl.fit(semrau, recipe=quick, progress=False)
    sc.pp.log1p(semrau)
    after = cf.tl.fit(semrau, recipe=quick, progress=False)
    assert after.fingerprint == before.fingerprint
    del semrau.obsm["X_cellflow"]
    with pytest.raises(cf.InputError, match=r"of kind 'counts', .* 'normalised'; run pp.embed"):
        cf.tl.interpolate(semrau, after, 30)


BAD_FITS = {
    "method": ({"method": "otcfm"}, "unknown method 'otcfm'.*did you mean 'ot-cfm'"),
    "recipe": ({"recipe": "best"}, "unknown recipe 'best'"),
    "time axis": ({"use_rep": "X_pca", "time_axis": "log"}, "unknown time axis 'log'"),
    "device": ({"device": "tpu9"}, "device 'tpu9' is not available"),
    "time key": ({"time_key": "dya"}, "no obs column 'dya'; there are: day"),
    "representation": ({"use_rep": "X_umap"}, "no obsm key 'X_umap'; there are: X_pca"),
    "nothing to embed": ({}, "no expression matrix"),
    "seed": ({"use_rep": "X_pca", "rng": -1}, "rng must be a non-negative integer.*got -1"),
}


@pytest.mark.parametrize("case", BAD_FITS)
def test_bad_fits_are_named(case, course):
    options, message = BAD_FITS[case]
    with pytest.raises(cf.InputError, match=message):
        cf.tl.fit(course, progress=False, **options)


def test_bad_times_to_predict_are_named(course, fitted):
    with pytest.raises(cf.InputError, match=r"time 9 is outside the times .*: 0, 1, 2, 4"):
        cf.tl.interpolate(course, fitted, 9)
    with pytest.raises(cf.InputError, match="'noon' is not a time of this time course"):
        cf.tl.interpolate(course, fitted, "noon")
    with pytest.raises(cf.InputError, match="unknown start 'next'; valid: both, previous"):
        cf.tl.interpolate(course, fitted, 1.5, start="next")
    del course.obsm["X_pca"]
    with pytest.raises(cf.InputError, match="no obsm key 'X_pca'"):
        cf.tl.interpolate(course, fitted, 1.5)


@pytest.mark.parametrize("verb", [cf.tl.fit, cf.tl.holdout])
def test_keywords_of_other_names_are_refused_with_the_one_that_is_meant(verb, course):
    with pytest.raises(cf.InputError, match=r"no parameter 'seed': give the seed as rng=1"):
        verb(course, seed=1)
    with pytest.raises(cf.InputError, match=r"'method_' \(did you mean 'method'\?\)"):
        verb(course, method_="ot-cfm")
