"""Columns of start cells, and places in an embedding, that predicted cells take along."""

import anndata
import numpy as np
import pandas as pd
import pytest

import cellflow as cf
from tests.flows import constant_flow, course_of

#: Verbs that predict cells, called so that each predicts some.
VERBS = {
    "interpolate": lambda *cells, **extras: cf.tl.interpolate(*cells, 1, **extras),
    "push": lambda *cells, **extras: cf.tl.push(*cells, "day=0", 3, **extras),
    "pull": lambda *cells, **extras: cf.tl.pull(*cells, "day=3", 0, **extras),
    "trajectories": lambda *cells, **extras: cf.tl.trajectories(*cells, times=[0, 1, 3], **extras),
}


@pytest.fixture
def cells(rng):
    """Eight cells a day at days 0, 2, 3, with donors, a missing kind and a bent embedding."""
    adata = course_of(
        rng.normal(size=(24, 2)),
        np.repeat([0, 2, 3], 8),
        donor=pd.Categorical(list("ab") * 12, categories=["b", "a", "c"]),
        kind=["x", None, "y", "x"] * 6,
        depth=np.arange(24),
    )
    adata.obsm["X_umap"] = np.sin(adata.obsm["X_pca"])
    adata.uns["donor_colors"] = np.array(["#111111", "#222222", "#333333"], dtype=object)
    return adata


@pytest.fixture
def flow(cells):
    return constant_flow(cells, [1.0, 0.5])


@pytest.mark.parametrize("verb", VERBS)
def test_predicted_cells_take_columns_and_colours_of_their_start_cell(verb, cells, flow, tmp_path):
    found = VERBS[verb](cells, flow, obs_keys=("donor", "kind", "depth"))
    start = cells.obs.loc[found.obs["start_cell"]]
    for key in ("donor", "kind", "depth"):
        assert found.obs[key].dtype == cells.obs[key].dtype
        assert found.obs[key].astype(object).fillna("").tolist() == (
            start[key].astype(object).fillna("").tolist()
        )
    assert found.uns["donor_colors"].tolist() == cells.uns["donor_colors"].tolist()
    found.write_h5ad(tmp_path / "found.h5ad")
    again = anndata.read_h5ad(tmp_path / "found.h5ad")
    assert again.obs["donor"].tolist() == found.obs["donor"].tolist()
    plain = VERBS[verb](cells, flow)
    assert "donor" not in plain.obs
    assert "donor_colors" not in plain.uns
    np.testing.assert_array_equal(plain.obsm["X_cellflow"], found.obsm["X_cellflow"])


@pytest.mark.parametrize("verb", VERBS)
def test_predicted_cells_have_a_place_in_the_embedding(verb, cells, flow):
    found = VERBS[verb](cells, flow, basis="umap")
    places = found.obsm["X_umap"]
    assert places.shape == (found.n_obs, 2)
    assert places.dtype == np.float32
    low, high = cells.obsm["X_umap"].min(axis=0), cells.obsm["X_umap"].max(axis=0)
    assert (places >= low - 1e-6).all()
    assert (places <= high + 1e-6).all()
    cells.obsm["X_mirror"] = cells.obsm["X_pca"] * [1, -1]
    exact = VERBS[verb](cells, flow, basis="X_mirror")
    mirrored = exact.obsm["X_cellflow"] * [1, -1]
    np.testing.assert_allclose(exact.obsm["X_mirror"], mirrored, atol=1e-5)


def test_a_path_begins_at_the_place_of_its_cell(cells, flow):
    paths = cf.tl.trajectories(cells, flow, times=3, basis="umap")
    first = paths[paths.obs["cellflow_time"] == 0]
    expected = cells[first.obs["start_cell"].astype(str)].obsm["X_umap"]
    np.testing.assert_allclose(first.obsm["X_umap"], expected, atol=1e-4)


@pytest.mark.parametrize("verb", VERBS)
def test_predicted_cells_keep_the_annotation_of_their_genes(verb, rng, tmp_path):
    cells = decodable(rng)
    found = VERBS[verb](cells, constant_flow(cells, [1.0, 0.5]))
    pd.testing.assert_frame_equal(found.var, cells.var)
    found.write_h5ad(tmp_path / "found.h5ad")
    again = anndata.read_h5ad(tmp_path / "found.h5ad")
    assert again.var["feature_name"].tolist() == ["A", "B", "C"]
    assert again.var["highly_variable"].tolist() == [True, False, True]


