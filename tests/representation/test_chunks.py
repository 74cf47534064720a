"""Expression that is worked on in parts, on disk and in Dask arrays, against that in memory."""

import anndata
import h5py
import numpy as np
import pytest
from anndata import AnnData
from scipy import sparse

import cellflow as cf
from cellflow import CellflowWarning, InputError
from cellflow.io import open_cells
from cellflow.representation import RepresentationSettings, chunks, fit_representation, fitting
from cellflow.representation.chunks import (
    cluster_at,
    is_dask,
    map_chunks,
    moments,
    open_expression,
    principal_axes,
    replace_values,
)

da = pytest.importorskip("dask.array")
distributed = pytest.importorskip("dask.distributed")


@pytest.fixture
def small_parts(monkeypatch):
    """Everything on disk is large, and parts are of 700 cells."""
    monkeypatch.setattr(chunks, "WHOLE", 0)
    monkeypatch.setattr(chunks, "_FEWEST", 700)
    monkeypatch.setattr(chunks, "_VALUES", 1)


def as_dask(adata):
    lazy = adata.copy()
    lazy.X = da.from_array(adata.X, chunks=(700, 20))
    return lazy


def backed(adata, tmp_path):
    adata.write_h5ad(tmp_path / "cells.h5ad")
    return anndata.read_h5ad(tmp_path / "cells.h5ad", backed="r")


def opened(adata, tmp_path):
    adata.write_h5ad(tmp_path / "cells.h5ad")
    return open_cells(tmp_path / "cells.h5ad")


def store(adata, tmp_path):
    pytest.importorskip("zarr")
    adata.write_zarr(tmp_path / "cells.zarr")
    return open_cells(tmp_path / "cells.zarr")


WAYS = {"dask": lambda adata, _: as_dask(adata), "backed": backed, "opened": opened, "zarr": store}


@pytest.mark.filterwarnings("ignore::UserWarning:anndata", "ignore::UserWarning:zarr")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("whiten", [True, False])
def test_counts_in_parts_give_the_embedding_of_those_in_memory(
    way, whiten, semrau, tmp_path, small_parts
):
    expected = cf.pp.embed(semrau, n_dims=5, whiten=whiten, copy=True)
    lazy = WAYS[way](semrau, tmp_path)
    cf.pp.embed(lazy, n_dims=5, whiten=whiten)
    ours = lazy.obsm["X_cellflow"]
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, expected.obsm["X_cellflow"], atol=1e-4)


@pytest.mark.filterwarnings("ignore::UserWarning:anndata", "ignore::UserWarning:zarr")
@pytest.mark.parametrize("way", WAYS)
def test_growth_rates_of_parts_are_those_of_all(way, semrau, tmp_path, small_parts):
    genes = {
        "proliferation": semrau.var_names[:8],
        "apoptosis": semrau.var_names[8:12],
        "per": "hour",
    }
    expected = cf.pp.growth(semrau, **genes, copy=True).obs["cellflow_growth"]
    lazy = WAYS[way](semrau, tmp_path)
    cf.pp.growth(lazy, **genes)
    assert expected.std() > 0.01
    np.testing.assert_allclose(lazy.obs["cellflow_growth"], expected, atol=1e-6)


def test_growth_of_expression_that_is_not_finite_is_refused(semrau):
    semrau.X = semrau.X.toarray().astype(np.float32)
    semrau.X[900, 3] = np.nan
    with pytest.raises(InputError, match="the expression matrix"):
        cf.pp.growth(as_dask(semrau), proliferation=semrau.var_names[:8], apoptosis=(), per="hour")


@pytest.mark.parametrize("kind", ["normalised", "other"])
def test_dense_expression_in_parts_is_scaled_as_in_memory(kind, rng):
    x = rng.normal(size=(300, 12)) @ rng.normal(size=(12, 12)) * rng.uniform(1, 9, 12) + 50
    whole, lazy = AnnData(x), AnnData(da.from_array(x, chunks=(70, 5)))
    ours, expected = (
        fit_representation(each, RepresentationSettings(kind=kind, n_dims=4)).transform(each)
        for each in (lazy, whole)
    )
    np.testing.assert_allclose(ours, expected, atol=1e-6)


