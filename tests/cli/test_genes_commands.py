"""Commands of velocities, genes, growth, pseudotime and uncertainty: the API's results in files."""

import anndata
import numpy as np
import pandas as pd
import pytest

import cellflow as cf


@pytest.fixture
def cells(semrau, tmp_path):
    """A file of every tenth cell of three times with an embedding and fates."""
    semrau = semrau[semrau.obs["time"].isin([24, 48, 72])][::10].copy()
    cf.pp.embed(semrau, n_dims=4)
    semrau.obsm["X_umap"] = semrau.obsm["X_cellflow"][:, :2] ** 3
    semrau.obsm["fate_probabilities"] = pd.DataFrame(
        {"late": semrau.obs["time"].to_numpy() / 96}, index=semrau.obs_names
    )
    semrau.write_h5ad(tmp_path / "cells.h5ad")
    return semrau


@pytest.fixture
def fitted(cells, quick, tmp_path):
    """Two flows beside it."""
    for seed in (0, 1):
        flow = cf.tl.fit(cells, recipe=quick, rng=seed, progress=False)
        flow.save(tmp_path / f"flow{seed}")
    return cells


def test_genes_go_by_symbol_where_names_are_identifiers(run, cells, quick, tmp_path):
    symbols = cells.var_names.copy()
    cells.var["feature_name"] = pd.Categorical(symbols)
    cells.var["other"] = symbols[::-1]
    cells.var_names = [f"ENSMUSG{k:011d}.2" for k in range(cells.n_vars)]
    cf.pp.embed(cells, n_dims=4)
    cf.tl.fit(cells, recipe=quick, progress=False).save(tmp_path / "flow")
    cells.write_h5ad("cells.h5ad")
    gene, identifier = symbols[7], cells.var_names[7]
    velocity = ["velocity", "cells.h5ad", "--flow", "flow", "--basis", "umap"]
    trends = ["gene-trends", "cells.h5ad", "--flow", "flow", "--gene", gene, "--n-times", "2"]
    for words in (
        ["drivers", "cells.h5ad", "--gene", gene, "--output", "d.csv"],
        ["drivers", "cells.h5ad", "--gene", gene, "--gene-symbols", "other", "--output", "o.csv"],
        [*trends, "--output", "t.csv"],
        ["plot", "gene-trends", "t.csv", "--gene", gene, "--output", "t.png"],
        ["plot", "gene-trends", "t.csv", "--gene", identifier, "--output", "i.png"],
        [*velocity, "--output", "v.h5ad"],
        ["plot", "velocity", "v.h5ad", "--color", gene, "--output", "v.png"],
        ["interpolate", "cells.h5ad", "--flow", "flow", "--time", "30", "--output", "p.h5ad"],
    ):
        code, _, err = run(*words)
        assert code == 0, (words, err)
    named = [[gene, identifier]]
    assert pd.read_csv("d.csv")[["gene", "gene_id"]].to_numpy().tolist() == named
    assert pd.read_csv("o.csv")["gene_id"].tolist() == [cells.var_names[-8]]
    assert (pd.read_csv("t.csv")[["gene", "gene_id"]].to_numpy() == named).all()
    assert anndata.read_h5ad("p.h5ad").var["feature_name"].tolist() == list(symbols)
    for words, message in (
        (["--gene", gene.lower()], f"did you mean {gene}?"),
        (["--gene-symbols", "feature"], "'feature' (did you mean 'feature_name'?)"),
    ):
        code, _, err = run("drivers", "cells.h5ad", *words, "--output", "x.csv")
        assert code == 2
        assert message in err


