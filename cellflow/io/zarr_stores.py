"""Open zarr stores, in a folder or in one zip file, and copy groups between zarr and HDF5."""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
from anndata import settings
from anndata.io import read_elem, write_elem

from cellflow._errors import FileError
from cellflow.io.zarr_checks import check_store

#: A group of an `.h5ad` file or of a zarr store.
Group = Any

#: Encodings of groups whose members are copied one by one.
_GROUPS = ("anndata", "raw", "dict", "csr_matrix", "csc_matrix")

#: Size in bytes of the blocks that arrays are copied in.
_BLOCK = 2**26


def open_zarr(path: Path, mode: Literal["r", "r+"] = "r") -> Group:
    """Open the root group of a store: a folder, or a zip file, which can only be read.

    Raises
    ------
    FileError
        If the store is missing or damaged, or has members or codecs that must not be read.
    """
    import zarr
    from zarr.storage import ZipStore

    if not path.exists():
        raise FileError(f"{path} does not exist")
    try:
        check_store(path)
        if path.is_dir():
            # A consolidated index would not include members that are added later.
            return zarr.open_group(str(path), mode=mode, use_consolidated=False)
        return zarr.open_group(ZipStore(path, mode="r"), mode="r", path=_find_root(path))
    except FileError:
        raise
    except Exception as error:  # zarr raises many kinds of errors
        reason = " ".join(str(error).split())
        raise FileError(
            f"{path} cannot be read: it is damaged or not a zarr store ({reason})"
        ) from error


def new_zarr(folder: Path) -> Group:
    """Make the root group of a new store in a folder, in the zarr format that anndata writes."""
    import zarr

    with warnings.catch_warnings():
        # The setting is deprecated in AnnData 0.13 and removed in 0.14, which writes format 3.
        warnings.simplefilter("ignore", DeprecationWarning)
        form = getattr(settings, "zarr_write_format", 3)
    return zarr.open_group(str(folder), mode="w", zarr_format=form)


def holds_zarr(folder: Path) -> bool:
    """Return whether a folder is a zarr store, of either format."""
    return any((folder / name).is_file() for name in ("zarr.json", ".zgroup"))


def zip_store(folder: Path, path: Path) -> None:
    """Write the files of a store to one zip file; the same files give the same bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for file in sorted(each for each in folder.rglob("*") if each.is_file()):
            # Chunks are compressed already. The default time is the start of 1980.
            archive.writestr(
                zipfile.ZipInfo(file.relative_to(folder).as_posix()), file.read_bytes()
            )


def index_store(folder: Path, *, new: bool) -> None:
    """Write the consolidated index of a new store; renew that of a changed one if it has one."""
    import zarr

    if new or zarr.open_group(str(folder), mode="r").metadata.consolidated_metadata is not None:
        with warnings.catch_warnings():
            # zarr says of its format 3 that other programs may not know the index.
            warnings.filterwarnings("ignore", message="Consolidated metadata")
            zarr.consolidate_metadata(str(folder))


def copy_group(source: Group, target: Group) -> None:
    """Copy an AnnData between HDF5 and zarr; arrays of numbers are copied in blocks."""
    _copy_attributes(source, target)
    for key in source:
        element = source[key]
        if element.attrs.get("encoding-type") in _GROUPS:
            copy_group(element, target.create_group(key))
        elif hasattr(element, "dtype") and element.dtype.kind in "biuf" and element.ndim:
            _copy_array(element, target, key)
        else:
            write_elem(target, key, read_elem(element))


def _copy_attributes(source: Any, target: Any) -> None:
    for name, value in dict(source.attrs).items():
        # JSON, the attributes of zarr, has neither arrays nor NumPy's numbers.
        plain = value.tolist() if isinstance(value, np.ndarray | np.generic) else value
        target.attrs[name] = plain


def _copy_array(source: Any, target: Group, key: str) -> None:
    if isinstance(target, h5py.Group):
        size = {"chunks": True, "compression": "gzip"} if 0 not in source.shape else {}
        made = target.create_dataset(key, source.shape, source.dtype, **size)
    else:
        made = target.create_array(key, shape=source.shape, dtype=source.dtype)
    _copy_attributes(source, made)
    row = max(source.dtype.itemsize * int(np.prod(source.shape[1:])), 1)
    step = max(_BLOCK // row, 1)
    for start in range(0, source.shape[0], step):
        made[start : start + step] = source[start : start + step]


def _find_root(path: Path) -> str:
    """Return the folder in a zip file that is the store: the root, or the only folder there."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    folders = {name.partition("/")[0] for name in names}
    for root in ("", *(f"{folder}/" for folder in folders)):
        if f"{root}zarr.json" in names or f"{root}.zgroup" in names:
            return root.rstrip("/")
    return ""
