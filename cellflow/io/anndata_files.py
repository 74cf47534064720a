"""Read, open on disk, write and copy AnnData in `.h5ad` files and zarr stores."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, Literal

import anndata
import h5py
import pandas as pd
from anndata import AnnData
from anndata.io import read_elem, sparse_dataset, write_elem

from cellflow._errors import FileError
from cellflow._files import (
    atomic_file,
    atomic_folder,
    check_file_target,
    check_is_file,
    check_target,
)
from cellflow._keys import GROWTH, GROWTH_SETTINGS, TIME_POINTS, read_record
from cellflow.io.hdf5 import Sink, check_structure
from cellflow.io.time_points import USUAL_TIME_KEYS

#: Ending of a zarr store in one file.
ZIPPED = ".zarr.zip"

#: Ending of a zarr store that is a folder.
_ZARR = ".zarr"

#: A group of an `.h5ad` file or of a zarr store.
Group = Any


def read_h5ad(path: str | Path) -> AnnData:
    """Read an `.h5ad` file, or a zarr store: a folder `.zarr`, or one file `.zarr.zip`.

    Raises
    ------
    FileError
        If the file is missing, not HDF5, truncated, or not an AnnData.
    """
    path = Path(path)
    if path.name.endswith((".zarr", ZIPPED)) and path.exists():
        return _read_zarr(path)
    _check_is_h5ad(path)
    try:
        return anndata.read_h5ad(path)
    except Exception as error:  # h5py and anndata raise many kinds for damaged files
        raise _read_error(path, error) from error


def _read_error(path: Path, error: Exception) -> FileError:
    reason = " ".join(str(error).split())[:200]
    return FileError(f"{path} cannot be read: it is damaged or not an AnnData ({reason})")


def _check_is_h5ad(path: Path) -> None:
    """Raise an error unless the file is HDF5 that can be read safely."""
    check_is_file(path)
    if not h5py.is_hdf5(path):
        raise FileError(f"{path} is not an .h5ad file (not HDF5)")
    try:
        check_structure(path)
    except Exception as error:  # h5py raises many kinds for damaged files
        raise _read_error(path, error) from error


def _read_zarr(path: Path) -> AnnData:
    try:
        from zarr.storage import LocalStore, ZipStore

        store = LocalStore(path) if path.is_dir() else ZipStore(path, mode="r")
        return anndata.read_zarr(store)
    except Exception as error:  # zarr and anndata raise many kinds for damaged stores
        raise _read_error(path, error) from error


def write_h5ad(adata: AnnData, path: str | Path, *, overwrite: bool = False) -> None:
    """Write an `.h5ad` file atomically.

    Raises
    ------
    FileError
        If `path` cannot be written, or exists and `overwrite` is False.
    """
    with atomic_file(Path(path), overwrite=overwrite) as staged:
        # `AnnData.write_h5ad` does the same, but cannot write to an open file.
        adata.strings_to_categoricals()
        if adata.raw is not None:
            adata.strings_to_categoricals(adata.raw.var)
        with Sink(str(staged)) as sink, h5py.File(sink, "w") as file:
            write_elem(file, "/", adata, dataset_kwargs={"compression": "gzip"})


def open_cells(path: str | Path, columns: Iterable[str | None] | None = None) -> AnnData:
    """Open an `.h5ad` file or a zarr store; matrices stay on disk until they are used.

    `X`, layers, `raw` and dense `obsm` keys are on-disk arrays. `obsp` and `varp` are left out.
    Files that AnnData before 0.8 wrote are read into memory.

    Parameters
    ----------
    path
        The file, or a folder `*.zarr`.
    columns
        Columns of `obs` to read, in addition to the usual columns of times and growth rates. None
        reads all columns; so does a missing column, so that error messages can list the columns.

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
        return AnnData(
            X=_on_disk(root["X"]) if "X" in root else None,
            obs=_frame(root["obs"], uns, columns),
            var=read_elem(root["var"]),
            uns=uns,
            obsm={key: _on_disk(each, dense_only=True) for key, each in _members(root, "obsm")},
            varm={key: read_elem(each) for key, each in _members(root, "varm")},
            layers={key: _on_disk(each) for key, each in _members(root, "layers")},
            raw=_raw(root),
        )
    except Exception as error:  # h5py, zarr and anndata raise many kinds for damaged files
        raise _read_error(path, error) from error


def check_copy_target(source: Path, path: Path, *, overwrite: bool) -> None:
    """Raise an error if `write_copy` cannot write to `path`; call it before long work."""
    if (source.suffix == _ZARR) != (path.suffix == _ZARR):
        kind = "a zarr store" if source.suffix == _ZARR else "a file"
        raise FileError(
            f"{source} is {kind}, so its copy must be one too: name the output "
            f"*{source.suffix or '.h5ad'}, not {path.name}"
        )
    check = check_target if source.suffix == _ZARR else check_file_target
    check(path, overwrite=overwrite)


