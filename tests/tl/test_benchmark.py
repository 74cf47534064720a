"""Comparison of methods: one table whatever the way to it, and nothing computed twice."""

import json
from importlib import util

import anndata
import numpy as np
import pandas as pd
import pytest
import torch

import cellflow as cf
from cellflow import FileError, InputError
from cellflow.evaluation import external, predict, runs
from cellflow.evaluation.fold import Fold
from cellflow.evaluation.named_methods import ExternalMethod
from cellflow.evaluation.summary import format_summary
from cellflow.metrics import BASELINES

TORCHCFM = pytest.mark.skipif(util.find_spec("torchcfm") is None, reason="torchcfm not installed")


def benchmark(adata, recipe, **options):
    defaults = {"use_rep": "X_pca", "times": [1], "max_cells": 20, "progress": False}
    return cf.tl.benchmark(adata, recipe=recipe, **{**defaults, **options})


def same(one, other):
    pd.testing.assert_frame_equal(one.drop(columns="seconds"), other.drop(columns="seconds"))


@pytest.fixture
def fits(monkeypatch):
    """Fits and baselines that were really computed."""
    made = {"fit": [], "baselines": []}
    score_method, score_baselines = runs.score_method, Fold.score_baselines

    def seen_fit(evaluation, fold, baselines, method, **options):
        made["fit"].append((fold.time, method.name, options["seed"]))
        return score_method(evaluation, fold, baselines, method, **options)

    def seen_baselines(fold, *args, **options):
        made["baselines"].append(fold.time)
        return score_baselines(fold, *args, **options)

    monkeypatch.setattr(runs, "score_method", seen_fit)
    monkeypatch.setattr(Fold, "score_baselines", seen_baselines)
    return made


def test_a_row_for_each_fit_and_baseline(course, quick):
    table = benchmark(course, quick, methods=["ot-cfm", "i-cfm"], seeds=[0, 3], times=None)
    assert len(table) == 2 * (len(BASELINES) + 2 * 2)
    assert table["time"].unique().tolist() == [1, 2]
    assert set(table[table["role"] == "baseline"]["method"]) == set(BASELINES)
    models = table[table["role"] == "model"]
    assert models["seed"].tolist() == [0, 3] * 4
    numbers = ["w1", "w1_half", "energy", "cov_error", "gap_closed", "seconds"]
    assert np.isfinite(models[numbers].astype(float)).all(axis=None)
    assert (table["error"] == "").all()
    assert (table["protocol"] == "strict").all()
    assert (table["n_dims"] == 3).all()


def test_numbers_are_those_of_holdout(course, quick):
    options = {"use_rep": "X_pca", "protocol": "paper", "progress": False}
    wanted = cf.tl.holdout(course, recipe=quick, method="vp", rng=[1, 2], **options)
    table = cf.tl.benchmark(course, recipe=quick, methods=["vp"], seeds=[1, 2], **options)
    models = table[table["role"] == "model"].reset_index(drop=True)
    columns = [column for column in models if column in wanted and column != "seconds"]
    assert {"w1", "w1_uniform", "w2", "mmd", "reference", "gap_closed", "n_true"} <= set(columns)
    pd.testing.assert_frame_equal(models[columns], wanted[columns], check_dtype=False)
    for name in BASELINES:
        rows = table[table["method"] == name]
        for score in ("w1", "w1_half", "energy", "var_ratio"):
            assert rows[score].tolist() == wanted[f"{score}_{name}"].unique().tolist()


def test_only_what_is_missing_is_computed(course, quick, fits, tmp_path):
    options = {"methods": ["ot-cfm", "i-cfm"], "times": None, "folder": tmp_path / "run"}
    first = benchmark(course, quick, **options)
    assert (len(fits["fit"]), len(fits["baselines"])) == (4, 2)
    rows = sorted((tmp_path / "run" / "fits").iterdir())
    gone = json.loads(rows[1].read_text())["key"]
    rows[1].unlink()
    rows[2].write_text("cut sho")
    fits["fit"].clear()
    again = benchmark(course, quick, **options)
    same(first, again)
    assert (len(fits["fit"]), len(fits["baselines"])) == (2, 2)
    assert gone["time"] in {time for time, *_ in fits["fit"]}
    fits["fit"].clear()
    more = benchmark(course, quick, **{**options, "methods": ["ot-cfm", "vp", "i-cfm"]})
    assert fits["fit"] == [(1, "vp", 0), (2, "vp", 0)]
    same(more[more["method"] != "vp"].reset_index(drop=True), again)
    benchmark(course, quick, **options, force=True)
    assert len(fits["fit"]) == 6


def test_the_summary_states_the_error_of_scores_of_a_sample(course, quick):
    sample = benchmark(course, quick)
    assert (sample["w1_error"] > 0).all()
    assert "standard error" in format_summary(sample)
    assert "standard error" not in format_summary(benchmark(course, quick, max_cells=None))


