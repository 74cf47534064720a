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
