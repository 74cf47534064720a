"""`.h5ad` files: clear errors on the way in, whole files on the way out."""

from __future__ import annotations

from pathlib import Path

import anndata
import h5py
from anndata import AnnData
from anndata.io import write_elem

from cellflow._errors import FileError
from cellflow._files import atomic_file, check_is_file
from cellflow.io.hdf5 import check_structure
from cellflow.io.sink import Sink

#: Ending of a zarr store in one file.
ZIPPED = ".zarr.zip"


def read_h5ad(path: str | Path) -> AnnData:
    """Read an `.h5ad` file, or a zarr store: a folder `.zarr`, or one file `.zarr.zip`.

    Raises
    ------
    FileError
        If it is missing, not HDF5, cut short, or holds no AnnData.
    """
    path = Path(path)
    if path.name.endswith((".zarr", ZIPPED)) and path.exists():
        return _read_zarr(path)
    check_is_h5ad(path)
    try:
        return anndata.read_h5ad(path)
    except Exception as error:  # h5py and anndata raise many kinds for damaged files
        raise unreadable(path, error) from error


def unreadable(path: Path, error: Exception) -> FileError:
    """What is said of a file whose reader failed."""
    reason = " ".join(str(error).split())[:200]
    return FileError(f"{path} cannot be read; damaged or no AnnData: {reason}")


def check_is_h5ad(path: Path) -> None:
    """Refuse what is no HDF5 file, or none that can be read without harm."""
    check_is_file(path)
    if not h5py.is_hdf5(path):
        raise FileError(f"{path} is no .h5ad file (not HDF5)")
    try:
        check_structure(path)
    except Exception as error:  # h5py raises many kinds for damaged files
        raise unreadable(path, error) from error


def _read_zarr(path: Path) -> AnnData:
    try:
        from zarr.storage import LocalStore, ZipStore

        store = LocalStore(path) if path.is_dir() else ZipStore(path, mode="r")
        return anndata.read_zarr(store)
    except Exception as error:  # zarr and anndata raise many kinds for damaged stores
        raise unreadable(path, error) from error


def write_h5ad(adata: AnnData, path: str | Path, *, overwrite: bool = False) -> None:
    """Write an `.h5ad` file, whole or not at all.

    Raises
    ------
    FileError
        If `path` cannot be written, or exists while `overwrite` is off.
    """
    with atomic_file(Path(path), overwrite=overwrite) as staged:
        # As `AnnData.write_h5ad` does, which takes no open file.
        adata.strings_to_categoricals()
        if adata.raw is not None:
            adata.strings_to_categoricals(adata.raw.var)
        with Sink(str(staged)) as sink, h5py.File(sink, "w") as file:
            write_elem(file, "/", adata, dataset_kwargs={"compression": "gzip"})