@pytest.mark.parametrize(
    "change", ["cells", "method", "recipe", "protocol", "clock", "seed", "version"]
)
def test_nothing_stale_is_taken(change, course, quick, fits, tmp_path, monkeypatch):
    options = {"folder": tmp_path / "run", "methods": [{"name": "m", "method": "ot-cfm"}]}
    benchmark(course, quick, **options)
    if change == "cells":
        course.obsm["X_pca"][0, 0] += 1
    elif change == "method":
        options["methods"] = [{"name": "m", "method": "ot-cfm", "sigma": 0.2}]
    elif change == "recipe":
        quick = cf.recipe(quick, n_steps=31)
    elif change == "protocol":
        options["protocol"] = "paper"
    elif change == "clock":
        options["time_axis"] = "index"
    elif change == "seed":
        options["seeds"] = [5]
    else:
        monkeypatch.setattr(runs, "versions", lambda: {"cellflow": "9"})
    benchmark(course, quick, **options)
    assert len(fits["fit"]) == 2
    assert len(fits["baselines"]) == (
        2 if change in ("cells", "protocol", "clock", "version") else 1
    )


def test_cells_on_disk_and_seeds_of_numpy_are_the_same_work(semrau, quick, fits, tmp_path):
    semrau[::8].copy().write_h5ad(tmp_path / "cells.h5ad")
    options = {"use_rep": None, "times": 36, "folder": tmp_path / "run"}
    for seeds in ([0], np.arange(1)):
        backed = anndata.read_h5ad(tmp_path / "cells.h5ad", backed="r")
        benchmark(backed, quick, methods=["ot-cfm"], seeds=seeds, **options)
        backed.file.close()
    assert len(fits["fit"]) == len(fits["baselines"]) == 1


def test_another_name_is_the_same_work(course, quick, fits, tmp_path):
    for data, name in (("one", "a"), ("other", "b")):
        methods = [{"name": name, "method": "ot-cfm"}]
        benchmark({data: course}, quick, methods=methods, folder=tmp_path / "run")
    assert len(fits["fit"]) == len(fits["baselines"]) == 1


@pytest.mark.slow
def test_processes_change_nothing(course, quick, tmp_path):
    course.write_h5ad(tmp_path / "course.h5ad")
    data = {"memory": course, "file": tmp_path / "course.h5ad"}
    options = {"methods": ["ot-cfm"], "each": {"file": {"n_dims": 2}}}
    alone = benchmark(data, quick, **options)
    same(benchmark(data, quick, **options, jobs=2), alone)
    assert alone.groupby("data")["n_dims"].first().to_dict() == {"file": 2, "memory": 3}


def test_one_fit_that_fails_leaves_the_others(course, quick, tmp_path, monkeypatch):
    fit = predict.fit_flow

    def failing(*args, **options):
        if options["method"].coupling.name == "independent":
            raise RuntimeError("no luck\ntoday")
        return fit(*args, **options)

    monkeypatch.setattr(predict, "fit_flow", failing)
    options = {"methods": ["i-cfm", "ot-cfm"], "folder": tmp_path / "run"}
    table = benchmark(course, quick, **options).set_index("method")
    assert table.loc["i-cfm", "error"] == "RuntimeError: no luck today"
    assert np.isnan(table.loc["i-cfm", "w1"])
    assert np.isfinite(table.loc["ot-cfm", "w1"])
    monkeypatch.undo()
    assert (benchmark(course, quick, **options)["error"] == "").all()


def test_the_rival_is_the_best_of_baselines_and_external_methods(course, quick):
    table = benchmark(course, quick, times=None)
    rivals = table[table["role"] != "model"].groupby("method")["w1"].mean()
    assert (table["rival"] == rivals.idxmin()).all()
    start = table[table["method"] == rivals.idxmin()].set_index("time")["w1_half"]
    row = table[table["role"] == "model"].iloc[0]
    gap = start[row["time"]] - row["reference"]
    share = (start[row["time"]] - row["w1_half"]) / gap if gap > 0 else np.nan
    np.testing.assert_equal(row["gap_closed_best"], share)


def test_growth_is_of_the_methods_that_ask_for_it(course, quick):
    """Rates in the data leave the couplings of others alone."""
    plain = benchmark(course, quick, methods=["ot-cfm"])
    course.obs["cellflow_growth"] = np.linspace(-1, 1, course.n_obs)
    grown = {"name": "grown", "method": "ot-cfm", "objective": "growth"}
    table = benchmark(course, quick, methods=["ot-cfm", grown])
    w1 = table.set_index("method")["w1"]
    assert w1["ot-cfm"] == plain.set_index("method")["w1"]["ot-cfm"]
    assert w1["grown"] != w1["ot-cfm"]


