"""Scores are of the representation and the settings of a flow, or of the recorded embedding."""

import json

import numpy as np
import pandas as pd
import pytest

import cellflow as cf
from cellflow import InputError
from cellflow.evaluation import predict
from cellflow.evaluation.cautions import check_score_settings, flow_settings
from cellflow.evaluation.evaluation import Evaluation
from cellflow.evaluation.held_out import make_held_out

SPACE = ("use_rep", "layer", "kind", "n_dims", "whiten")


def holdout(adata, **options):
    table = cf.tl.holdout(adata, progress=False, **options)
    return table, table.attrs["settings"]


def space(settings):
    return tuple(settings[name] for name in SPACE)


def test_the_recorded_embedding_is_fitted_anew_and_what_is_given_wins(semrau, quick):
    cf.pp.embed(semrau, n_dims=3)
    _, settings = holdout(semrau, times=24, recipe=quick)
    assert space(settings) == (None, None, "counts", 3, False)
    assert not settings["representation_may_have_seen_held_out"]
    _, settings = holdout(semrau, times=24, recipe=quick, n_dims=4, whiten=True)
    assert space(settings) == (None, None, "counts", 4, True)
    # An embedding that is named is used as it is, by the defaults of benchmarks.
    _, settings = holdout(semrau, times=24, recipe=quick, use_rep="X_cellflow")
    assert space(settings) == ("X_cellflow", None, "auto", 3, True)
    assert settings["representation_may_have_seen_held_out"]


def test_without_an_embedding_the_defaults_are_those_of_benchmarks(semrau):
    settings = Evaluation(semrau, make_held_out({})).settings
    assert (settings.kind, settings.whiten, settings.n_dims) == ("auto", True, None)


def test_an_embedding_of_an_embedding_keeps_its_key_and_dimensions(course, quick):
    cf.pp.embed(course, use_rep="X_pca", n_dims=2, whiten=True)
    _, settings = holdout(course, times=1, recipe=quick)
    assert space(settings) == ("X_pca", None, "auto", 2, True)


def test_another_layer_is_read_by_its_own_values(semrau):
    cf.pp.embed(semrau, n_dims=3)
    semrau.layers["halves"] = semrau.X / 2
    settings = Evaluation(semrau, make_held_out({"layer": "halves"})).settings
    assert (settings.layer, settings.kind, settings.n_dims) == ("halves", "auto", 3)


