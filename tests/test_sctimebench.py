"""The folder of cellflow for scTimeBench, without the package: conversions, courses, scores."""

import enum
import importlib
import json
import sqlite3
import sys
from functools import partial
from pathlib import Path
from types import ModuleType

import anndata
import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import sparse

import cellflow as cf

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks" / "sctimebench"
METHOD = FOLDER / "methods" / "cellflow"


def load(monkeypatch, folder, name):
    """Import a script of the benchmark as a module of its own."""
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, name, raising=False)
    module = importlib.import_module(name)
    monkeypatch.delitem(sys.modules, name)
    return module


@pytest.fixture
def convert(monkeypatch):
    return load(monkeypatch, METHOD, "convert")


def test_each_time_is_predicted_from_the_one_before(convert):
    times = np.array([2.0, 0.0, 5.0, 0.0])
    found = convert.fill_next(
        times, 2, lambda time, after, at: np.full((at.sum(), 2), time + after)
    )
    assert found[[0, 1, 3]].tolist() == [[7, 7], [2, 2], [2, 2]]
    assert np.isnan(found[2]).all()


@pytest.mark.parametrize("n", [1, 7, 60])
def test_rows_are_drawn_within_one_of_their_expected_number(convert, n):
    rng = np.random.default_rng(n)
    weights = rng.dirichlet(np.ones(12)) * 3
    counts = np.bincount(convert.draw_rows(weights, n, rng), minlength=12)
    assert counts.sum() == n
    assert np.abs(counts - n * weights / 3).max() < 1
    assert len(counts) == 12


def test_rows_without_weight_are_not_drawn(convert):
    rows = convert.draw_rows(np.array([0, 1, 0, 1, 0]), 50, np.random.default_rng(0))
    assert set(rows) == {1, 3}


def test_a_graph_is_the_mean_over_intervals_by_their_cells(convert):
    table = pd.DataFrame(
        [("a", "a", 0.5, 10), ("a", "b", 0.5, 10), ("a", "b", 1.0, 30), ("c", "b", 1.0, 2)],
        columns=["source", "target", "probability", "n_source"],
    )
    graph = convert.to_graph(table, ["a", "b", "c"])
    assert graph == pytest.approx(np.array([[5 / 40, 35 / 40, 0], [0, 0, 0], [0, 1, 0]]))


def test_expression_is_within_the_range_of_normalised_counts(convert):
    found = convert.clip_expression(np.array([-1.0, 0.0, 2.0, 99.0]))
    assert found == pytest.approx([0, 0, 2, np.log(10_001)])


class Outputs(enum.Enum):
    """Files of the real enumeration that the method names."""

    EMBEDDING = "embedding.npy"
    NEXT_TIMEPOINT_GENE_EXPRESSION = "next_timepoint_gene_expression.npy"
    NEXT_CELLTYPE = "next_cell_type.parquet"
    PRED_GRAPH = "predicted_graph.npy"


class Columns(enum.Enum):
    """Columns of the real enumeration."""

    CELL_TYPE = "scTimeBench_cell_type"
    TIMEPOINT = "scTimeBench_timepoint"


class Runner:
    """The part of scTimeBench's runner that the method relies on."""

    def __init__(self, config):
        self.config, self.output_path = config, config["output_path"]
        self.required_outputs_options = config["options"]
        self.required_outputs = config["options"][0]


@pytest.fixture
def make_method(monkeypatch, tmp_path):
    """Function of metadata that makes the method, with a stand-in for scTimeBench."""
    for name, content in {
        "scTimeBench": {},
        "scTimeBench.method_utils": {},
        "scTimeBench.method_utils.method_runner": {"BaseMethod": Runner, "main": None},
        "scTimeBench.shared": {},
        "scTimeBench.shared.constants": {
            "RequiredOutputFiles": Outputs,
            "ObservationColumns": Columns,
        },
    }.items():
        module = ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    short = cf.recipe("default", n_steps=20, net={"width": 16})
    monkeypatch.setattr(cf.tl, "fit", partial(cf.tl.fit, recipe=short))
    module = load(monkeypatch, METHOD, "run")

    def make(**metadata):
        names = ("NEXT_TIMEPOINT_GENE_EXPRESSION", "NEXT_CELLTYPE", "PRED_GRAPH")
        options = [[Outputs[name]] for name in names]
        config = {"method": {"metadata": metadata}, "options": options}
        return module.Cellflow({**config, "output_path": str(tmp_path / "outputs")})

    return make


@pytest.fixture
def cells():
    """Log-normalised cells of four times and two types."""
    rng = np.random.default_rng(0)
    times = np.repeat([0.0, 1.0, 2.0, 4.0], [30, 32, 34, 36])
    x = rng.gamma(2, 1, (len(times), 9)) + times[:, None] * (np.arange(9) < 3)
    types = np.where(rng.random(len(times)) < 0.5, "left", "right")
    columns = {Columns.TIMEPOINT.value: times, Columns.CELL_TYPE.value: types}
    names = [f"cell{i}" for i in range(len(times))]
    return anndata.AnnData(sparse.csr_matrix(x), obs=pd.DataFrame(columns, index=names))


@pytest.mark.parametrize("predict", ["interpolate", "push"])
def test_held_out_times_between_and_beyond_are_predicted(make_method, cells, predict):
    times = cells.obs[Columns.TIMEPOINT.value]
    method = make_method(predict=predict)
    method.train(cells[times.isin([0, 2])].copy())
    with pytest.warns(cf.CellflowWarning, match="outside the times"):
        found = method.generate_next_tp_gex(cells[times.isin([0, 1, 4])].copy())
    assert found.shape == (98, 9)
    assert (found[:62] >= 0).all()
    assert np.isnan(found[62:]).all()
    assert found[:30, :3].mean() < found[30:62, :3].mean()


