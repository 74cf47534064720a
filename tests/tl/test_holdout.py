"""Held-out evaluation: what is scored, and that nothing leaks in the strict protocol."""

import anndata
import numpy as np
import pytest

import cellflow as cf
from cellflow import InputError
from cellflow.evaluation import predict
from cellflow.metrics import BASELINES


def holdout(adata, recipe, **options):
    return cf.tl.holdout(adata, recipe=recipe, progress=False, **options)


def test_every_interior_time_is_a_fold_with_all_columns(course, quick):
    scores = holdout(course, quick, use_rep="X_pca")
    assert scores["time"].tolist() == [1, 2]
    assert scores["n_true"].tolist() == [60, 60]
    of_samples = [name for name in scores if "w1_error" in name or "w1_excess" in name]
    assert np.isfinite(scores.drop(columns=of_samples).to_numpy()).all()
    wanted = {"w1", "w1_uniform", "w1_half", "w2", "mmd", "energy", "mean_error", "cov_error"}
    wanted |= {"var_ratio", "reference", "gap_closed", "seconds"}
    wanted |= {f"{metric}_{name}" for metric in ("w1", "w1_half") for name in BASELINES}
    assert wanted <= set(scores)


def test_moving_population_is_predicted_better_than_by_its_neighbours(course):
    recipe = cf.recipe("default", n_steps=300, net={"width": 32})
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


def test_several_seeds_are_measured_with_the_same_baselines(course, quick):
    both = holdout(course, quick, use_rep="X_pca", times=[1], rng=[3, 5])
    alone = holdout(course, quick, use_rep="X_pca", times=[1], rng=5)
    assert both["seed"].tolist() == [3, 5]
    assert both["w1_midpoint"].nunique() == both["reference"].nunique() == 1
    assert both["w1"].nunique() == 2
    columns = [column for column in alone if column != "seconds"]
    np.testing.assert_array_equal(both[columns].iloc[1], alone[columns].iloc[0])


def predicted_points(adata, recipe, monkeypatch, **options):
    """What a fold predicts, in its own space."""
    seen = []
    carried = predict.predict_fold
    monkeypatch.setattr(
        predict, "predict_fold", lambda *args: seen.append(carried(*args).points) or carried(*args)
    )
    holdout(adata, recipe, **options)
    monkeypatch.undo()
    return seen[0]


@pytest.mark.parametrize(("protocol", "same"), [("strict", True), ("paper", False)])
def test_nothing_of_the_held_out_cells_reaches_a_strict_prediction(
    protocol, same, semrau, course, quick, monkeypatch
):
    """Other held-out cells, the same prediction: from an embedding, and from counts."""
    semrau.X = semrau.X.toarray()
    for adata, time, options in (
        (course, 2, {"time_key": "day", "use_rep": "X_pca"}),
        (semrau, 24, {"time_key": "time"}),
    ):
        other = adata.copy()
        held_out = (other.obs[options["time_key"]] == time).to_numpy()
        if "use_rep" in options:
            other.obsm["X_pca"][held_out] *= 7
        else:
            other.X[held_out] = 5 * other.X[held_out][:, ::-1] + 3
        first, second = (
            predicted_points(a, quick, monkeypatch, times=[time], protocol=protocol, **options)
            for a in (adata, other)
        )
        assert np.array_equal(first, second) is same


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


def test_cells_of_the_first_time_can_be_moved_instead(course, quick):
    """At the second time they are those of the time before; later they are not."""
    options = {"use_rep": "X_pca", "protocol": "paper", "method": "wfr-fm"}
    first, previous = (
        holdout(course, quick, start=start, **options).drop(columns="seconds")
        for start in ("first", None)
    )
    assert course.uns["cellflow"]["holdout"]["settings"]["start"] == "previous"
    second, third = (first["time"] == 1), (first["time"] == 2)
    np.testing.assert_array_equal(first[second], previous[second])
    assert first[third]["w1"].item() != previous[third]["w1"].item()
    assert first[third]["w1_midpoint"].item() == previous[third]["w1_midpoint"].item()


