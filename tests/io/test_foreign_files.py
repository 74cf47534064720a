"""Files of other programs are refused with the call that converts them."""

import gzip

import h5py
import numpy as np
import pytest
import scanpy as sc

import cellflow as cf
from cellflow import FileError
from cellflow.io import open_cells, read_h5ad


def _ten_x(path, group="matrix"):
    """A file as Cell Ranger writes it: genes by cells, column by column."""
    with h5py.File(path, "w") as file:
        matrix = file.create_group(group)
        matrix["barcodes"] = np.array([b"AAC-1", b"AAG-1"])
        matrix["data"], matrix["indices"] = np.array([1, 2]), np.array([0, 1])
        matrix["indptr"], matrix["shape"] = np.array([0, 1, 2]), np.array([3, 2])
        features = matrix.create_group("features")
        for name in ("id", "name", "feature_type", "genome"):
            features[name] = np.array([b"a", b"b", b"c"], dtype="S20")
        features["feature_type"][...] = b"Gene Expression"


def _groups(path, *names):
    with h5py.File(path, "w") as file:
        for name in names:
            file.create_group(name)


@pytest.mark.parametrize(
    ("name", "write", "said"),
    [
        ("x.h5", _ten_x, 'scanpy.read_10x_h5("{}").write_h5ad("x.h5ad")'),
        ("x.h5", lambda path: _ten_x(path, "mm10"), "scanpy.read_10x_h5("),
        ("x.loom", lambda path: _groups(path, "matrix", "row_attrs", "col_attrs"), "read_loom("),
        ("x.h5ad", lambda path: _groups(path, "row_attrs", "col_attrs"), "is a loom file"),
        ("x.h5mu", lambda path: _groups(path, "mod", "obs", "var"), 'mod="rna"'),
        ("x.h5seurat", lambda path: _groups(path, "assays", "cell.names"), "SeuratDisk::Convert("),
        ("x.rds", lambda path: path.write_bytes(gzip.compress(b"R")), 'readRDS("{}")'),
        ("x.RData", lambda path: path.write_bytes(b"RDX3"), "in R"),
        ("matrix.mtx.gz", lambda path: path.write_bytes(gzip.compress(b"%")), "read_10x_mtx("),
        ("x.csv.gz", lambda path: path.write_bytes(gzip.compress(b"a,b")), 'write_h5ad("x.h5ad")'),
        ("x.h5ad.gz", lambda path: path.write_bytes(gzip.compress(b"a")), "run gunzip {}"),
        ("x.h5ad", lambda path: path.write_text("cells"), "is not an .h5ad file"),
        ("x.loom", lambda path: path.write_text("cells"), "is not an .h5ad file (not HDF5)"),
    ],
)
def test_files_of_other_programs_are_named_with_the_way_out(name, write, said, tmp_path):
    path = tmp_path / name
    write(path)
    for read in (open_cells, read_h5ad):
        with pytest.raises(FileError) as caught:
            read(path)
        assert said.format(path) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_the_call_for_10x_reads_the_file_that_is_refused(tmp_path):
    _ten_x(tmp_path / "x.h5")
    assert sc.read_10x_h5(tmp_path / "x.h5").shape == (2, 3)


def test_folders_with_a_matrix_are_named(run, tmp_path):
    folder = tmp_path / "filtered"
    folder.mkdir()
    (folder / "matrix.mtx.gz").write_bytes(gzip.compress(b"%"))
    said = f'scanpy.read_10x_mtx("{folder}").write_h5ad("filtered.h5ad")'
    for words in (["info", folder], ["embed", folder, "--output", "e.h5ad"]):
        _check_refused(run(*words), said)


def _check_refused(result, said):
    code, _, err = result
    assert code == 2
    assert said in err
    assert len(err.splitlines()) == 1


def test_other_folders_lead_to_what_is_in_them(run, course, quick, tmp_path):
    folder = tmp_path / "more"
    folder.mkdir()
    embed = ["embed", "--output", "e.h5ad"]
    for words in (["info"], embed):
        _check_refused(run(*words, folder), f"run cellflow image data {folder}")
    (folder / "zarr.json").touch()
    _check_refused(run("info", folder), "rename it more.zarr")
    (folder / "zarr.json").unlink()
    course.write_h5ad(folder / "day.h5ad")
    for words in (["info"], embed):
        _check_refused(run(*words, folder), "files of cells in it: day.h5ad")
    cf.tl.fit(course, use_rep="X_pca", recipe=quick, progress=False).save(tmp_path / "flow")
    _check_refused(run(*embed, "flow"), "flow is a saved flow (--flow)")
    assert run("info", "flow")[0] == 0