def test_genes_that_the_cells_lack_now_have_no_annotation(rng, tmp_path):
    cells = decodable(rng)
    flow = constant_flow(cells, [1.0, 0.5])
    found = cf.tl.interpolate(cells[:, [2, 0]].copy(), flow, 1)
    assert found.var["feature_name"].astype(object).fillna("").tolist() == ["A", "", "C"]
    found.write_h5ad(tmp_path / "found.h5ad")
    assert anndata.read_h5ad(tmp_path / "found.h5ad").var["highly_variable"].isna().sum() == 1


def decodable(rng):
    """Cells whose `X_pca` is that of scanpy, so that predictions are decoded to three genes."""
    cells = course_of(np.zeros((24, 2)), np.repeat([0, 2, 3], 8))
    values = rng.normal(size=(24, 3))
    var = pd.DataFrame(
        {
            "feature_name": pd.Categorical(["A", "B", "C"]),
            "highly_variable": [True, False, True],
            "n_cells": [5, 6, 7],
        },
        index=["ENSG00000000001", "ENSG00000000002", "ENSG00000000003"],
    )
    made = anndata.AnnData(values, obs=cells.obs, var=var)
    made.varm["PCs"] = np.linalg.qr(rng.normal(size=(3, 2)))[0]
    made.obsm["X_pca"] = (values - values.mean(axis=0)) @ made.varm["PCs"]
    return made


@pytest.mark.parametrize("verb", VERBS)
def test_points_are_also_under_the_key_that_the_user_named(verb, cells, flow):
    found = VERBS[verb](cells, flow)
    np.testing.assert_array_equal(found.obsm["X_pca"], found.obsm["X_cellflow"])
    assert VERBS[verb](cells, flow, basis="pca").obsm["X_pca"].shape == (found.n_obs, 2)


def test_points_under_the_named_key_are_in_its_units(cells, quick):
    settings = {"recipe": quick, "progress": False, "time_key": "day"}
    cells.obsm["X_scvi"] = cells.obsm["X_pca"] * [1, 30] + 5
    cf.pp.embed(cells, use_rep="X_scvi", whiten=True)
    found = cf.tl.interpolate(cells, cf.tl.fit(cells, **settings), 0)
    before = cells[cells.obs["day"] == 0]
    np.testing.assert_allclose(found.obsm["X_scvi"], before.obsm["X_scvi"], rtol=1e-5)
    np.testing.assert_allclose(found.obsm["X_cellflow"], before.obsm["X_cellflow"], rtol=1e-5)
    cf.pp.embed(cells, use_rep="X_scvi", whiten=True, key_added="X_white")
    found = cf.tl.interpolate(cells, cf.tl.fit(cells, use_rep="X_white", **settings), 0)
    assert set(found.obsm) == {"X_cellflow", "X_scvi", "X_white"}
    np.testing.assert_allclose(found.obsm["X_white"], before.obsm["X_white"], rtol=1e-5)
    np.testing.assert_allclose(found.obsm["X_scvi"], before.obsm["X_scvi"], rtol=1e-5)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    ("extras", "message"),
    [
        ({"obs_keys": "doner"}, r"unknown obs column 'doner' .did you mean 'donor'"),
        ({"obs_keys": ["start_cell"]}, r"obs\['start_cell'\] cannot be an obs key.*rename yours"),
        ({"basis": "tsne"}, "no obsm key 'tsne'; there are: X_pca, X_umap"),
        ({"basis": "cellflow"}, r"have their points in obsm\['X_cellflow'\] already"),
    ],
)
def test_what_cannot_be_taken_along_is_named(verb, extras, message, cells, flow):
    cells.obs["start_cell"] = "old"
    if extras.get("basis") == "cellflow":
        cells.obsm["X_cellflow"] = cells.obsm["X_pca"]
    with pytest.raises(cf.InputError, match=message):
        VERBS[verb](cells, flow, **extras)