def test_the_most_variable_genes_are_those_in_memory(semrau, monkeypatch):
    monkeypatch.setattr(fitting, "MAX_GENES", 15)
    ours, expected = (
        fit_representation(each, RepresentationSettings(n_dims=3)).linear
        for each in (as_dask(semrau), semrau)
    )
    assert ours.genes == expected.genes
    np.testing.assert_allclose(ours.mean, expected.mean)


@pytest.mark.slow
def test_two_workers_of_a_cluster_give_the_embedding_of_one_process(semrau, tmp_path):
    expected = cf.pp.embed(semrau, n_dims=4, copy=True).obsm["X_cellflow"]
    lazy = opened(semrau, tmp_path)
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None
    ) as cluster:
        cf.pp.embed(lazy, n_dims=4, cluster=cluster.scheduler_address)
    np.testing.assert_allclose(lazy.obsm["X_cellflow"], expected, atol=1e-4)
    with pytest.raises(InputError, match="cluster requires expression on disk"):
        cf.pp.embed(semrau, cluster="tcp://127.0.0.1:9")


def test_a_cluster_that_does_not_answer_is_named(monkeypatch):
    monkeypatch.setattr(chunks, "_TIMEOUT", 0.2)
    with (
        pytest.raises(InputError, match=r"no dask.distributed cluster answers at 'tcp://127"),
        cluster_at("tcp://127.0.0.1:9"),
    ):
        pass


def test_moments_of_parts_are_those_of_all(rng, monkeypatch):
    x = rng.normal(size=(101, 3)) * [1, 5, 0] + [0, 9, 2]
    monkeypatch.setattr(chunks, "_ROWS", 17)
    for matrix in (x, sparse.csr_matrix(x), da.from_array(x, chunks=(40, 3))):
        count, mean, variance = moments(matrix)
        assert count == 101
        np.testing.assert_allclose(mean, x.mean(axis=0), atol=1e-12)
        np.testing.assert_allclose(variance, x.var(axis=0), atol=1e-12)


@pytest.mark.parametrize(
    "store", [np.asarray, sparse.csr_matrix, lambda x: da.from_array(x, chunks=(25, 6))]
)
@pytest.mark.parametrize("n", [60, 5])
def test_axes_are_those_of_the_singular_values(rng, store, n):
    x = rng.normal(size=(n, 6)) * [6, 5, 4, 3, 2, 1] + 3
    scale = np.arange(1.0, 7)
    axes = principal_axes(store(x), x.mean(axis=0), scale, 3)
    _, _, expected = np.linalg.svd((x - x.mean(axis=0)) / scale, full_matrices=False)
    expected = expected[:3].T
    expected = expected * np.sign(expected[np.abs(expected).argmax(axis=0), np.arange(3)])
    np.testing.assert_allclose(axes, expected, atol=1e-10)


def test_axes_are_exact_where_means_are_far_larger_than_spreads(rng):
    x = rng.normal(size=(60, 6)) * [6, 5, 4, 3, 2, 1]
    expected = principal_axes(x, x.mean(axis=0), np.ones(6), 3)
    for store in (np.asarray, lambda far: da.from_array(far, chunks=(25, 6))):
        far = x + 1e7
        axes = principal_axes(store(far), far.mean(axis=0), np.ones(6), 3)
        np.testing.assert_allclose(axes, expected, atol=1e-6)


