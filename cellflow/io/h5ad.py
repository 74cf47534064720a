"""`.h5ad` files: clear errors on the way in, whole files on the way out."""

from __future__ import annotations

from pathlib import Path

import anndata
import h5py
from anndata import AnnData

from cellflow._errors import FileError
from cellflow._files import new_file


def read_h5ad(path: str | Path) -> AnnData:
    """Read an `.h5ad` file.

    Raises
    ------
    FileError
        If it is missing, not HDF5, cut short, or holds no AnnData.
    """
    path = Path(path)
    check_is_h5ad(path)
    try:
        return anndata.read_h5ad(path)
    except Exception as error:  # h5py and anndata raise many kinds for damaged files
        reason = " ".join(str(error).split())[:200]
        raise FileError(f"{path} cannot be read; damaged or no AnnData: {reason}") from error


def check_is_h5ad(path: Path) -> None:
    """Refuse what is no HDF5 file."""
    if not path.is_file():
        raise FileError(f"{path} {'is no file' if path.exists() else 'does not exist'}")
    if not h5py.is_hdf5(path):
        raise FileError(f"{path} is no .h5ad file (not HDF5)")


def write_h5ad(adata: AnnData, path: str | Path, *, overwrite: bool = False) -> None:
    """Write an `.h5ad` file, whole or not at all.

    Raises
    ------
    FileError
        If `path` cannot be written, or exists while `overwrite` is off.
    """
    with new_file(Path(path), overwrite=overwrite) as staged:
        adata.write_h5ad(staged, compression="gzip")
