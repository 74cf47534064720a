"""`cellflow benchmark`: files in, table, summary and figure out; mistakes in one line."""

import numpy as np
import pandas as pd
import pytest

import cellflow as cf
from cellflow.evaluation import predict

SHORT = ["--use-rep", "X_pca", "--time", "1", "--n-steps", "20", "--max-cells", "20"]
PLAN = """
data:
  - {name: three, file: "${COURSES}/course.h5ad", use_rep: X_pca, times: [1], max_cells: 20}
  - {name: two, file: course.h5ad, use_rep: X_pca, n_dims: 2, times: "2", protocol: paper}
recipe: {n_steps: 20}
methods:
  - ot-cfm
  - {name: own, method: i-cfm, sigma: 0.2, recipe: torchcfm, n_steps: 10}
seeds: [0, 1]
"""


@pytest.fixture
def file(course, tmp_path, monkeypatch):
    monkeypatch.setenv("COURSES", str(tmp_path))
    course.write_h5ad(tmp_path / "course.h5ad")
    return "course.h5ad"


@pytest.mark.slow
def test_a_plan_becomes_table_summary_and_figure(run, file, course, tmp_path):
    (tmp_path / "plan.yaml").write_text(PLAN)
    code, out, err = run("benchmark", "plan.yaml", "--output", "o", "--jobs", 1)
    assert code == 0, err
    assert "benchmark: 100%" in err
    assert "three: mean over the held-out times" in out
    assert out.splitlines()[-1] == "wrote o: benchmark.csv, benchmark.md"
    names = sorted(path.name for path in (tmp_path / "o").iterdir())
    assert names == ["baselines", "benchmark.csv", "benchmark.md", "benchmark.png", "fits"]
    table = pd.read_csv(tmp_path / "o" / "benchmark.csv")
    wanted = cf.tl.benchmark(
        {"three": course, "two": course},
        methods=["ot-cfm", {"name": "own", "method": "i-cfm", "sigma": 0.2,
                            "recipe": cf.recipe("torchcfm", n_steps=10)}][:1],
        recipe=cf.recipe("default", n_steps=20), seeds=[0, 1], use_rep="X_pca",
        each={"three": {"times": 1, "max_cells": 20},
              "two": {"times": 2, "n_dims": 2, "protocol": "paper"}},
        progress=False,
    )  # fmt: skip
    ours = table[table["method"] == "ot-cfm"]["w1"]
    np.testing.assert_allclose(ours, wanted[wanted["method"] == "ot-cfm"]["w1"])
    assert len(table[table["method"] == "own"]) == 4
    text = (tmp_path / "o" / "benchmark.md").read_text()
    assert (
        "## three\n\nProtocol `strict`, learned time axis, start both, 3 whitened dimensions"
        in text
    )
    assert (
        "Protocol `paper`, index time axis, start previous, 2 whitened dimensions; held out: day 2."
        in text
    )
    assert "| `own`" in text
    before = [path.stat().st_mtime_ns for path in (tmp_path / "o" / "fits").iterdir()]
    assert run("benchmark", "plan.yaml", "--output", "o", "--quiet", "--jobs", 1)[:2] == (0, "")
    assert before == [path.stat().st_mtime_ns for path in (tmp_path / "o" / "fits").iterdir()]
    assert (tmp_path / "o" / "benchmark.md").read_text() == text


def test_files_and_options_do_without_a_plan(run, file, course, tmp_path):
    course.write_h5ad(tmp_path / "more.h5ad")
    words = ["benchmark", file, "more.h5ad", "--method", "ot-cfm", "--method", "vp", "--seed", 3]
    code, _, err = run(*words, *SHORT, "--output", "o", "--jobs", 1)
    assert code == 0, err
    table = pd.read_csv(tmp_path / "o" / "benchmark.csv")
    models = table[table["role"] == "model"]
    assert models["data"].tolist() == ["course", "course", "more", "more"]
    assert (models["seed"] == 3).all()


def test_a_fit_that_fails_is_named_and_the_exit_code_is_1(run, file, tmp_path, monkeypatch):
    fit = predict.fit_flow

    def failing(*args, **options):
        if options["method"].path.name == "vp":
            raise RuntimeError("no luck")
        return fit(*args, **options)

    monkeypatch.setattr(predict, "fit_flow", failing)
    words = ["benchmark", file, "--method", "vp", "--method", "ot-cfm", *SHORT]
    code, _, err = run(*words, "--output", "o", "--jobs", 1, "--quiet")
    assert code == 1
    assert err == "cellflow: failed: course, day 1, vp, seed 0: RuntimeError: no luck\n"
    text = (tmp_path / "o" / "benchmark.md").read_text()
    assert "- course, day 1, vp, seed 0: RuntimeError: no luck" in text
    assert (tmp_path / "o" / "benchmark.png").exists()


def test_baselines_that_fail_leave_a_summary_without_scores(run, file, tmp_path, monkeypatch):
    def failing(*args, **options):
        raise RuntimeError("no luck")

    monkeypatch.setattr("cellflow.evaluation.fold.Fold.score_baselines", failing)
    code, _, err = run("benchmark", file, *SHORT, "--output", "o", "--jobs", 1, "--quiet")
    assert (code, err.count("\n")) == (1, 1)
    assert "Nothing was scored" in (tmp_path / "o" / "benchmark.md").read_text()
    assert not (tmp_path / "o" / "benchmark.png").exists()