def test_values_are_replaced_in_parts(rng, monkeypatch):
    x = rng.poisson(1.0, size=(50, 4)).astype(np.float32)
    monkeypatch.setattr(chunks, "_ROWS", 17)
    for matrix in (x, sparse.csr_matrix(x), sparse.csc_matrix(x)):
        ours = replace_values(matrix, lambda part: part.astype(np.float64) * 3)
        assert sparse.issparse(ours) == sparse.issparse(matrix)
        np.testing.assert_array_equal(ours.toarray() if sparse.issparse(ours) else ours, 3 * x)
        np.testing.assert_array_equal(matrix.toarray() if sparse.issparse(matrix) else matrix, x)


def test_parts_are_computed_as_they_are_asked_for(semrau):
    seen = []
    found = map_chunks(
        open_expression(as_dask(semrau), None), lambda part: seen.append(part.shape[0])
    )
    next(found)
    assert 0 < len(seen) <= chunks._threads() < 10**6
    list(found)
    assert sum(seen) == semrau.n_obs


def test_small_matrices_on_disk_are_read_whole(semrau, tmp_path):
    assert sparse.issparse(open_expression(opened(semrau, tmp_path), None))


def test_bad_values_in_parts_are_named(semrau, tmp_path, small_parts):
    semrau.X = semrau.X.astype(np.float32)
    semrau.X.data[5] = np.nan
    with pytest.raises(InputError, match="expression matrix has NaN or infinite values in 1 of"):
        cf.pp.embed(as_dask(semrau))
    semrau.X.data[5] = -1
    with pytest.raises(InputError, match="'counts' requires values of zero or more"):
        cf.pp.embed(as_dask(semrau), kind="counts")
    semrau.X = sparse.csc_matrix(semrau.X)
    with pytest.raises(InputError, match=r"stored by columns \(CSC\)"):
        cf.pp.embed(opened(semrau, tmp_path))


def test_empty_cells_are_told_of_in_parts_too(semrau):
    counts = semrau.X.toarray()
    counts[:3] = 0
    semrau.X = sparse.csr_matrix(counts)
    with pytest.warns(CellflowWarning, match="3 of 2434 cells have no counts"):
        cf.pp.embed(as_dask(semrau), n_dims=3)


def test_what_is_missing_is_named_where_dask_is_not_installed(
    semrau, tmp_path, small_parts, monkeypatch
):
    monkeypatch.setattr(chunks, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"pip install 'cellflow-snapshots\[dask\]'"):
        cf.pp.embed(opened(semrau, tmp_path))


@pytest.mark.parametrize("bad", [-1, 10**9])
@pytest.mark.parametrize("kind", [sparse.csr_matrix, sparse.csc_matrix])
def test_entries_outside_a_sparse_matrix_are_named_before_scipy_crashes(bad, kind, tmp_path):
    adata = AnnData(kind(np.random.default_rng(0).poisson(1.0, (30, 20)).astype(np.float32)))
    adata.layers["counts"] = adata.X.copy()
    adata.write_h5ad(tmp_path / "a.h5ad")
    with h5py.File(tmp_path / "a.h5ad", "r+") as file:
        file["X/indices"][5] = file["layers/counts/indices"][5] = bad
    where = "column" if kind is sparse.csr_matrix else "row"
    for layer, name in ((None, "the expression matrix"), ("counts", "layer 'counts'")):
        with pytest.raises(InputError, match=f"{name} is damaged: it has an entry at {where}"):
            cf.pp.embed(open_cells(tmp_path / "a.h5ad"), layer=layer)


def test_entries_outside_are_named_in_each_chunk(tmp_path, small_parts):
    adata = AnnData(sparse.csr_matrix(np.ones((30, 20), np.float32)))
    adata.write_h5ad(tmp_path / "a.h5ad")
    with h5py.File(tmp_path / "a.h5ad", "r+") as file:
        file["X/indices"][-1] = 10**9
    x = open_expression(open_cells(tmp_path / "a.h5ad"), None)
    assert is_dask(x)
    for read in (x[:, ::2].compute, lambda: list(map_chunks(x, lambda x: x.sum()))):
        with pytest.raises(InputError, match="is damaged: it has an entry at column"):
            read()
