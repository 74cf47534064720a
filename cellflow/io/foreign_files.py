"""Files of cells in formats of other programs, and the calls that convert them to `.h5ad`."""

from __future__ import annotations

from collections.abc import Set
from pathlib import Path

import h5py

from cellflow._checks import format_list
from cellflow._errors import FileError

#: First bytes of gzip.
_GZIP = b"\x1f\x8b"

#: Calls that convert a file, by its ending; `{file}` and `{stem}` are filled in.
_CALLS = {
    "loom": ("a loom file", 'scanpy.read_loom("{file}").write_h5ad("{stem}.h5ad")'),
    "10x": ("a 10x file", 'scanpy.read_10x_h5("{file}").write_h5ad("{stem}.h5ad")'),
    "mtx": ("a matrix alone", 'scanpy.read_10x_mtx("{folder}").write_h5ad("{stem}.h5ad")'),
    "h5mu": ("a MuData", 'mudata.read_h5ad("{file}", mod="rna").write_h5ad("{stem}.h5ad")'),
    "h5seurat": ("a Seurat object", 'in R, SeuratDisk::Convert("{file}", dest = "h5ad")'),
    "rds": ("an R object", 'in R, anndataR::write_h5ad(readRDS("{file}"), "{stem}.h5ad")'),
    "csv": ("a text table", 'scanpy.read_csv("{file}").write_h5ad("{stem}.h5ad")'),
    "tsv": ("a text table", 'scanpy.read_text("{file}").write_h5ad("{stem}.h5ad")'),
    "xlsx": ("an Excel table", 'scanpy.read_excel("{file}", 0).write_h5ad("{stem}.h5ad")'),
    "fcs": ("a file of cytometry", 'readfcs.read("{file}").write_h5ad("{stem}.h5ad")'),
}
_SAME = {"txt": "tsv", "tab": "tsv", "rdata": "rds", "rda": "rds", "xls": "xlsx"}


def refuse_folder(path: Path) -> None:
    """Raise `FileError` for a folder in place of a file of cells, with the way to what is in it."""
    if not path.is_dir():
        return
    found = {entry.name for entry in path.iterdir()}
    cells = sorted(name for name in found if name.endswith((".h5ad", ".zarr", ".zarr.zip")))
    if {"matrix.mtx", "matrix.mtx.gz"} & found:
        call = f'scanpy.read_10x_mtx("{path}").write_h5ad("{path.name or "cells"}.h5ad")'
        raise FileError(f"{path} is a folder with a 10x matrix; convert it: {call}")
    if "flow.json" in found:
        raise FileError(f"{path} is a saved flow (--flow), and not a file of cells")
    if {".zgroup", "zarr.json"} & found:
        raise FileError(f"{path} is a zarr store without its ending: rename it {path.name}.zarr")
    if cells:
        raise FileError(f"{path} is a folder; files of cells in it: {format_list(cells)}")
    raise FileError(
        f"{path} is a folder, and neither a file of cells nor a saved flow; for a folder of images "
        f"run cellflow image data {path}"
    )


def refuse_by_name(path: Path) -> None:
    """Raise `FileError` for a file that is not HDF5, with the call that converts it if known."""
    with path.open("rb") as file:
        zipped = file.read(2) == _GZIP
    if zipped and path.name.lower().endswith((".h5ad.gz", ".h5.gz", ".loom.gz")):
        raise FileError(f"{path} is compressed; run gunzip {path}")
    ending = path.name.lower().removesuffix(".gz").rpartition(".")[2]
    ending = _SAME.get(ending, ending)
    # Programs write HDF5 to these; what is not HDF5 is damaged.
    if ending in _CALLS and ending not in ("loom", "h5mu", "h5seurat"):
        raise _conversion(path, ending)
    raise FileError(f"{path} is not an .h5ad file (not HDF5)")


def refuse_by_content(path: Path) -> None:
    """Raise `FileError` for HDF5 of another program, with the call that converts it.

    The structure of the file must have been checked.
    """
    with h5py.File(path, "r") as file:
        members = {name: _names(file[name]) for name in file}
    if {"row_attrs", "col_attrs"} <= members.keys():
        raise _conversion(path, "loom")
    if {"mod", "obs"} <= members.keys():
        raise _conversion(path, "h5mu")
    if {"assays", "cell.names"} <= members.keys():
        raise _conversion(path, "h5seurat")
    if any({"barcodes", "data", "indptr"} <= names for names in members.values()):
        raise _conversion(path, "10x")


def _names(member: h5py.Group | h5py.Dataset) -> Set[str]:
    return set(member) if isinstance(member, h5py.Group) else set()


def _conversion(path: Path, ending: str) -> FileError:
    kind, call = _CALLS[ending]
    stem = path.name.removesuffix(".gz").rpartition(".")[0] or path.name
    filled = call.format(file=path, stem=stem, folder=path.parent)
    return FileError(f"{path} is {kind}, not an .h5ad file; convert it: {filled}")