def write_copy(
    adata: AnnData, source: Path, path: Path, *, obsm: Collection[str] = (), overwrite: bool = False
) -> None:
    """Copy the file that `adata` was opened from, with its `obs`, `uns` and new `obsm` keys.

    Matrices are copied on disk and never loaded. The copy is written atomically.

    Parameters
    ----------
    adata
        Cells that `open_cells` opened from `source`.
    source, path
        The original and the copy: files, or zarr stores.
    obsm
        Keys of `obsm` that were added.
    overwrite
        Replace an existing `path`.

    Raises
    ------
    FileError
        If `path` cannot be written, or exists and `overwrite` is False.
    """
    check_copy_target(source, path, overwrite=overwrite)
    if source.suffix == _ZARR:
        with atomic_folder(path, overwrite=overwrite) as staged:
            shutil.copytree(source, staged, dirs_exist_ok=True)
            _write_into(_zarr(staged, "r+"), adata, obsm)
            _renew_index(staged)
    elif _root(source) is None:
        write_h5ad(adata, path, overwrite=overwrite)
    else:
        with atomic_file(path, overwrite=overwrite) as staged:
            shutil.copyfile(source, staged)
            with h5py.File(staged, "r+") as file:
                _write_into(file, adata, obsm)


def _write_into(root: Group, adata: AnnData, obsm: Collection[str]) -> None:
    write_elem(root, "obs", adata.obs)
    write_elem(root, "uns", dict(adata.uns))
    for key in obsm:
        write_elem(root, f"obsm/{key}", adata.obsm[key])


def _root(path: Path) -> Group | None:
    """Open the root group; None for zipped stores and for files of AnnData before 0.8."""
    if path.suffix == _ZARR and path.is_dir():
        return _zarr(path, "r")
    if path.name.endswith(ZIPPED):
        return None
    _check_is_h5ad(path)
    try:
        root = h5py.File(path, "r")
    except OSError as error:
        raise FileError(
            f"{path} cannot be read: it is damaged or not an AnnData ({error})"
        ) from error
    return root if root.attrs.get("encoding-type") == "anndata" else None


def _zarr(path: Path, mode: Literal["r", "r+"]) -> Group:
    try:
        import zarr
    except ImportError as error:
        raise FileError(
            f"{path} is a zarr store; to read it, pip install 'cellflow-snapshots[dask]'"
        ) from error
    try:
        # A consolidated index would not include members that are added later.
        return zarr.open_group(str(path), mode=mode, use_consolidated=False)
    except Exception as error:  # zarr raises many kinds of errors
        raise FileError(
            f"{path} cannot be read: it is damaged or not a zarr store ({error})"
        ) from error


def _renew_index(path: Path) -> None:
    """Renew the consolidated index of a store, if it has one."""
    import zarr

    if zarr.open_group(str(path), mode="r").metadata.consolidated_metadata is not None:
        zarr.consolidate_metadata(str(path))


def _members(root: Group, name: str) -> list[tuple[str, Any]]:
    return [(key, root[name][key]) for key in root[name]] if name in root else []


def _raw(root: Group) -> dict[str, Any] | None:
    """Open `raw`; stores without it may have an empty element of this name."""
    if "raw" not in root or root["raw"].attrs.get("encoding-type") != "raw":
        return None
    return {"X": _on_disk(root["raw/X"]), "var": read_elem(root["raw/var"])}


def _on_disk(element: Any, *, dense_only: bool = False) -> Any:
    """Return an on-disk array; elements of other kinds are read."""
    kind = element.attrs.get("encoding-type")
    if kind in ("csr_matrix", "csc_matrix") and not dense_only:
        return sparse_dataset(element)
    return element if kind == "array" else read_elem(element)


def _frame(group: Group, uns: dict[str, Any], columns: Iterable[str | None] | None) -> pd.DataFrame:
    """Read the requested columns of `obs`, and those that hold times and growth rates."""
    known = list(group.attrs["column-order"])
    requested = None if columns is None else {name for name in columns if name is not None}
    if requested is None or not requested <= set(known):
        return read_elem(group)
    own: set[str | None] = {GROWTH, *USUAL_TIME_KEYS}
    own |= {(read_record(uns, TIME_POINTS) or {}).get("time_key")}
    own |= {(read_record(uns, GROWTH_SETTINGS) or {}).get("key_added")}
    wanted = [name for name in known if name in requested | own]
    index = read_elem(group[group.attrs["_index"]])
    return pd.DataFrame({name: read_elem(group[name]) for name in wanted}, index=pd.Index(index))