def test_record_says_what_was_done_and_survives_h5ad(semrau, quick, tmp_path):
    scores = holdout(semrau, quick, times=["24.0"])
    entry = semrau.uns["cellflow"]["holdout"]
    assert entry["settings"]["n_dims"] == 5
    assert entry["settings"]["whiten"]
    assert not entry["settings"]["representation_may_have_seen_held_out"]
    semrau.write_h5ad(tmp_path / "a.h5ad")
    again = anndata.read_h5ad(tmp_path / "a.h5ad").uns["cellflow"]["holdout"]
    np.testing.assert_allclose(again["scores"]["w1"], scores["w1"])


@pytest.mark.parametrize(
    ("options", "seen"),
    [({"use_rep": "X_pca"}, True), ({"protocol": "paper"}, True), ({}, False)],
)
def test_representations_that_may_have_seen_everything_are_marked(options, seen, semrau, quick):
    semrau.obsm["X_pca"] = semrau.X.toarray()[:, :3]
    holdout(semrau, quick, times=24, **options)
    settings = semrau.uns["cellflow"]["holdout"]["settings"]
    assert settings["representation_may_have_seen_held_out"] is seen


def test_times_with_too_few_cells_are_not_scored(course, quick):
    course = course[np.r_[0:63, 120:240]].copy()
    assert holdout(course, quick, use_rep="X_pca")["time"].tolist() == [2]
    with pytest.raises(cf.InputError, match="time 1 has fewer than 4 cells"):
        holdout(course, quick, use_rep="X_pca", times=[1])


