"""Read, open on disk, write and copy AnnData in `.h5ad` files and zarr stores.

The ending of a name decides the format: `.h5ad`, `.zarr` for a folder, `.zarr.zip` for one file.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
from anndata import AnnData, settings
from anndata.io import read_elem, sparse_dataset, write_elem
from pandas.api.types import infer_dtype, is_object_dtype
from scipy.sparse import issparse

from cellflow._errors import FileError
from cellflow._files import (
    ZARR,
    ZIPPED,
    atomic_file,
    atomic_folder,
    check_ending,
    check_file_target,
    check_is_file,
    check_target,
)
from cellflow._keys import GROWTH, GROWTH_SETTINGS, TIME_POINTS, read_record
from cellflow.io.batches import names_batches
from cellflow.io.foreign_files import refuse_by_content, refuse_by_name, refuse_folder
from cellflow.io.hdf5 import Sink, check_structure
from cellflow.io.matrices import check_matrices, layer_names
from cellflow.io.time_points import USUAL_TIME_KEYS
from cellflow.io.zarr_stores import (
    Group,
    copy_group,
    holds_zarr,
    index_store,
    new_zarr,
    open_zarr,
    zip_store,
)

#: Ending of an AnnData in an HDF5 file.
_HDF5 = ".h5ad"

#: Write columns of text with missing values, which files that are read may have.
_NULLABLE = partial(settings.override, allow_write_nullable_strings=True)

#: Endings of files of cells.
CELLS = (_HDF5, ZARR, ZIPPED)


def read_h5ad(path: str | Path) -> AnnData:
    """Read an `.h5ad` file, or a zarr store: a folder `.zarr`, or one file `.zarr.zip`.

    Raises
    ------
    FileError
        If the file is missing, not HDF5, truncated, or not an AnnData.
    """
    path = Path(path)
    store = open_zarr(path) if _is_zarr(path) else None
    if store is None:
        _check_is_h5ad(path)
    try:
        adata = anndata.read_h5ad(path) if store is None else anndata.io.read_zarr(store)
        check_matrices(adata)
        return _check_columns(adata)
    except Exception as error:  # h5py, zarr and anndata raise many kinds for damaged files
        raise _read_error(path, error) from error


def _is_zarr(path: Path) -> bool:
    return path.name.endswith((ZARR, ZIPPED))


def _read_error(path: Path, error: Exception) -> FileError:
    reason = " ".join(str(error).split())[:200]
    return FileError(f"{path} cannot be read: it is damaged or not an AnnData ({reason})")


def _check_is_h5ad(path: Path) -> None:
    """Raise an error unless the file is HDF5 that can be read safely."""
    refuse_folder(path)
    check_is_file(path)
    if not h5py.is_hdf5(path):
        refuse_by_name(path)
    try:
        check_structure(path)
        refuse_by_content(path)
    except FileError:
        raise
    except Exception as error:  # h5py raises many kinds for damaged files
        raise _read_error(path, error) from error


def check_cells_target(path: Path, *, overwrite: bool) -> None:
    """Raise an error if no cells can be written to `path`; call it before long work.

    Raises
    ------
    InputError
        If its ending is not that of a file of cells.
    FileError
        If it cannot be written, exists and `overwrite` is False, or is a folder other than a store.
    """
    check_ending(path, CELLS, "cells")
    if path.suffix != ZARR:
        check_file_target(path, overwrite=overwrite)
        return
    check_target(path, overwrite=overwrite)
    if path.exists() and not holds_zarr(path):
        raise FileError(f"cannot write {path}: it exists and is not a zarr store; choose another")


def write_h5ad(adata: AnnData, path: str | Path, *, overwrite: bool = False) -> None:
    """Write an `.h5ad` file or a zarr store, by the ending of `path`, atomically.

    Raises
    ------
    InputError
        If the ending of `path` is not `.h5ad`, `.zarr` or `.zarr.zip`.
    FileError
        If `path` cannot be written, or exists and `overwrite` is False.
    """
    path = Path(path)
    with _stage(path, overwrite=overwrite) as staged:
        # `AnnData.write_h5ad` does the same, but cannot write to an open file.
        adata.strings_to_categoricals()
        if adata.raw is not None:
            adata.strings_to_categoricals(adata.raw.var)
        if _is_zarr(path):
            write_elem(new_zarr(staged), "/", adata)
            index_store(staged, new=True)
        else:
            with Sink(str(staged)) as sink, h5py.File(sink, "w") as file:
                write_elem(file, "/", adata, dataset_kwargs={"compression": "gzip"})


@contextmanager
def _stage(path: Path, *, overwrite: bool) -> Iterator[Path]:
    """Yield the path of a new file, or an empty folder for a store, that becomes `path`."""
    check_cells_target(path, overwrite=overwrite)
    if path.suffix == ZARR:
        with atomic_folder(path, overwrite=overwrite) as staged, _NULLABLE():
            yield staged
        return
    with atomic_file(path, overwrite=overwrite) as staged, _NULLABLE():
        if not _is_zarr(path):
            yield staged
            return
        folder = staged.with_name("store")
        folder.mkdir()
        yield folder
        zip_store(folder, staged)


def open_cells(path: str | Path, columns: Iterable[str | None] | None = None) -> AnnData:
    """Open an `.h5ad` file or a zarr store; matrices stay on disk until they are used.

    `X`, layers, the `X` of `raw` and dense `obsm` keys are on-disk arrays. `obsp` and `varp` are
    left out.
    Files that AnnData before 0.8 wrote are read into memory.

    Parameters
    ----------
    path
        The file, or a folder `*.zarr`.
    columns
        Columns of `obs` to read, in addition to those of usual names of times, growth rates and
        batches. None reads all columns; so do a missing column and a file without any of these, so
        that error messages can list the columns.

    Raises
    ------
    FileError
        If the file is missing, damaged, or not an AnnData.
    """
    path = Path(path)
    root = _root(path)
    if root is None:
        return read_h5ad(path)
    try:
        uns = read_elem(root["uns"]) if "uns" in root else {}
        adata = AnnData(
            X=_on_disk(root["X"]) if "X" in root else None,
            obs=_frame(root["obs"], uns, columns),
            var=read_elem(root["var"]),
            uns=uns,
            obsm={key: _on_disk(each, dense_only=True) for key, each in _members(root, "obsm")},
            varm={key: read_elem(each) for key, each in _members(root, "varm")},
            layers={key: _on_disk(each) for key, each in _members(root, "layers")},
            raw=_raw(root),
        )
        check_matrices(adata)
        return _check_columns(adata)
    except Exception as error:  # h5py, zarr and anndata raise many kinds for damaged files
        raise _read_error(path, error) from error


def _check_columns(adata: AnnData) -> AnnData:
    """Return the cells; raise `ValueError` for columns of other things than numbers and text."""
    for name, table in (("obs", adata.obs), ("var", adata.var)):
        for column, values in table.items():
            dtype = values.dtype
            if dtype.kind == "V":
                raise ValueError(f"{name}[{column!r}] has records, {dtype}, and not one value each")
            if is_object_dtype(dtype) and infer_dtype(values).startswith("mixed"):
                raise ValueError(f"{name}[{column!r}] holds neither numbers nor text")
    return adata


def load_matrices(adata: AnnData) -> AnnData:
    """Return cells of `open_cells` with all matrices in memory; other cells as they are."""
    matrices = [adata.X, *adata.layers.values(), *adata.obsm.values()]
    on_disk = any(hasattr(each, "group") or _is_array(each) for each in matrices)
    return adata.to_memory() if on_disk and not adata.isbacked else adata


def _is_array(value: Any) -> bool:
    """Return whether a value is an array of HDF5 or zarr."""
    return type(value).__module__.partition(".")[0] in ("h5py", "zarr")


def write_copy(adata: AnnData, source: Path, path: Path, *, overwrite: bool = False) -> None:
    """Copy the file that `adata` was opened from, with what was added to `adata`.

    Written anew are `obs`, `var`, `uns`, and members of `obsm` and `layers` that are in memory. All
    else, `raw`, `obsp` and `varp` included, is copied on disk and never loaded. The ending of
    `path` decides the format of the copy, which is written atomically.

    Parameters
    ----------
    adata
        Cells that `open_cells` opened from `source`, with all columns.
    source, path
        The original and the copy: files, or zarr stores. They may be the same.
    overwrite
        Replace an existing `path`.

    Raises
    ------
    InputError
        If the ending of `path` is not that of a file of cells.
    FileError
        If `path` cannot be written, or exists and `overwrite` is False.
    """
    root = _root(source)
    if root is None:
        write_h5ad(adata, path, overwrite=overwrite)
        return
    with _stage(path, overwrite=overwrite) as staged:
        if _is_zarr(path):
            as_it_is = source.is_dir()
            if as_it_is:
                shutil.copytree(source, staged, dirs_exist_ok=True)
            else:
                copy_group(root, new_zarr(staged))
            _write_into(open_zarr(staged, "r+"), adata)
            index_store(staged, new=not as_it_is)
            return
        if _is_zarr(source):
            with Sink(str(staged)) as sink, h5py.File(sink, "w") as file:
                copy_group(root, file)
        else:
            shutil.copyfile(source, staged)
        with h5py.File(staged, "r+") as file:
            _write_into(file, adata)


def _write_into(root: Group, adata: AnnData) -> None:
    for name in ("obs", "var"):
        write_elem(root, name, getattr(adata, name))
    write_elem(root, "uns", dict(adata.uns))
    for name, keys in (("obsm", list(adata.obsm)), ("layers", layer_names(adata))):
        for key in keys:
            value = getattr(adata, name)[key]
            if isinstance(value, np.ndarray | pd.DataFrame) or issparse(value):
                # A path with a slash is refused from AnnData 0.13 on.
                write_elem(root.require_group(name), key, value)


def _root(path: Path) -> Group | None:
    """Open the root group; None for files of AnnData before 0.8."""
    if _is_zarr(path):
        root = open_zarr(path)
    else:
        _check_is_h5ad(path)
        try:
            root = h5py.File(path, "r")
        except OSError as error:
            raise _read_error(path, error) from error
    return root if root.attrs.get("encoding-type") == "anndata" else None


def _raw(root: Group) -> dict[str, Any] | None:
    """Open the parts of `AnnData.raw`; None for files without it, or in an older layout."""
    if "raw" not in root or root["raw"].attrs.get("encoding-type") != "raw":
        return None
    varm = {key: read_elem(each) for key, each in _members(root["raw"], "varm")}
    return {"X": _on_disk(root["raw/X"]), "var": read_elem(root["raw/var"]), "varm": varm}


def _members(root: Group, name: str) -> list[tuple[str, Any]]:
    return [(key, root[name][key]) for key in root[name]] if name in root else []


def _on_disk(element: Any, *, dense_only: bool = False) -> Any:
    """Return an on-disk array; elements of other kinds are read."""
    kind = element.attrs.get("encoding-type")
    if kind in ("csr_matrix", "csc_matrix") and not dense_only:
        return sparse_dataset(element)
    return element if kind == "array" else read_elem(element)


def _frame(group: Group, uns: dict[str, Any], columns: Iterable[str | None] | None) -> pd.DataFrame:
    """Read the requested columns of `obs`, and those of times, growth rates and batches."""
    known = list(group.attrs["column-order"])
    requested = None if columns is None else {name for name in columns if name is not None}
    if requested is None or not requested <= set(known):
        return read_elem(group)
    own: set[str | None] = {GROWTH, *USUAL_TIME_KEYS}
    own |= {(read_record(uns, TIME_POINTS) or {}).get("time_key")}
    own |= {(read_record(uns, GROWTH_SETTINGS) or {}).get("key_added")}
    wanted = [
        name
        for name in known
        if name in requested | own or name.lower() in USUAL_TIME_KEYS or names_batches(name)
    ]
    if not wanted:
        return read_elem(group)
    index = read_elem(group[group.attrs["_index"]])
    return pd.DataFrame({name: read_elem(group[name]) for name in wanted}, index=pd.Index(index))