def test_an_embedding_with_more_dimensions_than_training_cells_keeps_what_there_is(semrau, quick):
    few = semrau[np.isin(semrau.obs["time"], [0, 24, 72])]
    few = few[np.r_[0:8, len(few) // 2 : len(few) // 2 + 8, len(few) - 8 : len(few)]].copy()
    few.obs["time"] = np.repeat([0.0, 1.0, 2.0], 8)
    cf.pp.embed(few, n_dims=20)
    _, settings = holdout(few, recipe=quick)
    assert settings["n_dims"] == 15


def test_held_out_counts_do_not_reach_the_recorded_recipe(semrau, quick, monkeypatch):
    semrau.X = semrau.X.toarray()
    other = semrau.copy()
    held_out = (other.obs["time"] == 24).to_numpy()
    other.X[held_out] = 5 * other.X[held_out][:, ::-1] + 3
    predicted, original = [], predict.predict_fold

    def keep(*args):
        predicted.append(original(*args))
        return predicted[-1]

    monkeypatch.setattr(predict, "predict_fold", keep)
    for adata in (semrau, other):
        cf.pp.embed(adata, n_dims=3)
        holdout(adata, times=24, recipe=quick)
    assert np.array_equal(predicted[0].points, predicted[1].points)


def test_a_flow_is_scored_by_its_own_settings(course, quick):
    course.obs["drug"] = np.tile(["a", "b"], 120)
    course.obs["donor"] = np.tile(["x", "y", "z"], 80)
    flow = cf.tl.fit(
        course, use_rep="X_pca", method=cf.method("ot-cfm", sigma=0.2), condition_keys="drug",
        label_key="donor", time_axis="index", recipe=quick, progress=False,
    )  # fmt: skip
    del course.uns["cellflow"]
    scores, settings = holdout(course, times=1, flow=flow)
    assert check_score_settings(settings, flow_settings(flow)) == []
    assert settings["flow_id"] == flow.fingerprint
    assert scores.attrs["cautions"] == []
    given, _ = holdout(
        course, times=1, use_rep="X_pca", n_dims=3, whiten=False, condition_keys="drug",
        method=cf.method("ot-cfm", sigma=0.2), label_key="donor", time_axis="index", recipe=quick,
    )  # fmt: skip
    assert scores["w1"].tolist() == given["w1"].tolist()
    _, settings = holdout(
        course,
        times=1,
        flow=flow,
        whiten=True,
        method="i-cfm",
        condition_keys="donor",
        label_key="drug",
    )
    assert settings["method"]["coupling"]["name"] == "independent"
    assert (settings["condition_keys"], settings["label_key"]) == (["donor"], "drug")
    assert (settings["whiten"], settings["time_axis"]) == (True, "index")
    assert settings["recipe"] == quick.model_dump()


def test_scores_of_another_representation_than_the_given_flow_are_cautioned(course, quick):
    flow = cf.tl.fit(course, use_rep="X_pca", method="ot-cfm", recipe=quick, progress=False)
    scores, _ = holdout(course, times=1, flow=flow, n_dims=2)
    assert any("n_dims 2 (flow: 3)" in said for said in scores.attrs["cautions"])


def test_flows_that_cannot_be_scored_say_what_can(course, semrau, quick):
    flow = cf.tl.fit(course, use_rep="X_pca", method="ot-cfm", recipe=quick, progress=False)
    tuned = cf.tl.finetune(course, flow, n_steps=3, progress=False)
    with pytest.raises(InputError, match=r"was fine-tuned .* give method 'oat-fm'"):
        holdout(course, flow=tuned)
    cf.pp.embed(semrau, n_dims=3)
    of_genes = cf.tl.fit(semrau, method="ot-cfm", recipe=quick, progress=False)
    with pytest.raises(InputError, match=r"of the flow was made from expression.*there are: X_pca"):
        holdout(course, flow=of_genes)
    bare = cf.Flow(flow.nets, flow.axis, flow.method, flow.recipe)
    with pytest.raises(InputError, match="was not fitted to an AnnData"):
        holdout(course, flow=bare)


def test_tables_of_scores_can_be_joined(course, quick):
    tables = [holdout(course, times=[time], use_rep="X_pca", recipe=quick)[0] for time in (1, 2)]
    assert pd.concat(tables)["time"].tolist() == [1, 2]


def test_the_command_scores_a_flow_and_changes_what_is_named(course, quick, run, tmp_path):
    flow = cf.tl.fit(course, use_rep="X_pca", method="ot-cfm", recipe=quick, progress=False)
    flow.save(tmp_path / "flow")
    course.write_h5ad(tmp_path / "c.h5ad")
    words = ["holdout", "c.h5ad", "--flow", "flow", "--time", "1", "--output"]
    code, out, _ = run(*words, "a.json")
    assert code == 0
    assert "scored in obsm['X_pca'] as it is, 3 dimensions (as recorded in the flow)" in out
    expected, _ = holdout(course, times=1, flow=flow)
    document = json.loads((tmp_path / "a.json").read_text())
    assert document["folds"][0]["w1"] == expected["w1"].item()
    assert check_score_settings(document["settings"], flow_settings(flow)) == []
    assert run(*words, "b.json", "--n-steps", "7", "--sigma", "0.4", "--no-whiten")[0] == 0
    changed = json.loads((tmp_path / "b.json").read_text())["settings"]
    assert (changed["recipe"]["n_steps"], changed["recipe"]["batch_size"]) == (7, quick.batch_size)
    assert changed["method"]["path"]["sigma"] == 0.4
    assert changed["method"]["coupling"]["name"] == flow.method.coupling.name
    code, _, err = run("holdout", "c.h5ad", "--flow", "nowhere", "--output", "c.json")
    assert code == 2
    assert "nowhere" in err


@pytest.mark.slow
def test_the_page_says_where_scores_are_of_another_representation(course, quick, run, tmp_path):
    flow = cf.tl.fit(course, use_rep="X_pca", recipe=quick, progress=False)
    flow.save(tmp_path / "flow")
    course.write_h5ad(tmp_path / "c.h5ad")
    common = ["--time", "1", "--n-steps", "3", "--output"]
    run("holdout", "c.h5ad", "--use-rep", "X_pca", "--n-dims", "2", *common, "other.json")
    run("holdout", "c.h5ad", "--flow", "flow", *common[:2], "--output", "own.json")
    says = "Held-out scores are of another representation than the flow"
    for name, differs in (("other", True), ("own", False)):
        page = f"{name}.html"
        words = ["report", "c.h5ad", "--flow", "flow", "--scores", f"{name}.json", "--output", page]
        code, out, _ = run(*words)
        text = (tmp_path / page).read_text()
        assert code == 0
        # Before everything else, and beside the numbers.
        assert text.count(says) == 2 * differs
        assert (says in out) is differs
        assert "not recorded with them" not in text
