"""The command line: the same results as the API, and one line for every mistake."""

import json
import subprocess
import sys

import anndata
import numpy as np
import pandas as pd
import pytest

import cellflow as cf
from cellflow.methods import recipes

FAST = ["--n-steps", "30"]


@pytest.fixture(autouse=True)
def _narrow_nets(monkeypatch):
    """Commands have no option for the width of nets, and wide ones take minutes to follow."""
    narrow = cf.recipe("default", net={"width": 32})
    monkeypatch.setitem(recipes._RECIPES, "default", narrow)


@pytest.fixture
def file(course, tmp_path):
    course.write_h5ad(tmp_path / "course.h5ad")
    return "course.h5ad"


@pytest.fixture
def genes(semrau, tmp_path):
    semrau[::3].write_h5ad(tmp_path / "genes.h5ad")
    return "genes.h5ad"


def test_the_way_of_a_user_from_file_to_figures(run, genes, tmp_path):
    for words in (
        ["info", genes],
        ["embed", genes, "--output", "embedded.h5ad", "--n-dims", "5", "--whiten"],
        ["fit", "embedded.h5ad", "--output", "flow", *FAST],
        ["info", "flow"],
        ["interpolate", "embedded.h5ad", "--flow", "flow", "--time", "30", "--output", "p.h5ad"],
        ["holdout", genes, "--time", "24", "--time", "48", "--output", "s.json", *FAST],
        ["plot", "interpolation", genes, "--predicted", "p.h5ad", "--output", "i.png"],
        ["plot", "trajectories", genes, "--flow", "flow", "--output", "t.png"],
        ["plot", "holdout", "s.json", "--output", "h.svg"],
        ["plot", "loss", "--flow", "flow", "--output", "l.pdf"],
    ):
        code, out, err = run(*words)
        assert code == 0, (words, err)
        assert out
    assert anndata.read_h5ad(tmp_path / "p.h5ad").n_vars == 41
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "embedded.h5ad", "flow", "genes.h5ad", "h.svg", "i.png", "l.pdf", "p.h5ad", "s.json",
        "t.png",
    ]  # fmt: skip


def test_fit_and_interpolate_agree_with_the_api(run, file, course, tmp_path):
    run("fit", file, "--output", "flow", "--use-rep", "X_pca", "--seed", "3", "--quiet", *FAST)
    run("interpolate", file, "--flow", "flow", "--time", "1.5", "--output", "p.h5ad")
    flow = cf.tl.fit(
        course, use_rep="X_pca", recipe=cf.recipe("default", n_steps=30), rng=3, progress=False
    )
    expected = cf.tl.interpolate(course, flow, 1.5).obsm["X_cellflow"]
    ours = anndata.read_h5ad(tmp_path / "p.h5ad").obsm["X_cellflow"]
    np.testing.assert_allclose(ours, expected, atol=1e-5)


def test_the_call_that_others_script_against(run, file, course, tmp_path):
    code, _, _ = run(
        "holdout", file, "--time-key", "day", "--use-rep", "X_pca", "--n-dims", "2", "--whiten",
        "--protocol", "paper", "--recipe", "torchcfm", "--coupling", "ot", "--seed", "0",
        "--output", "scores.json", *FAST,
    )  # fmt: skip
    assert code == 0
    document = json.loads((tmp_path / "scores.json").read_text())
    assert set(document) == {"settings", "folds", "mean_w1", "versions"}
    assert [fold["time"] for fold in document["folds"]] == [1.0, 2.0]
    wanted = "time n_predicted n_true w1 w1_uniform w1_half w2 mmd energy mean_error cov_error"
    wanted += " var_ratio reference baselines seconds"
    for fold in document["folds"]:
        assert set(wanted.split()) <= set(fold)
        assert {"previous", "next", "midpoint"} <= set(fold["baselines"])
    expected = cf.tl.holdout(
        course, time_key="day", use_rep="X_pca", n_dims=2, protocol="paper", method="ot-cfm",
        recipe=cf.recipe("torchcfm", n_steps=30), progress=False,
    )  # fmt: skip
    assert document["mean_w1"] == pytest.approx(expected["w1"].mean())
    assert document["settings"]["protocol"] == "paper"
    assert document["settings"]["recipe"]["replace"] is True