BAD = {
    "no such time": (
        {"times": [3]},
        r"no cells were measured at time 3\.0; times in the data: 0, 1, 2, 4",
    ),
    "none": ({"times": []}, "no times were given; times in the data: 0, 1, 2, 4"),
    "an end": ({"times": [4]}, "time 4 has no neighbours on both sides; .* 1, 2"),
    "not a time": ({"times": ["noon"]}, "'noon' is not a time"),
    "protocol": ({"protocol": "lax"}, "unknown protocol 'lax'; valid: strict, paper"),
    "start": ({"start": "last"}, "unknown start 'last'; valid: both, previous, first"),
    "method": ({"method": "sinkhorn"}, "unknown method 'sinkhorn'"),
    "setting": ({"n_dim": 3}, r"unknown parameter of holdout .*'n_dim' \(did you mean 'n_dims'"),
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


@pytest.mark.slow
def test_protocol_of_the_paper_on_real_cells(shared_data):
    """Baselines of the CITE-seq cells, known from other code, on the first 5 whitened PCs."""
    cite = anndata.read_h5ad(shared_data / "cite_pca100.h5ad")
    scores = holdout(
        cite[::4].copy(), cf.recipe("torchcfm", n_steps=2), time_key="time", use_rep="X_pca",
        n_dims=5, protocol="paper", times=[3],
    ).iloc[0]  # fmt: skip
    assert scores["w1_midpoint"] == pytest.approx(0.82, abs=0.06)
    assert scores["w1_previous"] == pytest.approx(0.98, abs=0.06)


def test_covariates_of_the_held_out_cells_are_never_looked_at(course, quick):
    """A category, a gap and a clone that only they have change nothing."""
    course.obs["drug"] = np.tile(["a", "b"], 120)
    course.obs["donor"] = np.tile(["x", "y", "z"], 80)
    other = course.copy()
    held_out = (other.obs["day"] == 1).to_numpy()
    other.obs["drug"] = other.obs["drug"].astype(object).where(~held_out, "foreign")
    other.obs["donor"] = other.obs["donor"].astype(object).where(~held_out, None)
    first, second = (
        holdout(adata, quick, use_rep="X_pca", times=[1], condition_keys="drug", label_key="donor")
        for adata in (course, other)
    )
    assert first["w1"].iloc[0] == second["w1"].iloc[0]


def test_fewer_cells_are_scored_on_every_side(course, quick):
    few = holdout(course, quick, use_rep="X_pca", times=[1], max_cells=30)
    row = few.iloc[0]
    assert (row["n_true"], row["n_predicted"]) == (30, 120)
    assert row["w1"] == row["w1_uniform"]
    assert row["w1_error"] > 0
    # 120 cells are carried, so thirty would have to be doubled twice.
    assert row["w1_excess"] == pytest.approx(2 * max(row["w1_half"] - row["w1"], 0))
    all_cells = holdout(course, quick, use_rep="X_pca", times=[1]).iloc[0]
    assert row["w1_midpoint"] != all_cells["w1_midpoint"]
    assert np.isnan([all_cells["w1_error"], all_cells["w1_excess"]]).all()


def test_methods_are_named_and_changed_as_in_fit(course, quick):
    scores = holdout(course, quick, use_rep="X_pca", times=[1], method=cf.method("sf2m", sigma=0.4))
    assert len(scores) == 1
    settings = course.uns["cellflow"]["holdout"]["settings"]["method"]
    assert (settings["objective"]["name"], settings["path"]["sigma"]) == ("velocity-score", 0.4)


def test_a_flow_that_another_needs_is_fitted_without_the_held_out_cells(course, quick, monkeypatch):
    fits, fit = [], predict.fit_flow

    def seen(marginals, *args, **options):
        flow = fit(marginals, *args, **options)
        fits.append((options["method"].objective.name, options.get("prior"), marginals.times, flow))
        return flow

    monkeypatch.setattr(predict, "fit_flow", seen)
    scores = holdout(course, quick, use_rep="X_pca", times=[1], method="oat-fm", prior_method="vp")
    assert np.isfinite(scores["w1"]).all()
    (first, none, times, prior), (second, given, same, flow) = fits
    assert (first, none, second) == ("velocity", None, "oat")
    assert given is prior
    assert times == same
    assert len(times) == 3
    assert prior.method.path.name == "vp"
    assert flow.recipe.n_steps == quick.n_steps
    record = course.uns["cellflow"]["holdout"]["settings"]
    assert record["prior_method"]["path"]["name"] == "vp"


def test_a_fine_tuning_by_name_has_the_noise_of_its_prior(course, quick, monkeypatch):
    seen, after = [], predict.resolve_fine_tuning

    def kept(*args):
        seen.append(after(*args)[0].path.sigma)
        return after(*args)

    monkeypatch.setattr(predict, "resolve_fine_tuning", kept)
    options = {"use_rep": "X_pca", "times": [1], "method": "oat-fm"}
    holdout(course, quick, prior_method=cf.method("ot-cfm", sigma=0.3), **options)
    holdout(course, quick, prior_method="vp", **options)
    holdout(course, quick, **{**options, "method": cf.method("oat-fm", sigma=0.7)})
    assert seen == [0.3, 0.0, 0.7]


def test_priors_without_effect_or_use_are_refused_before_any_fit(course, quick):
    with pytest.raises(InputError, match="does not use a flow fitted before, so prior_method"):
        holdout(course, quick, use_rep="X_pca", prior_method="vp")
    for name in ("mean-flow", "fm", "wfr-fm"):
        with pytest.raises(InputError, match="fine-tunes a velocity between populations"):
            holdout(course, quick, use_rep="X_pca", method="oat-fm", prior_method=name)


def test_a_coupling_that_needs_a_flow_has_one(course, quick):
    scores = holdout(
        course,
        quick,
        use_rep="X_pca",
        times=[1],
        method=cf.method("ot-cfm", coupling="acceleration"),
    )
    assert np.isfinite(scores["w1"]).all()


def test_the_midpoint_has_the_clock_of_the_protocol_where_the_flow_learns_its_own(course, quick):
    options = {"use_rep": "X_pca", "times": 2, "recipe": quick, "progress": False}
    learned, real, index = (
        cf.tl.holdout(course, time_axis=axis, **options) for axis in (None, "real", "index")
    )
    assert course.uns["cellflow"]["holdout"]["settings"]["time_axis"] == "index"
    assert learned["w1_midpoint"].tolist() == real["w1_midpoint"].tolist()
    assert learned["w1"].tolist() != real["w1"].tolist()
    assert index["w1_midpoint"].tolist() != real["w1_midpoint"].tolist()