def test_the_graph_and_the_components_of_a_course(make_method, cells):
    method = make_method()
    method.train(cells.copy())
    assert method.required_outputs == [Outputs.PRED_GRAPH]
    graph = method.generate_pred_graph(cells)
    assert graph.shape == (2, 2)
    assert graph.sum(axis=1) == pytest.approx(1)
    here, there = method.generate_embedding(cells), method.generate_next_tp_embedding(cells)
    assert here == pytest.approx(method.course.obsm["X_pca"], abs=1e-4)
    assert np.isnan(there).any(axis=1).tolist() == [False] * 96 + [True] * 36


def test_the_next_type_of_each_cell_is_one_of_the_next_time(make_method, cells):
    times, name = cells.obs[Columns.TIMEPOINT.value], Columns.CELL_TYPE.value
    cells.obs[name] = np.where(times < 2, "early", "late")
    method = make_method(lineage="cells")
    method.train(cells.copy())
    assert method.required_outputs == [Outputs.NEXT_CELLTYPE]
    found = method.generate_next_cell_type(cells)[name]
    assert set(found[:30]) == {"early"}
    assert set(found[30:96]) == {"late"}
    assert set(found[96:]) == {"unknown"}


def test_a_flow_is_read_again(make_method, cells, monkeypatch):
    first = make_method()
    first.train(cells.copy())
    monkeypatch.setattr(cf.tl, "fit", None)
    second = make_method(lineage="genes")
    second.train(cells.copy())
    assert second.flow.fingerprint == first.flow.fingerprint
    assert second.required_outputs == [Outputs.NEXT_TIMEPOINT_GENE_EXPRESSION]


def test_the_configuration_names_a_script_of_the_folder():
    method = yaml.safe_load((METHOD / "cellflow.yaml").read_text())["method"]
    script = METHOD.parents[1] / method["train_and_test_script"]
    assert script.parent == METHOD
    assert "run.py" in script.read_text()


def test_courses_have_the_columns_and_no_empty_cells(monkeypatch):
    prepare = load(monkeypatch, FOLDER, "prepare")
    adata = anndata.AnnData(sparse.csr_matrix(np.array([[1, 2], [0, 0], [0, 3]], np.float32)))
    adata.obs["time"] = [0, 0, 6]
    found = prepare.convert_course(adata)
    assert found.obs["timepoint"].tolist() == [0, 6]
    assert set(found.obs["cell_type"]) == {"unknown"}
    assert found.X.toarray().tolist() == [[1, 2], [0, 3]]
    assert prepare.format_lineage((("a", "b"), ("b", "c"))) == "a => b\nb => c\n"


def test_scores_are_read_from_the_database(monkeypatch, tmp_path):
    results = load(monkeypatch, FOLDER, "results")
    steps = [{"name": "TestTimepointSelection", "parameters": {"test_tps": [2, 4]}}]
    inner = json.dumps({"f1": 0.5})
    rows = [
        ("W", "{}", json.dumps(steps), "1.5"),
        ("W", json.dumps({"timepoint": "2.0"}), json.dumps(steps), "2.5"),
        ("Report", "{}", "[]", json.dumps({"eval": inner, "criteria": "simple"})),
        ("ARI", "{}", "[]", json.dumps({"ari_next_timepoint": 0.25})),
    ]
    with sqlite3.connect(tmp_path / "db") as connection:
        connection.executescript(
            "CREATE TABLE evals (id, method_output_id, metric_id, result);"
            "CREATE TABLE metrics (id, name, parameters);"
            "CREATE TABLE method_outputs (id, dataset_id);"
            "CREATE TABLE datasets (id, name, dataset_preprocessors);"
        )
        for i, (name, parameters, preprocessors, result) in enumerate(rows):
            connection.execute("INSERT INTO evals VALUES (?, ?, ?, ?)", (i, i, i, result))
            connection.execute("INSERT INTO metrics VALUES (?, ?, ?)", (i, name, parameters))
            connection.execute("INSERT INTO method_outputs VALUES (?, ?)", (i, i))
            connection.execute("INSERT INTO datasets VALUES (?, ?, ?)", (i, "L", preprocessors))
    connection.close()
    found = results.read_scores(tmp_path / "db", {"L": "worm"}, {"[2, 4]": "easy"})
    assert found["split"].tolist() == ["easy", "easy", "all", "all"]
    assert found["time"].tolist() == ["mean", "2.0", "mean", "mean"]
    assert found["metric"].tolist() == ["W", "W", "f1", "ari_next_timepoint"]
    assert found["criterion"].tolist() == ["", "", "simple", ""]
    assert found["score"].tolist() == [1.5, 2.5, 0.5, 0.25]


def test_tables_of_a_page_are_replaced(monkeypatch):
    results = load(monkeypatch, FOLDER, "results")
    rows = [("a", "easy", 0.01234), ("a", "hard", 2.0), ("b", "easy", 12345.0)]
    scores = pd.DataFrame(rows, columns=["method", "split", "score"])
    scores = scores.assign(task="genes", course="worm", time="mean", metric="HausdorffLoss")
    tables = results.tabulate(scores.assign(criterion=""))
    page = "text\n<!-- table genes worm -->\nold\n<!-- end -->\n<!-- table other -->\nkept\n"
    lines = results.replace_tables(page, tables).splitlines()
    assert lines[3:7] == [
        "| | Hausdorff, easy | Hausdorff, hard |",
        "|---|---|---|",
        "| a | 0.012 | 2.00 |",
        "| b | 12345 |  |",
    ]
    assert "old" not in lines
    assert lines[-1] == "kept"
