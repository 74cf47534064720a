"""Cells that are opened and not read, and copied on disk."""

import shutil
from operator import attrgetter

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse

import cellflow as cf
from cellflow import FileError, InputError
from cellflow.io import (
    open_cells,
    read_h5ad,
    time_key_of,
    write_copy,
    write_h5ad,
)

FLOW = ("--method", "ot-cfm", "--n-steps", "5", "--quiet")


@pytest.fixture
def file(semrau, tmp_path):
    semrau = semrau[::8].copy()
    semrau.layers["dense"] = semrau.X.toarray()
    semrau.obsm["X_pca"] = semrau.layers["dense"][:, :4].astype(np.float32)
    semrau.obs["batch"] = np.where(np.arange(semrau.n_obs) % 2, "a", "b")
    semrau.obs["size"] = 1.0
    semrau.write_h5ad(tmp_path / "cells.h5ad")
    return tmp_path / "cells.h5ad"


@pytest.fixture
def zarr_store(file, tmp_path):
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
    # The column of batches is read for the check of batches.
    assert set(open_cells(file, []).obs) == {"time", "batch"}
    assert set(open_cells(file, ["size", None]).obs) == {"time", "batch", "size"}
    everything = open_cells(file, ["dya"])
    with pytest.raises(InputError, match=r"no obs column 'dya'; there are: .*batch"):
        time_key_of(everything, "dya")


def test_a_copy_has_what_was_added_and_all_that_was_there(file, zarr_store, tmp_path):
    for path in (file, zarr_store):
        adata, copy = open_cells(path), tmp_path / f"copy{path.suffix}"
        cf.pp.time_points(adata, "time")
        cf.pp.embed(adata, n_dims=3)
        write_copy(adata, path, copy)
        read = anndata.read_h5ad if path == file else anndata.read_zarr
        before, after = read(path), read(copy)
        assert (before.X != after.X).nnz == 0
        np.testing.assert_array_equal(after.obsm["X_cellflow"], adata.obsm["X_cellflow"])
        assert after.uns["cellflow"]["time_points"]["time_key"] == "time"
        assert "cellflow_time" in after.obs
        assert "cellflow" not in before.uns
        with pytest.raises(FileError, match="exists already"):
            write_copy(adata, path, copy)


ENDINGS = (".h5ad", ".zarr", ".zarr.zip")


