"""`cellflow info` on files: all that a user can name, and what would be taken as times."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import cellflow as cf
from cellflow.cli.info import _round_times
from cellflow.io.obs_summary import ColumnSummary, find_time_columns


@pytest.fixture
def stages():
    """Cells with times in three columns, none of a usual name, and much that looks like times."""
    n = 60
    obs = pd.DataFrame(index=[f"c{k}" for k in range(n)])
    obs["cell_type"] = pd.Categorical(np.where(np.arange(n) % 2, "T & NK cell", "B, naive"))
    obs["Sample"] = np.repeat([0, 3, 7], 20)
    obs["Sampling"] = np.repeat([0, 3, 7], 20)
    obs["collected"] = np.repeat(["E8.5", "E9.5", "E10.5"], 20)
    obs["timing"] = pd.Categorical(np.repeat(["early", "late"], 30), ordered=True)
    obs["start_time"] = np.repeat([0.0, 1.0], 30)
    obs["dose"] = np.repeat([0, 1, 10], 20)
    obs["dose_hours"] = np.repeat(["1h", "2h"], 30)
    obs["cellflow_time"] = np.repeat([0.0, 1.0], 30)
    obs["leiden"] = pd.Categorical(np.tile(["0", "1", "2"], 20))
    obs["n_genes"] = np.repeat([3, 4], 30)
    obs["latent_time"] = np.repeat([0.1, 0.2], 30)
    obs["qc"] = np.linspace(0, 1, n)
    obs.loc["c1", "qc"] = np.nan
    var = pd.DataFrame({"feature_name": ["Sox2", "Actb", "Myc"]}, index=["ENSMUSG00000000001",
                       "ENSMUSG00000000002", "ENSMUSG00000000003"])  # fmt: skip
    x = np.random.default_rng(0).poisson(2, size=(n, 3)).astype(np.float32)
    adata = AnnData(x, obs=obs, var=var, obsm={"X_umap": np.zeros((n, 2))}, layers={"raw_x": x})
    adata.raw = adata
    return adata


def _info(run, adata, tmp_path, *words):
    # A file that was opened may not be written again before its AnnData is collected.
    file = tmp_path / f"cells{len(list(tmp_path.iterdir()))}.h5ad"
    adata.write_h5ad(file)
    code, out, err = run("info", file, *words)
    assert (code, "Traceback" in err) == (0, False)
    return " ".join(out.split())


def test_all_that_can_be_named_is_listed(run, stages, tmp_path):
    out = _info(run, stages, tmp_path)
    for part in ("cells 60", "ENSMUSG00000000001", "symbols in var['feature_name']: Sox2, Actb",
                 "layers raw_x (counts)", "X counts", "raw counts, 3 genes", "X_umap (2)",
                 "cell_type categories 2", "T & NK cell",
                 "timing ordered categories 2 early, late",
                 "qc numbers 59 1 0 to 1"):  # fmt: skip
        assert part in out


def test_columns_that_may_be_times_are_named_and_others_are_not(run, stages, tmp_path):
    assert list(find_time_columns(stages)) == ["collected"]
    stages.obs = stages.obs.rename(columns={"Sample": "SampleDay"})
    assert list(find_time_columns(stages)) == ["SampleDay", "collected"]
    out = _info(run, stages, tmp_path)
    assert "name a column with --time-key" in out
    assert "collected 3 days (8.5: 20, 9.5: 20, 10.5: 20 cells)" in out
    for name in ("start_time", "dose", "dose_hours", "cellflow_time", "latent_time", "n_genes"):
        assert f"times in {name}" not in out
        assert f"{name} 2 times" not in out
    assert "times in collected" in _info(run, stages, tmp_path, "--time-key", "collected")


def test_times_of_converted_units_are_rounded_unless_that_merges_them():
    assert _round_times((0, 0.125, 8.25, 91.3125)) == ["0", "0.125", "8.25", "91.3"]
    assert _round_times((91.3125, 91.325)) == ["91.3125", "91.325"]


def test_a_column_of_a_usual_name_is_taken_and_others_named_beside_it(run, stages, tmp_path):
    stages.obs["day"] = stages.obs["Sample"]
    out = _info(run, stages, tmp_path)
    assert "times in day 3 times (0: 20, 3: 20, 7: 20 cells)" in out
    assert "other times can be named with --time-key: collected" in out
    stages.obs["day"] = stages.obs["cell_type"]
    out = _info(run, stages, tmp_path)
    assert "taken from day, which cannot be read" in out
    assert "collected 3 days" in out


def test_files_without_columns_or_times_are_described(run, tmp_path):
    bare = AnnData(np.ones((3, 2), dtype=np.float32))
    out = _info(run, bare, tmp_path)
    assert "obs none" in out
    assert "no column of obs looks like times" in out


def test_predicted_cells_are_named_as_such(run, course, quick, tmp_path):
    flow = cf.tl.fit(course, use_rep="X_pca", recipe=quick, progress=False)
    out = _info(run, cf.tl.interpolate(course, flow, 1.5), tmp_path)
    assert "of predicted cells, in cellflow_time; flows are fitted to measured cells" in out
    assert "by cellflow" in out
    assert "interpolate" in out


@pytest.mark.parametrize(
    ("values", "kind", "examples"),
    [
        ([1, 2, 3], "whole numbers", "1, 2, 3"),
        (np.arange(20.0), "whole numbers", "0 to 19"),
        ([0.5, np.inf], "numbers", "0.5, inf"),
        ([True, False], "true or false", "True, False"),
        (pd.to_datetime(["2024-01-01", "2024-01-02"]), "dates", "2024-01-01, 2024-01-02"),
        (["x" * 99, "y", "z"], "text", "x" * 33 + "..., y, ..."),
        (list("abcdef"), "text", "a, b, c, d, ..."),
    ],
)
def test_columns_are_described(values, kind, examples):
    found = ColumnSummary.of(pd.Series(values))
    assert found.kind == kind
    assert found.examples.startswith(examples)
    assert (found.n_values, found.n_missing) == (len(set(values)), 0)


def test_times_that_cannot_be_read_end_the_description_with_an_error(run, stages, tmp_path):
    stages.obs = stages.obs[["cell_type"]].assign(day=["0", "1", "1e400"] * (stages.n_obs // 3))
    stages.write_h5ad(tmp_path / "stages.h5ad")
    code, out, err = run("info", tmp_path / "stages.h5ad")
    assert code == 2
    assert "cell_type" in out
    assert "'1e400'" in err
