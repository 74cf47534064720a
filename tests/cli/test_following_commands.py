"""The commands that follow cells: the same results as the API, and one line for every mistake."""

import anndata
import numpy as np
import pytest

import cellflow as cf
from cellflow.io import read_table
from tests.flows import constant_flow, fork


@pytest.fixture
def files(tmp_path):
    """A file of cells and a flow to the right."""
    adata = fork()
    adata.obsm["X_umap"] = np.sin(adata.obsm["X_pca"])
    adata.write_h5ad(tmp_path / "cells.h5ad")
    flow = constant_flow(adata, [1.0, 0.0])
    flow.save(tmp_path / "flow")
    return adata, flow


WAY = ["cells.h5ad", "--flow", "flow"]


def test_commands_do_what_the_verbs_do(run, files, tmp_path):
    adata, flow = files
    for words in (
        ["push", *WAY, "--cells", "day=0", "--time", "1.5", "--output", "push.h5ad", "--no-genes"],
        ["pull", *WAY, "--cells", "fate=up,down", "--time", "0", "--output", "pull.h5ad"],
        ["trajectories", *WAY, "--n-times", "3", "--n-cells", "4", "--output", "paths.h5ad"],
        ["interpolate", *WAY, "--time", "0.5", "--output", "half.h5ad", "--obs-key", "fate",
         "--basis", "umap"],
        ["plot", "interpolation", "cells.h5ad", "--predicted", "half.h5ad", "--basis", "umap",
         "--output", "half.png"],
        ["plot", "trajectories", "cells.h5ad", "--paths", "paths.h5ad", "--groups", "fate",
         "--groups-at", "end", "--output", "ends.png"],
        ["trajectories", *WAY, "--time", "0", "--time", "2", "--output", "two.h5ad",
         "--obs-key", "fate", "--obs-key", "day", "--basis", "umap"],
        ["fates", *WAY, "--groups", "fate", "--n-neighbors", "3", "--output", "fates.h5ad"],
        ["ancestors", *WAY, "--cells", "fate=up", "--time", "0", "--output", "a.h5ad",
         "--by", "coupling"],
        ["descendants", *WAY, "--cells", "day=0", "--time", "2", "--output", "d.h5ad"],
        ["transitions", *WAY, "--groups", "fate", "--output", "t.csv"],
        ["transitions", *WAY, "--groups", "fate", "--output", "back.csv", "--pairs", "0,2",
         "--pairs", "1,2", "--direction", "backward"],
        ["plot", "transitions", "cells.h5ad", "--transitions", "back.csv", "--pair", "1,2",
         "--output", "m.png"],
        ["plot", "fates", "fates.h5ad", "--output", "fates.png", "--fate", "up"],
        ["plot", "sankey", "cells.h5ad", "--transitions", "t.csv", "--output", "s.svg"],
        ["plot", "trajectories", "cells.h5ad", "--paths", "paths.h5ad", "--output", "p.png"],
        ["plot", "animation", "cells.h5ad", "--paths", "two.h5ad", "--output", "film.gif",
         "--groups", "fate"],
    ):  # fmt: skip
        code, out, err = run(*words)
        assert code == 0, (words, err)
        assert f"wrote {words[words.index('--output') + 1]}" in out
    moved = anndata.read_h5ad("push.h5ad").obsm["X_cellflow"]
    np.testing.assert_allclose(moved, adata.obsm["X_pca"][:9] + np.array([1.5, 0]), atol=1e-5)
    for name in ("half.h5ad", "two.h5ad"):
        taken = anndata.read_h5ad(name)
        starts = adata.obs.loc[taken.obs["start_cell"], "fate"].astype(str)
        assert taken.obs["fate"].tolist() == starts.tolist()
        assert taken.obsm["X_umap"].shape == (taken.n_obs, 2)
    cf.tl.fates(adata, flow, "fate", n_neighbors=3)
    told = anndata.read_h5ad("fates.h5ad").obsm["fate_probabilities"]
    np.testing.assert_array_equal(told, adata.obsm["fate_probabilities"])
    assert anndata.read_h5ad("a.h5ad").obs["cellflow_ancestors"].sum() == pytest.approx(1)
    assert anndata.read_h5ad("d.h5ad").obs["cellflow_descendants"].sum() == pytest.approx(1)
    assert anndata.read_h5ad("paths.h5ad").n_obs == 12
    table, expected = read_table(tmp_path / "t.csv"), cf.tl.transitions(adata, flow, "fate")
    assert table["source"].tolist() == expected["source"].tolist()
    np.testing.assert_allclose(table["probability"], expected["probability"])
    options = {"pairs": [(0, 2), (1, 2)], "direction": "backward"}
    expected = cf.tl.transitions(adata, flow, "fate", **options)
    found = read_table(tmp_path / "back.csv")["source_probability"]
    np.testing.assert_allclose(found, expected["source_probability"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["push", *WAY, "--cells", "fate=upp", "--time", "2", "--output", "o.h5ad"],
         "no value 'upp' (did you mean up?); there are: start, way, up, down"),
        (["push", *WAY, "--cells", "day=2", "--time", "5", "--output", "o.h5ad"], "--extrapolate"),
        (["push", *WAY, "--time", "5", "--output", "o.h5ad"], "Missing option '--cells'"),
        (["pull", *WAY, "--cells", "day=2", "--time", "0", "--n-samples", "2", "--output",
          "o.h5ad"], "has no score"),
        (["push", *WAY, "--cells", "day=0", "--time", "2", "--obs-key", "x", "--output", "o.h5ad"],
         "unknown obs column 'x'; valid: day, fate"),
        (["interpolate", *WAY, "--time", "1", "--basis", "tsne", "--output", "o.h5ad"],
         "no obsm key 'tsne'; there are: X_pca, X_umap"),
        (["interpolate", *WAY, "--time", "1", "--obs-key", "x", "--output", "o.h5ad"],
         "unknown obs column 'x'; valid: day, fate"),
        (["plot", "trajectories", "cells.h5ad", "--flow", "flow", "--groups-at", "end", "--output",
          "o.png"], "groups_at='end' requires groups (--groups)"),
        (["fates", *WAY, "--groups", "fates", "--output", "o.h5ad"], "unknown obs column 'fates'"),
        (["fates", *WAY, "--groups", "fate", "--by", "net", "--output", "o.h5ad"], "'net' is not"),
        (["plot", "fates", "cells.h5ad", "--output", "o.png"], "no fates under 'fate'"),
        (["plot", "sankey", "cells.h5ad", "--transitions", "cells.h5ad", "--output", "o.png"],
         "unknown table format '.h5ad'; valid: .csv, .tsv"),
        (["transitions", *WAY, "--groups", "fate", "--output", "t.xlsx"],
         "tables are written as .csv or .tsv"),
        (["transitions", *WAY, "--groups", "fate", "--pairs", "2", "--output", "t.csv"],
         "a pair is an earlier and a later time"),
        (["transitions", *WAY, "--groups", "fate", "--pairs", "0,2", "--pairs", "all", "--output",
          "t.csv"], "all stands for several pairs and is given alone, without 0,2"),
        (["plot", "transitions", "cells.h5ad", "--transitions", "t.csv", "--pair", "2", "--output",
          "o.png"], "'2' is not an earlier and a later time, as 2,6"),
        (["plot", "sankey", "cells.h5ad", "--transitions", "none.csv", "--output", "o.png"],
         "none.csv does not exist"),
        (["plot", "trajectories", "cells.h5ad", "--output", "o.png"], "either --flow or --paths"),
        (["plot", "animation", "cells.h5ad", "--paths", "cells.h5ad", "--output", "o.png"],
         "animations are written as .gif, .mp4 or .html"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line(run, files, tmp_path, words, message):
    code, _, err = run(*words)
    assert (code, err.count("\n")) == (2, 1)
    assert message in err
    assert not (tmp_path / words[-1]).exists()


def test_a_pair_of_times_is_named_by_its_labels(run, files):
    adata, _ = files
    adata.obs["day"] = "Day " + adata.obs["day"].astype(float).map("{:g}".format)
    adata.write_h5ad("cells.h5ad")
    constant_flow(adata, [1.0, 0.0]).save("named")
    way = ["cells.h5ad", "--flow", "named", "--groups", "fate", "--output", "p.csv"]
    code, _, err = run("transitions", *way, "--pairs", "Day 0,Day 2", "--pairs", "Day 0,Day 1")
    assert code == 0, err
    draw = ["plot", "transitions", "cells.h5ad", "--transitions", "p.csv", "--output", "p.png"]
    code, out, err = run(*draw, "--pair", "Day 0,Day 1")
    assert (code, "wrote p.png" in out) == (0, True), err
    code, _, err = run(*draw, "--pair", "2,0", "--force")
    assert (code, "give the earlier time first; valid: 0 to 2, 0 to 1" in err) == (2, True), err


def test_beyond_the_data_there_is_a_warning(run, files):
    words = ["push", *WAY, "--cells", "day=2", "--time", "5", "--output", "o.h5ad"]
    code, out, _ = run(*words, "--extrapolate")
    assert code == 0
    assert "warning: time 5 is outside the times of the flow" in out
    assert anndata.read_h5ad("o.h5ad").uns["cellflow"]["push"]["extrapolated"]