BAD = {
    "method": ({"methods": ["ot-cmf"]}, "unknown method 'ot-cmf'"),
    "setting": ({"methods": [{"method": "vp", "sigam": 1}]}, "method 'vp' 'sigam' .*'sigma'"),
    "external setting": (
        {"methods": [{"method": "torchcfm:ot-cfm", "sigma": 1}]}, "valid: name, method, n_steps",
    ),
    "steps": ({"methods": [{"method": "torchcfm:ot-cfm", "n_steps": "x"}]}, "whole number"),
    "name": ({"methods": [{"method": "vp", "name": 3}]}, "must be text, got 3"),
    "no method": ({"methods": [{"name": "vp"}]}, "with the key method"),
    "none": ({"methods": []}, "methods is empty"),
    "twice": ({"methods": ["vp", "vp"]}, "several methods are called vp"),
    "prior": ({"methods": [{"method": "vp", "prior_method": "vp"}]}, "does not use a flow"),
    "seeds": ({"seeds": []}, "seeds is empty"),
    "seed": ({"seeds": ["a"]}, "seeds must be whole numbers from 0, got 'a'"),
    "jobs": ({"jobs": 0}, "jobs must be positive"),
    "representation": ({"use_rep": "X"}, "data 'data': no obsm key 'X'"),
    "no expression": ({"use_rep": None}, "data 'data': X is empty, so there is no expression"),
    "dimensions": ({"n_dims": 4}, "data 'data': n_dims 4 is more"),
    "time": ({"times": 4}, "data 'data': time 4 has no neighbours"),
    "no time": ({"times": []}, "data 'data': no times were given"),
    "protocol": ({"protocol": "lax"}, "unknown protocol of data 'data' 'lax'"),
    "each": ({"each": {"b": {}}}, "unknown data set in each 'b'"),
    "setting of data": ({"each": {"data": {"tims": 1}}}, "did you mean 'times'"),
    "value": ({"max_cells": 3}, "max_cells=3"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_mistakes_are_named_before_any_work(case, course, quick, fits, tmp_path):
    options, message = BAD[case]
    with pytest.raises(InputError, match=message):
        benchmark(course, quick, folder=tmp_path / "run", **options)
    assert fits == {"fit": [], "baselines": []}
    assert list(tmp_path.iterdir()) == []


def test_foreign_folders_are_refused(course, quick, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(FileError, match="not the folder of a benchmark"):
        benchmark(course, quick, folder=tmp_path)
    with pytest.raises(FileError, match="is a file"):
        benchmark(course, quick, folder=tmp_path / "mine.txt")
    with pytest.raises(FileError, match="cannot write"):
        benchmark(course, quick, folder=tmp_path / "no" / "where")
    with pytest.raises(InputError, match="there are no data"):
        benchmark({}, quick)


def test_an_external_method_that_is_missing_says_how_to_get_it(course, quick, monkeypatch):
    monkeypatch.setattr(external, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=r'pip install "cellflow-snapshots\[torchcfm\]"'):
        benchmark(course, quick, methods=["torchcfm:i-cfm"])


@TORCHCFM
def test_an_external_method_is_scored_like_ours_and_leaves_global_generators_alone(course, quick):
    methods = [{"method": f"torchcfm:{name}", "n_steps": 40} for name in ("ot-cfm", "i-cfm")]
    before = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    table = benchmark(course, quick, methods=[*methods, "ot-cfm"], seeds=[0, 1])
    np.testing.assert_array_equal(np.random.get_state()[1], before[0])  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), before[1])
    others = table[table["role"] == "external"]
    assert others["w1"].nunique() == 4
    assert (others["n_predicted"] == 60).all()
    same(table, benchmark(course, quick, methods=[*methods, "ot-cfm"], seeds=[0, 1]))


@TORCHCFM
@pytest.mark.parametrize("kind", ["torchcfm:ot-cfm", "torchcfm:i-cfm"])
def test_an_external_method_learns_the_speed_of_either_clock(kind, course, quick):
    """Day 2 is a third of the way from 1 to 4 on the real axis, which it is given."""
    table = benchmark(
        course, quick, methods=[{"method": kind, "n_steps": 400}], times=[2], whiten=False,
        max_cells=None,
    ).set_index("method")  # fmt: skip
    assert table.loc[kind, "w1"] < 0.5 < table.loc["previous", "w1"]
    index = benchmark(
        course, quick, methods=[{"method": kind, "n_steps": 400}], times=[2], whiten=False,
        max_cells=None, time_axis="index",
    ).set_index("method")  # fmt: skip
    # Half of three days' way instead of a third of it.
    assert index.loc[kind, "mean_error"] == pytest.approx(0.5, abs=0.3)


def test_steps_of_an_external_method_follow_its_epochs():
    method = ExternalMethod("p", "torchcfm:ot-cfm")
    assert external.count_steps(method, [4857, 5756, 6788]) == 300 * 37
    assert external.count_steps(method, [70, 200]) == 5000
