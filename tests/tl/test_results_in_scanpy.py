"""scanpy draws and groups by what verbs write, and reads their records from a file."""

from numbers import Number

import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from anndata import read_h5ad
from matplotlib import pyplot as plt

import cellflow as cf

PROLIFERATION = [f"gene_{k}" for k in range(1, 6)]


@pytest.fixture(scope="module")
def analysed(quick):
    """A course after every verb that writes to cells, and the columns that these wrote."""
    adata = cf.datasets.simulate_course(n_cells=180, n_genes=30, times=[0, 2, 4], rng=0)
    for key in list(adata.obsm):
        del adata.obsm[key]
    adata.obs = adata.obs[["time", "state"]].copy()
    before = set(adata.obs)
    cf.pp.time_points(adata, "time", unit="day")
    cf.pp.growth(adata, proliferation=PROLIFERATION, apoptosis=())
    cf.pp.embed(adata, n_dims=5)
    flows = [cf.tl.fit(adata, recipe=quick, rng=seed, progress=False) for seed in (0, 1)]
    cf.tl.fates(adata, flows[0], "state")
    cf.tl.velocity(adata, flows[0])
    cf.tl.growth(adata, flows[0], key_added="learned")
    cf.tl.pseudotime(adata, flows[0])
    cf.tl.landscape(adata, flows[0])
    cf.tl.uncertainty(adata, flows)
    cf.tl.ancestors(adata, flows[0], "state=A & time=4", 0)
    cf.tl.descendants(adata, flows[0], "time=0", 4)
    cf.tl.holdout(adata, flow=flows[0], progress=False)
    return adata, sorted(set(adata.obs) - before)


pytestmark = pytest.mark.filterwarnings("ignore::cellflow.CellflowWarning")


def test_every_column_is_a_number_or_a_category(analysed):
    adata, columns = analysed
    assert len(columns) >= 9
    for column in columns:
        values = adata.obs[column]
        assert pd.api.types.is_numeric_dtype(values) or isinstance(
            values.dtype, pd.CategoricalDtype
        ), column


def test_scanpy_draws_every_column(analysed):
    adata, columns = analysed
    figure = sc.pl.embedding(adata, basis="X_cellflow", color=columns, show=False, return_fig=True)
    titles = {axes.get_title() for axes in figure.axes}
    plt.close(figure)
    assert set(columns) <= titles


@pytest.mark.slow
def test_scanpy_ranks_genes_by_the_fate_of_a_cell(analysed):
    adata, _ = analysed
    cells = adata.copy()
    names = cells.uns["cellflow"]["fate_probabilities"]["names"]
    likely = cells.obsm["fate_probabilities"].argmax(axis=1)
    cells.obs["likely"] = pd.Categorical.from_codes(likely, list(names))
    sc.pp.normalize_total(cells)
    sc.pp.log1p(cells)
    sc.tl.rank_genes_groups(cells, "likely", method="t-test")
    assert len(sc.get.rank_genes_groups_df(cells, names[0])) == cells.n_vars


def walk(value, path="cellflow"):
    """Yield each value in nested mappings with its path."""
    if isinstance(value, dict):
        for key, inner in value.items():
            assert isinstance(key, str), path
            yield from walk(inner, f"{path}/{key}")
    else:
        yield path, value


def test_records_are_plain_before_and_after_a_file(analysed, tmp_path):
    adata, _ = analysed
    adata.write_h5ad(tmp_path / "cells.h5ad")
    read = read_h5ad(tmp_path / "cells.h5ad")
    before, after = (dict(walk(each.uns["cellflow"])) for each in (adata, read))
    plain = str | Number | bool | np.ndarray | np.generic | pd.DataFrame
    for path, value in after.items():
        assert isinstance(value, plain), (path, type(value))
        assert not isinstance(value, np.ndarray) or value.dtype.kind in "biufOUST", path
    # Empty mappings and lists have no values in a file.
    assert set(after) <= set(before)
    assert type(read.uns["cellflow"]) is dict
    scores = read.uns["cellflow"]["holdout"]["scores"]
    pd.testing.assert_frame_equal(
        scores.reset_index(drop=True), adata.uns["cellflow"]["holdout"]["scores"],
        check_dtype=False, check_index_type=False, check_column_type=False,
    )  # fmt: skip
    assert repr(read)