def test_the_way_from_a_flow_to_genes_and_figures(run, fitted, tmp_path):
    flow = ["--flow", "flow0"]
    for words in (
        ["velocity", "cells.h5ad", *flow, "--basis", "umap", "--genes", "--output", "v.h5ad"],
        ["plot", "velocity", "v.h5ad", "--color", "time", "--output", "v.png"],
        ["plot", "velocity", "v.h5ad", "--kind", "grid", "--output", "g.svg"],
        ["plot", "velocity", "v.h5ad", "--kind", "quiver", "--output", "q.pdf"],
        [
            "gene-trends", "cells.h5ad", *flow, "--gene", "Sox2",
            "--n-times", "3", "--output", "t.csv",
        ],
        ["plot", "gene-trends", "t.csv", "--unit", "hours", "--output", "t.png"],
        ["drivers", "cells.h5ad", "--output", "d.tsv", "--time", "48"],
        [
            "drivers", "cells.h5ad", *flow, "--method", "jacobian",
            "--n-top", "7", "--output", "j.csv",
        ],
        ["growth", "cells.h5ad", "--learned", "flow0", "--output", "r.h5ad"],
        ["plot", "growth", "r.h5ad", "--output", "r.png"],
        ["pseudotime", "cells.h5ad", *flow, "--output", "p.h5ad"],
        ["landscape", "cells.h5ad", *flow, "--output", "l.h5ad"],
        ["plot", "landscape", "l.h5ad", "--output", "l.png"],
        [
            "uncertainty", "cells.h5ad", *flow, "--flow", "flow1",
            "--time", "48", "--output", "u.h5ad",
        ],
    ):  # fmt: skip
        code, out, err = run(*words)
        assert code == 0, (words, err)
        assert out
    read = cf.Flow.load(tmp_path / "flow0")
    cf.tl.velocity(fitted, read, basis="umap")
    for key in ("velocity_cellflow", "velocity_umap"):
        found = anndata.read_h5ad(tmp_path / "v.h5ad").obsm[key]
        np.testing.assert_allclose(found, fitted.obsm[key], atol=1e-4)
    trends = cf.tl.gene_trends(fitted, read, genes="Sox2", n_times=3)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "t.csv"), trends, check_dtype=False)
    assert len(pd.read_csv(tmp_path / "j.csv")) == 7
    assert pd.read_csv(tmp_path / "d.tsv", sep="\t")["n"].eq((fitted.obs["time"] == 48).sum()).all()
    assert "cellflow_pseudotime" in anndata.read_h5ad(tmp_path / "p.h5ad").obs
    assert "cellflow_uncertainty" in anndata.read_h5ad(tmp_path / "u.h5ad").obs
    cf.tl.growth(fitted, read)
    rates = anndata.read_h5ad(tmp_path / "r.h5ad").obs["cellflow_growth"]
    np.testing.assert_allclose(rates, fitted.obs["cellflow_growth"], rtol=1e-5, atol=1e-7)


MISTAKES = {
    "table": (
        ["drivers", "cells.h5ad", "--output", "d.xlsx"],
        "tables are written as .csv or .tsv",
    ),
    "flow": (
        ["drivers", "cells.h5ad", "--method", "velocity", "--output", "d.csv"],
        "method 'velocity' requires a flow",
    ),
    "genes": (
        ["growth", "cells.h5ad", "--learned", "flow0", "--per", "day", "--output", "r.h5ad"],
        "--learned does not use genes",
    ),
    "fates": (
        ["drivers", "cells.h5ad", "--by", "fates", "--output", "d.csv"],
        "unknown obs column or obsm key 'fates'; valid: time, X_cellflow",
    ),
    "trends": (["plot", "gene-trends", "no.csv", "--output", "t.png"], "no.csv does not exist"),
    "velocity": (
        ["plot", "velocity", "cells.h5ad", "--output", "v.png"],
        "run cellflow.tl.velocity with basis='umap' first",
    ),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_are_one_line(case, run, cells, capsys):
    words, message = MISTAKES[case]
    capsys.readouterr()
    code, _, err = run(*words)
    assert (code, err.count("\n")) == (2, 1)
    assert message in err