def test_quiet_says_nothing_and_results_are_the_same(run, file, tmp_path):
    options = ["--use-rep", "X_pca", "--time", "1", *FAST]
    _, loud, bar = run("holdout", file, "--output", "a.json", *options)
    _, quiet, silence = run("holdout", file, "--output", "b.json", "--quiet", *options)
    assert "held out" in loud
    assert "fit" in bar
    assert silence == quiet == ""
    assert loud.splitlines()[-1] == "wrote a.json"
    first, second = (json.loads((tmp_path / f"{n}.json").read_text()) for n in "ab")
    assert first["mean_w1"] == second["mean_w1"]


def damaged(course, tmp_path):
    """Files that a user may hand in by mistake."""
    course.write_h5ad(tmp_path / "good.h5ad")
    blob = (tmp_path / "good.h5ad").read_bytes()
    (tmp_path / "cut.h5ad").write_bytes(blob[: len(blob) // 2])
    (tmp_path / "text.h5ad").write_text("not cells")
    for name, change in {
        "nan": lambda a: a.obsm["X_pca"].__setitem__((3, 0), np.nan),
        "single": lambda a: a.obs.__setitem__("day", np.r_[5.0, np.zeros(119), np.ones(120)]),
        "words": lambda a: a.obs.__setitem__("day", ["soon", "late"] * 120),
        "constant": lambda a: None,
        "missing": lambda a: a.obs.__setitem__("day", pd.Series(np.nan, a.obs_names)),
    }.items():
        copy = course.copy()
        if name == "constant":
            copy = anndata.AnnData(np.ones((240, 5)), obs=course.obs)
        change(copy)
        copy.write_h5ad(tmp_path / f"{name}.h5ad")


FIT = ["--output", "flow", "--use-rep", "X_pca", *FAST]
SCORE = ["--output", "s.json", "--use-rep", "X_pca", *FAST]
MISTAKES = {
    "no such file": (["fit", "none.h5ad", *FIT], "none.h5ad does not exist"),
    "missing key": (["fit", "good.h5ad", "--time-key", "dya", *FIT], "no obs column 'dya'"),
    "missing rep": (["fit", "good.h5ad", "--output", "f", "--use-rep", "X_u"], "no obsm key 'X_u'"),
    "nothing to embed": (["fit", "good.h5ad", "--output", "f"], "no expression matrix"),
    "NaN": (["fit", "nan.h5ad", *FIT], "NaN or infinite values in 1 of 240 cells"),
    "words for times": (["fit", "words.h5ad", *FIT], "not times: 'soon', 'late'"),
    "NaN times": (["fit", "missing.h5ad", *FIT], "no time for 240 of 240 cells"),
    "one cell": (["holdout", "single.h5ad", *SCORE], "fewer than 2 cells: 5.0 (1 cell)"),
    "cut short": (["fit", "cut.h5ad", *FIT], "cut.h5ad cannot be read"),
    "text": (["info", "text.h5ad"], "text.h5ad is not an .h5ad file"),
    "dimensions": (["fit", "good.h5ad", *FIT, "--n-dims", "9"], "n_dims 9 is more than the 3"),
    "coupling": (["fit", "good.h5ad", *FIT, "--coupling", "emd"], "unknown coupling 'emd'"),
    "held-out time": (["holdout", "good.h5ad", *SCORE, "--time", "3"], "measured at time 3"),
    "edge time": (["holdout", "good.h5ad", *SCORE, "--time", "0"], "no neighbours on both sides"),
    "device": (["fit", "good.h5ad", *FIT, "--device", "gpu9"], "device 'gpu9' is not available"),
    "no flow": (
        ["interpolate", "good.h5ad", "--flow", "x", "--time", "1", "--output", "p.h5ad"],
        "x does not exist",
    ),
    "no folder to write to": (
        ["fit", "good.h5ad", "--output", "no/flow", "--use-rep", "X_pca"], "no does not exist",
    ),
    "in the way": (["embed", "good.h5ad", "--output", "text.h5ad"], "exists already; overwrite"),
    "foreign folder": (["fit", "good.h5ad", "--output", ".", "--force"], "flow.json is missing"),
    "unwritable": (["embed", "good.h5ad", "--output", "/proc/a.h5ad"], "cannot write /proc/a.h5ad"),
    "a folder for a file": (
        ["holdout", "good.h5ad", *SCORE[2:], "--output", ".", "--force"], "written as .json",
    ),
    "constant": (["fit", "constant.h5ad", "--output", "f"], "is the same in all cells"),
    "unknown option": (["fit", "good.h5ad", *FIT, "--sede", "1"], "No such option"),
    "missing option": (["fit", "good.h5ad"], "Missing option '--output'"),
    "unknown command": (["fitt"], "No such command 'fitt'"),
    "no number": (["fit", "good.h5ad", *FIT, "--seed", "x"], "'x' is not a valid integer"),
    "both": (["info", "good.h5ad", "--quiet", "--verbose"], "not both"),
    "no scores": (
        ["plot", "holdout", "scores.json", "--output", "a.png"], "does not hold held-out scores",
    ),
    "no number of days": (
        ["growth", "good.h5ad", "--per", "fortnight", "--output", "g.h5ad"],
        "unknown unit of time 'fortnight'; valid: second, minute, hour",
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_one_line_and_exit_2_and_leave_nothing(mistake, run, course, tmp_path):
    damaged(course, tmp_path)
    (tmp_path / "scores.json").write_text("{}")
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    words, message = MISTAKES[mistake]
    code, _, err = run(*words)
    assert code == 2
    assert len(err.splitlines()) == 1
    assert err.startswith("cellflow: ")
    assert message in err
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_names_with_brackets_are_told_as_they_are(run, course, tmp_path):
    course.obs["x[b]"] = "[/b]"
    course.write_h5ad(tmp_path / "odd.h5ad")
    code, out, _ = run("info", "odd.h5ad")
    assert code == 0
    assert "x[b]" in out
    assert "[/b]" in out


def test_figure_formats_are_named(run, file, tmp_path):
    run("fit", file, *FIT, "--quiet")
    code, _, err = run("plot", "loss", "--flow", "flow", "--output", "loss.gif")
    assert code == 2
    assert "figures are written as .png, .pdf or .svg; name it" in err


def test_force_overwrites_what_would_be_refused(run, file):
    assert run("fit", file, *FIT)[0] == 0
    code, _, err = run("fit", file, *FIT)
    assert (code, err.count("\n")) == (2, 1)
    assert run("fit", file, *FIT, "--force")[0] == 0


def test_a_fault_of_ours_is_one_line_and_exit_1(run, file, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("two\nlines")

    monkeypatch.setattr("cellflow.tl.fit", broken)
    code, _, err = run("fit", file, *FIT)
    assert code == 1
    assert err == "cellflow: RuntimeError: two lines (run with --verbose for the traceback)\n"
    assert "Traceback" in run("fit", file, *FIT, "--verbose")[2]


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (PermissionError(13, "Permission denied", "a.h5"), "a.h5: Permission denied"),
        (MemoryError("no 9 GiB"), "not enough memory: no 9 GiB"),
        (MemoryError(), "not enough memory: take fewer cells or images at a time"),
    ],
)
def test_what_the_machine_refuses_is_one_line_and_exit_2(error, line, run, file, monkeypatch):
    def refused(*_, **__):
        raise error

    monkeypatch.setattr("cellflow.tl.fit", refused)
    assert run("fit", file, *FIT) == (2, "", f"cellflow: {line}\n")


@pytest.mark.parametrize("words", [[], ["--help"], ["fit", "--help"], ["plot", "--help"], ["-h"]])
def test_help_is_no_mistake(words, run):
    code, out, err = run(*words)
    assert (code, err) == (0, "")
    assert "Usage" in out


@pytest.mark.slow
def test_demo_leaves_a_whole_folder(run, tmp_path, monkeypatch, few_cells):
    monkeypatch.setitem(recipes._RECIPES, "default", cf.recipe("default", n_steps=20))
    code, out, _ = run("demo")
    assert code == 0
    assert "48 h" in out
    assert out.count("left out: W1") == 2
    assert "which needs no model; second samples of their cells would be" in out
    names = sorted(p.name for p in (tmp_path / "cellflow-demo").iterdir())
    assert names == [
        "course.h5ad", "flow", "holdout.png", "interpolation.png", "loss.png", "predicted.h5ad",
        "scores.json", "trajectories.png",
    ]  # fmt: skip
    course = anndata.read_h5ad(tmp_path / "cellflow-demo" / "course.h5ad")
    assert {"time_points", "representations", "fit", "holdout"} <= set(course.uns["cellflow"])
    assert not {48, 60} & set(course.obs["time"])
    assert run("demo")[0] == 2
    assert run("demo", "--force")[0] == 0
    (tmp_path / "mine").mkdir()
    code, _, err = run("demo", "--output", "mine", "--force")
    assert code == 2
    assert "not the folder of an earlier demo" in err


@pytest.mark.slow
def test_as_a_process_of_its_own(tmp_path):
    result = subprocess.run(
        [sys.executable, "-m", "cellflow", "info", "none.h5ad"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 2
    assert result.stderr == "cellflow: none.h5ad does not exist\n"


def test_methods_are_listed_with_their_parts_and_sources(run):
    code, out, err = run("methods")
    assert (code, err) == (0, "")
    flat = " ".join(out.split())
    for word in ("ot-cfm", "sf2m", "wfr-fm", "exact-full", "bridge", "velocity-score", "cost_dim"):
        assert word in flat
    assert "arXiv" in flat


def test_a_method_printed_as_yaml_is_a_config_that_fits(run, file, tmp_path):
    code, out, _ = run("methods", "sb-cfm")
    (tmp_path / "config.yaml").write_text(out.replace("n_steps: 2000", "n_steps: 20"))
    assert code == 0
    words = ["fit", file, "--use-rep", "X_pca", "--config", "config.yaml", "--output", "flow"]
    assert run(*words, "--sigma", "0.7")[0] == 0
    settings = cf.Flow.load("flow").as_dict()
    assert settings["method"]["path"] == {"name": "bridge", "sigma": 0.7}
    assert settings["recipe"]["n_steps"] == 20
    code, _, err = run(*words, "--method", "sb-cfm", "--force")
    assert code == 2
    assert "--method sb-cfm would replace the method of config.yaml" in err


def test_a_config_of_a_recipe_alone_takes_a_method(run, file, tmp_path):
    (tmp_path / "config.yaml").write_text("recipe: {n_steps: 5}")
    words = ["fit", file, "--use-rep", "X_pca", "--config", "config.yaml", "--output", "flow"]
    assert run(*words, "--method", "i-cfm")[0] == 0
    settings = cf.Flow.load("flow").as_dict()
    assert settings["method"]["coupling"]["name"] == "independent"
    assert settings["recipe"]["n_steps"] == 5
    assert "--recipe default would replace the recipe" in run(*words, "--recipe", "default")[2]


def test_parts_that_do_not_go_together_are_one_line(run, file):
    words = ["fit", file, "--use-rep", "X_pca", "--output", "flow"]
    code, _, err = run(*words, "--path", "metric", "--objective", "velocity-score")
    assert code == 2
    assert err.count("\n") == 1
    assert "objective 'velocity-score' cannot be learned on path 'metric'" in err
    code, _, err = run(*words, "--coupling", "acceleration")
    assert (code, err.count("\n")) == (2, 1)
    assert "give it as prior" in err
    words[0], words[words.index("flow")] = "holdout", "scores.json"
    code, _, err = run(*words, "--method", "oat-fm", "--prior-method", "oat-fm")
    assert (code, err.count("\n")) == (2, 1)
    assert "prior_method must not need a flow itself" in err


def test_a_flow_is_fine_tuned_as_by_the_api(run, file, course, tmp_path):
    fit = ["fit", file, "--use-rep", "X_pca", "--method", "i-cfm", "--output", "flow", *FAST]
    assert run(*fit)[0] == 0
    words = [
        "finetune", file, "--flow", "flow", "--alpha", "0.9", "--copy-every", "2", "--seed", "3",
        "--n-steps", "4", "--learning-rate", "0.001", "--tolerance", "9",
    ]  # fmt: skip
    code, out, err = run(*words, "--output", "tuned")
    assert code == 0, err
    assert out.count("path energy") == 1
    assert "wrote tuned" in out
    same = cf.tl.finetune(
        course, cf.Flow.load("flow"), n_steps=4, learning_rate=0.001, rng=3, progress=False,
        method=cf.method("oat-fm", oat_alpha=0.9, oat_copy_every=2, oat_tolerance=9),
    )  # fmt: skip
    assert cf.Flow.load("tuned").fingerprint == same.fingerprint
    code, _, err = run(*words, "--output", "tuned")
    assert (code, err.count("\n")) == (2, 1)
    assert "tuned exists already" in err
    code, _, err = run(*words, "--alpha", "2", "--output", "other")
    assert (code, err.count("\n")) == (2, 1)
    assert "--alpha" in err


def test_columns_beside_the_points_reach_the_fit(run, course, tmp_path):
    course.obs["donor"] = np.tile(["a", "b"], 120)
    course.obs["dose"] = np.tile([0.0, 1.0, 2.0], 80)
    course.obsm["clones"] = np.tile(np.eye(4), (60, 1))
    course.write_h5ad(tmp_path / "c.h5ad")
    words = ["c.h5ad", "--use-rep", "X_pca", "--method", "ot-cfm", "--lineage-key", "clones"]
    words += ["--condition-key", "dose", "--label-key", "donor"]
    assert run("fit", *words, "--output", "flow", *FAST)[0] == 0
    code, out, _ = run(
        "interpolate", "c.h5ad", "--flow", "flow", "--time", "1.5", "--output", "p.h5ad"
    )
    assert code == 0
    assert "120 cells" in out
    code, _, err = run("fit", *words[:-1], "patient", "--output", "other", *FAST)
    assert code == 2
    assert "unknown obs column 'patient'" in err


def test_growth_by_gene_sets_from_file_to_weights(run, semrau, tmp_path):
    """The embedded panel lacks the cell-cycle genes: refused with the share that was found."""
    semrau = semrau[::3].copy()
    semrau.write_h5ad(tmp_path / "genes.h5ad")
    code, _, err = run("growth", "genes.h5ad", "--per", "hour", "--output", "g.h5ad")
    assert code == 2
    assert "proliferation" in err
    assert "%" in err
    semrau.obs["cellflow_growth"] = np.linspace(0, 0.02, semrau.n_obs)
    semrau.write_h5ad(tmp_path / "grown.h5ad")
    words = ["fit", "grown.h5ad", "--n-dims", "5", "--output", "flow", *FAST]
    assert run(*words, "--objective", "growth")[0] == 0
    words = ["interpolate", "grown.h5ad", "--flow", "flow", "--time", "30", "--output", "p.h5ad"]
    assert run(*words)[0] == 0
    weights = anndata.read_h5ad("p.h5ad").obs["cellflow_weight"]
    assert weights.nunique() > 10
    assert float(weights.sum()) == pytest.approx(1)


def test_holdout_scores_no_more_cells_than_are_asked_for(run, file, tmp_path):
    words = ["holdout", file, "--use-rep", "X_pca", "--time", "1", "--output", "s.json", *FAST]
    assert run(*words, "--max-cells", "20", "--method", "i-cfm")[0] == 0
    document = json.loads((tmp_path / "s.json").read_text())
    assert document["folds"][0]["n_true"] == 20
    assert document["settings"]["method"]["coupling"]["name"] == "independent"