@pytest.fixture
def rich(file, tmp_path):
    """A file with all that a copy may lose: raw, obsp, varm, text with gaps, tables, numbers."""
    adata = anndata.read_h5ad(file)[::8].copy()
    adata.raw = adata[:, ::2]
    adata = adata[:, :20].copy()
    adata.obsp["near"] = adata.X @ adata.X.T
    adata.varm["PCs"] = np.ones((20, 2), np.float32)
    adata.obsm["table"] = pd.DataFrame({"a": np.arange(adata.n_obs) % 3}, index=adata.obs_names)
    adata.obs["donor"] = pd.Categorical(
        ["x", "y, z"] * (adata.n_obs // 2) + ["x"] * (adata.n_obs % 2)
    )
    adata.obs["note"] = pd.array(
        [None, "b"] * (adata.n_obs // 2) + ["c"] * (adata.n_obs % 2), "string"
    )
    adata.obs["kept"] = np.arange(adata.n_obs) % 2 == 0
    adata.uns["nested"] = {"a": {"b": np.arange(3), "c": "d"}, "e": 1.5}
    with anndata.settings.override(allow_write_nullable_strings=True):
        adata.write_h5ad(tmp_path / "rich.h5ad")
    return tmp_path / "rich.h5ad"


@pytest.mark.parametrize("end", ENDINGS)
@pytest.mark.parametrize("start", ENDINGS)
def test_the_ending_decides_the_format_and_nothing_is_lost(start, end, rich, tmp_path):
    source, copy = tmp_path / f"source{start}", tmp_path / f"copy{end}"
    before = read_h5ad(rich)
    write_h5ad(before, source)
    adata = open_cells(source)
    assert not isinstance(adata.obsm["X_pca"], np.ndarray)
    assert not isinstance(adata.raw.X, np.ndarray)
    adata.obs["new"] = 1.0
    adata.obsm["X_new"] = np.ones((adata.n_obs, 2), np.float32)
    write_copy(adata, source, copy)
    assert copy.is_dir() == (end == ".zarr")
    assert h5py.is_hdf5(copy) == (end == ".h5ad") if copy.is_file() else True
    after = read_h5ad(copy)
    assert (after.obs.pop("new") == 1).all()
    assert (after.obsm.pop("X_new") == 1).all()
    assert (after.X != before.X).nnz == 0
    assert (after.raw.X != before.raw.X).nnz == 0
    assert (after.obsp["near"] != before.obsp["near"]).nnz == 0
    for name in ("obs", "var", "raw.var"):
        pd.testing.assert_frame_equal(attrgetter(name)(after), attrgetter(name)(before))
    pd.testing.assert_frame_equal(after.obsm.pop("table"), before.obsm.pop("table"))
    for name in ("obsm", "varm", "layers"):
        ours, theirs = getattr(after, name), getattr(before, name)
        assert set(ours) == set(theirs)
        for key, value in theirs.items():
            if sparse.issparse(value):
                assert (ours[key] != value).nnz == 0
            else:
                np.testing.assert_array_equal(ours[key], value)
    assert after.uns["nested"]["a"]["b"].tolist() == [0, 1, 2]
    assert (after.uns["nested"]["a"]["c"], after.uns["nested"]["e"]) == ("d", 1.5)
    # Written again to itself, it is the same.
    write_copy(open_cells(copy), copy, copy, overwrite=True)
    assert read_h5ad(copy).shape == before.shape
    assert sorted(each.name for each in tmp_path.iterdir() if each.name.startswith(".")) == []


@pytest.mark.parametrize("name", ["o.csv", "o", "o.pdf", "o.zip", ".h5ad", "o.h5ad.gz", "o.H5AD"])
def test_other_endings_are_refused_with_those_that_work(name, course, tmp_path):
    with pytest.raises(
        InputError, match=r"cells are written as .h5ad, .zarr or .zarr.zip; name it \w+\.h5ad"
    ):
        write_h5ad(course, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_no_store_is_not_replaced(course, tmp_path):
    (tmp_path / "o.zarr").mkdir()
    (tmp_path / "o.zarr" / "mine").write_text("kept")
    with pytest.raises(FileError, match="it exists and is not a zarr store"):
        write_h5ad(course, tmp_path / "o.zarr", overwrite=True)
    assert (tmp_path / "o.zarr" / "mine").read_text() == "kept"


def test_a_store_is_replaced_and_a_zipped_folder_is_read(course, tmp_path):
    store = tmp_path / "o.zarr"
    write_h5ad(course, store)
    write_h5ad(course[:9].copy(), store, overwrite=True)
    assert read_h5ad(store).n_obs == 9
    # As `zip -r o.zarr.zip o.zarr` does: the store is a folder inside the file.
    shutil.make_archive(str(store), "zip", tmp_path, "o.zarr")
    for reader in (read_h5ad, open_cells):
        assert reader(tmp_path / "o.zarr.zip").n_obs == 9


def test_hdf5_with_the_name_of_a_zip_is_named_damaged(course, tmp_path):
    write_h5ad(course, tmp_path / "o.h5ad")
    (tmp_path / "o.h5ad").rename(tmp_path / "o.zarr.zip")
    for reader in (read_h5ad, open_cells):
        with pytest.raises(FileError, match="damaged or not a zarr store"):
            reader(tmp_path / "o.zarr.zip")


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


@pytest.mark.parametrize(
    "x",
    [sparse.csr_matrix((6, 4), dtype=np.float32), np.zeros((6, 0)), None, np.ones((6, 4), bool)],
)
@pytest.mark.parametrize(("start", "end"), [(".h5ad", ".zarr.zip"), (".zarr", ".h5ad")])
def test_empty_and_odd_matrices_are_copied_between_formats(x, start, end, tmp_path):
    obs = pd.DataFrame({"day": [0, 1] * 3}, index=list("abcdef"))
    uns = {"none": np.array([]), "words": np.array(["a", "b"], dtype=object)}
    uns["records"] = np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f4")])
    write_h5ad(AnnData(x, obs=obs, uns=uns), tmp_path / f"a{start}")
    write_copy(open_cells(tmp_path / f"a{start}"), tmp_path / f"a{start}", tmp_path / f"b{end}")
    copy = read_h5ad(tmp_path / f"b{end}")
    assert copy.shape == (6, 0 if x is None else x.shape[1])
    assert copy.uns["words"].tolist() == ["a", "b"]
    assert copy.uns["records"]["b"].tolist() == [2.0]
