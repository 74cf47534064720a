"""Cells that are opened and not read, and copied on disk."""

import anndata
import h5py
import numpy as np
import pytest

import cellflow as cf
from cellflow import FileError, InputError
from cellflow.io import check_copy_target, open_cells, time_key_of, write_copy

FLOW = ("--method", "ot-cfm", "--n-steps", "5", "--quiet")


@pytest.fixture
def file(semrau, tmp_path):
    semrau = semrau[::8].copy()
    semrau.layers["dense"] = semrau.X.toarray()
    semrau.obsm["X_pca"] = semrau.layers["dense"][:, :4].astype(np.float32)
    semrau.obs["batch"] = np.where(np.arange(semrau.n_obs) % 2, "a", "b")
    semrau.write_h5ad(tmp_path / "cells.h5ad")
    return tmp_path / "cells.h5ad"


@pytest.fixture
def zarr_store(file, tmp_path):
    pytest.importorskip("zarr")
    anndata.read_h5ad(file).write_zarr(tmp_path / "cells.zarr")
    return tmp_path / "cells.zarr"


pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:anndata", "ignore::UserWarning:zarr")


def test_matrices_stay_on_disk_and_are_those_of_the_file(file, zarr_store):
    whole = anndata.read_h5ad(file)
    for path in (file, zarr_store):
        opened = open_cells(path)
        for each in (opened.X, opened.layers["dense"], opened.obsm["X_pca"]):
            assert not isinstance(each, np.ndarray)
        assert (opened.X[10:20] != whole.X[10:20]).nnz == 0
        np.testing.assert_array_equal(opened.obsm["X_pca"][:], whole.obsm["X_pca"])
        assert opened.obs.equals(whole.obs)
        assert opened.var_names.equals(whole.var_names)


def test_only_asked_columns_are_read_and_those_that_times_may_stand_in(file):
    assert list(open_cells(file, []).obs) == ["time"]
    assert set(open_cells(file, ["batch", None]).obs) == {"time", "batch"}
    everything = open_cells(file, ["dya"])
    with pytest.raises(InputError, match=r"no obs column 'dya'; there are: .*batch"):
        time_key_of(everything, "dya")


def test_a_copy_has_what_was_added_and_all_that_was_there(file, zarr_store, tmp_path):
    for path in (file, zarr_store):
        adata, copy = open_cells(path), tmp_path / f"copy{path.suffix}"
        cf.pp.time_points(adata, "time")
        cf.pp.embed(adata, n_dims=3)
        write_copy(adata, path, copy, obsm=["X_cellflow"])
        read = anndata.read_h5ad if path == file else anndata.read_zarr
        before, after = read(path), read(copy)
        assert (before.X != after.X).nnz == 0
        np.testing.assert_array_equal(after.obsm["X_cellflow"], adata.obsm["X_cellflow"])
        assert after.uns["cellflow"]["time_points"]["time_key"] == "time"
        assert "cellflow_time" in after.obs
        assert "cellflow" not in before.uns
        with pytest.raises(FileError, match="exists already"):
            write_copy(adata, path, copy)


def test_copies_are_of_the_kind_of_their_source(tmp_path):
    for source, copy in (("a.zarr", "b.h5ad"), ("a.h5ad", "b.zarr")):
        with pytest.raises(
            FileError, match=f"so its copy must be one too: name the output .*, not {copy}"
        ):
            check_copy_target(tmp_path / source, tmp_path / copy, overwrite=False)


def test_files_that_cannot_be_opened_are_named(file, tmp_path):
    with pytest.raises(FileError, match="does not exist"):
        open_cells(tmp_path / "none.h5ad")
    (tmp_path / "empty.zarr").mkdir()
    with pytest.raises(FileError, match="not a zarr store"):
        open_cells(tmp_path / "empty.zarr")
    with h5py.File(file, "r+") as changed:
        del changed["obs"]
    with pytest.raises(FileError, match="damaged or not an AnnData"):
        open_cells(file)


def test_a_layout_that_is_no_longer_written_is_read_whole(file, tmp_path):
    expected = anndata.read_h5ad(file)
    with h5py.File(file, "r+") as old:
        del old.attrs["encoding-type"]
        del old.attrs["encoding-version"]
    adata = open_cells(file)
    np.testing.assert_array_equal(adata.obsm["X_pca"], expected.obsm["X_pca"])
    write_copy(adata, file, tmp_path / "copy.h5ad")
    assert anndata.read_h5ad(tmp_path / "copy.h5ad").shape == adata.shape


def test_a_flow_of_an_embedded_file_needs_no_counts(run, file, tmp_path):
    """Fit and prediction read the points that stand there: the same without the counts."""
    assert run("embed", file, "--output", "embedded.h5ad", "--n-dims", "3")[0] == 0
    with h5py.File(tmp_path / "embedded.h5ad", "r+") as bare:
        del bare["X"]
        del bare["layers"]
    for words in (
        ("fit", "embedded.h5ad", "--output", "flow", *FLOW),
        ("interpolate", "embedded.h5ad", "--flow", "flow", "--time", "30", "--output", "p.h5ad"),
        ("plot", "trajectories", "embedded.h5ad", "--flow", "flow", "--output", "t.png"),
        ("interpolate", file, "--flow", "flow", "--time", "30", "--output", "q.h5ad"),
    ):
        code, _, err = run(*words)
        assert code == 0, err
    bare, whole = (anndata.read_h5ad(tmp_path / name) for name in ("p.h5ad", "q.h5ad"))
    np.testing.assert_allclose(bare.X, whole.X, atol=1e-4)
    assert bare.n_vars == whole.n_vars == 41


def test_commands_take_a_zarr_store(run, zarr_store):
    for words in (
        ("info", zarr_store),
        ("embed", zarr_store, "--output", "embedded.zarr", "--use-rep", "X_pca"),
        ("fit", "embedded.zarr", "--output", "flow", *FLOW),
        ("interpolate", "embedded.zarr", "--flow", "flow", "--time", "30", "--output", "p.h5ad"),
    ):
        code, _, err = run(*words)
        assert code == 0, err
    code, _, err = run("embed", zarr_store, "--output", "embedded.h5ad")
    assert code == 2
    assert "so its copy must be one too" in err