MISTAKES = {
    "missing": (["none.h5ad"], "data 'none': none.h5ad does not exist"),
    "no plan": (["none.yaml"], "none.yaml does not exist"),
    "two plans": (["a.yaml", "course.h5ad"], "give one plan in YAML, or files of cells"),
    "beside a plan": (
        ["a.yaml", "--time", "3"],
        "--time has no effect with a plan; write it in a.yaml",
    ),
    "same name": (["course.h5ad", "./course.h5ad"], "several data sets are called 'course'"),
    "method": (["course.h5ad", "--method", "cfm"], "unknown method 'cfm'"),
    "two times": (["two.h5ad", "--use-rep", "X_pca"], "data 'two': holding a time out needs three"),
    "unwritable": (["course.h5ad", *SHORT, "--output", "/proc/x"], "cannot write /proc/x"),
    "foreign": (["course.h5ad", *SHORT, "--output", "."], "not the folder of a benchmark"),
    "jobs": (["course.h5ad", "--jobs", "0"], "0 is not in the range x>=1"),
}
PLANS = {
    "no mapping": ("[1]", "not a YAML mapping with the keys data, methods, recipe, seeds"),
    "key": ("method: [vp]", "unknown key in plan.yaml 'method' (did you mean 'methods'?)"),
    "no data": ("methods: [vp]", "data in plan.yaml must be a list with one entry or more"),
    "no list": ("data: course.h5ad", "data in plan.yaml must be a list"),
    "no file": ("data: [{name: a}]", "must be files or mappings with the key file"),
    "name": ("data: [{file: a.h5ad, name: 3}]", "name of a data set must be text, got 3"),
    "setting": ("data: [{file: a.h5ad, tiem_key: b}]", "did you mean 'time_key'?"),
    "value": ("data: [{file: a.h5ad, n_dims: few}]", "data 'a' n_dims='few'"),
    "axis": ("data: [{file: a.h5ad, time_axis: log}]", "unknown time axis of data 'a' 'log'"),
    "kind": ("data: [{file: a.h5ad, kind: rna}]", "unknown kind of expression of data 'a' 'rna'"),
    "unset": ('data: ["${NOWHERE_AT_ALL}/a.h5ad"]', "variable NOWHERE_AT_ALL in file"),
    "twice": ("data: [a.h5ad, b/a.h5ad]", "several data sets are called 'a'"),
    "recipe": ("data: [a.h5ad]\nrecipe: {n_step: 3}", "unknown recipe setting 'n_step'"),
    "seed": ("data: [course.h5ad]\nseeds: [-1]", "seeds must be whole numbers from 0, got -1"),
    "syntax": ("data: [", "plan.yaml cannot be read as YAML"),
}


@pytest.mark.parametrize("mistake", [*MISTAKES, *PLANS])
def test_mistakes_are_one_line_and_leave_nothing(mistake, run, file, course, tmp_path):
    course[course.obs["day"] < 2].copy().write_h5ad(tmp_path / "two.h5ad")
    if mistake in PLANS:
        text, message = PLANS[mistake]
        (tmp_path / "plan.yaml").write_text(text)
        words = ["plan.yaml"]
    else:
        words, message = MISTAKES[mistake]
    before = sorted(tmp_path.iterdir())
    output = [] if "--output" in words else ["--output", "o"]
    code, _, err = run("benchmark", *words, *output)
    assert (code, err.count("\n")) == (2, 1), err
    assert message in err
    assert sorted(tmp_path.iterdir()) == before


def test_the_npz_of_trajectorynet_is_read_as_it_is(run, course, tmp_path):
    labels = np.unique(course.obs["day"], return_inverse=True)[1]
    np.savez(tmp_path / "eb_velocity_v5.npz", pcs=course.obsm["X_pca"], sample_labels=labels)
    words = ["benchmark", "eb_velocity_v5.npz", *SHORT[2:], "--protocol", "paper", "--output", "o"]
    code, _, err = run(*words, "--jobs", 1)
    assert code == 0, err
    table = pd.read_csv(tmp_path / "o" / "benchmark.csv")
    assert (table["published"] == "no").all()
    text = (tmp_path / "o" / "benchmark.md").read_text()
    assert "The file is not the one of published scores." in text


def test_parts_share_a_folder_and_write_no_table(run, file, tmp_path):
    words = ["benchmark", file, "--use-rep", "X_pca", "--n-steps", 5, "--output", "b", "--jobs", 1]
    for part in ("1/2", "2/2"):
        assert run(*words, "--part", part)[0] == 0
        assert not (tmp_path / "b/benchmark.csv").exists()
    _, out, _ = run(*words)
    assert "2 of 2 fits are in the folder already" in out
    for part, reason in (("3/2", "part 3 of 2 does not exist"), ("two", "'two' is not a part")):
        code, _, err = run(*words, "--part", part)
        assert code == 2
        assert reason in err
