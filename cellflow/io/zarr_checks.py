"""Check a zarr store before zarr reads it: plain files, known codecs, and values that are there.

The metadata of an array name the codecs that decode it. One of them, `pickle`, runs code that
stands in the store, and other packages may register any others.
"""

from __future__ import annotations

import math
import os
import stat
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from cellflow._errors import FileError
from cellflow._files import check_is_file, iter_files, parse_json
from cellflow.io.declared_sizes import check_declared_size

#: Codecs that turn bytes into bytes, numbers or text, and lose nothing. Left out are those of
#: objects (`pickle`, `json2`, `msgpack2`), lossy ones and those of other packages: AnnData writes
#: none of them.
_CODECS = frozenset(
    ("blosc", "bz2", "gzip", "lz4", "lzma", "zlib", "zstd", "delta", "shuffle", "bytes", "endian",
     "transpose", "sharding_indexed", "vlen-bytes", "vlen-utf8", "adler32", "crc32", "crc32c",
     "fletcher32")
)  # fmt: skip

#: Entries of metadata, of zarr 2 and 3, that name codecs.
_ENTRIES = ("compressor", "filters", "codecs", "index_codecs")

#: Files of metadata that name codecs; a group may have an index of its arrays.
_METADATA = (".zarray", ".zgroup", ".zmetadata", "zarr.json")

#: Largest file of metadata, in bytes.
_LARGEST = 2**26


def check_store(path: Path) -> None:
    """Check all members of a store, a folder or a zip file, and the codecs of all its arrays.

    Raises
    ------
    FileError
        For links, pipes, sockets and devices in it, members of a zip file that lead out of it,
        codecs that are not known to be safe, and large arrays whose chunks are missing.
    """
    stored: Counter[str] = Counter()
    documents = {}
    for name, n_bytes, content in _iter_folder(path) if path.is_dir() else _iter_zip(path):
        if content is None:
            stored[name.rpartition("/")[0]] += n_bytes
            continue
        if n_bytes > _LARGEST:
            raise FileError(f"{name} in {path} has more than {_LARGEST:,} bytes")
        try:
            documents[name] = parse_json(content)
        except ValueError as error:
            raise FileError(f"{name} in {path} cannot be read: {error}") from error
        _check_codecs(documents[name], path, PurePosixPath(name).parent.as_posix())
    sizes: Counter[str] = Counter()
    for folder, n_bytes in stored.items():
        for above in (PurePosixPath(folder), *PurePosixPath(folder).parents):
            sizes[above.as_posix()] += n_bytes
    for name, document in documents.items():
        array = PurePosixPath(name).parent.as_posix()
        _check_size(document, f"array {array} of {path}", sizes[array])


def _iter_folder(path: Path) -> Iterator[tuple[str, int, bytes | None]]:
    """Yield name, size and, of metadata, content of each file in a folder."""
    for entry in iter_files(path, "a zarr store"):
        content = None
        if _is_metadata(entry.name):
            with Path(entry.path).open("rb") as stream:
                content = stream.read(_LARGEST)
        yield entry.path[len(os.fspath(path)) + 1 :], entry.stat().st_size, content


def _iter_zip(path: Path) -> Iterator[tuple[str, int, bytes | None]]:
    """Yield name, size and, of metadata, content of each member of a zip file."""
    check_is_file(path)
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            member, kind = PurePosixPath(info.filename), stat.S_IFMT(info.external_attr >> 16)
            if member.is_absolute() or ".." in member.parts or "\\" in info.filename:
                raise FileError(f"{path} has a member that leads out of it: {info.filename}")
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise FileError(f"{path} has a member that is a link or no file: {info.filename}")
            content = None
            if _is_metadata(member.name) and not info.is_dir():
                with archive.open(info) as stream:
                    content = stream.read(_LARGEST)
            yield info.filename, info.file_size, content


def _is_metadata(name: str) -> bool:
    # Some file systems do not distinguish upper and lower case.
    return name.lower() in _METADATA


def _check_codecs(document: Any, path: Path, array: str) -> None:
    """Raise `FileError` for an unknown codec anywhere in a document of metadata."""
    if isinstance(document, list):
        for each in document:
            _check_codecs(each, path, array)
    if not isinstance(document, dict):
        return
    for key, value in document.items():
        for codec in _as_list(value) if key in _ENTRIES else ():
            _check_codec(codec, path, array)
        if key == "metadata" and isinstance(value, dict):  # the index of all members
            for name, each in value.items():
                _check_codecs(each, path, f"{array}/{name}".removesuffix("/.zarray"))
        elif key != "attributes":  # which are the user's, whatever their names
            _check_codecs(value, path, array)


def _check_size(document: Any, name: str, n_stored: int) -> None:
    """Raise `FileError` for metadata of a large array, of zarr 2 or 3, without its chunks."""
    if not isinstance(document, dict) or not isinstance(document.get("shape"), list):
        return
    try:
        n_values = math.prod(int(size) for size in document["shape"])
    except (TypeError, ValueError) as error:
        raise FileError(f"{name} cannot be read: {error}") from error
    kind = document.get("dtype", document.get("data_type"))
    check_declared_size(name, n_values, _itemsize(kind), n_stored)


def _itemsize(kind: Any) -> int | None:
    """Return the bytes of a value by the data type in metadata of zarr 2 or 3; None for text."""
    if isinstance(kind, dict):  # zarr 3, for example text of a fixed length
        configuration = kind.get("configuration")
        n_bytes = configuration.get("length_bytes") if isinstance(configuration, dict) else None
        return n_bytes if isinstance(n_bytes, int) and n_bytes > 0 else None
    try:
        dtype = np.dtype(kind)
    except TypeError:  # text, which NumPy has no name for
        return None
    return None if dtype.hasobject else dtype.itemsize


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _check_codec(codec: Any, path: Path, array: str) -> None:
    names = [codec.get(key) for key in ("id", "name")] if isinstance(codec, dict) else [codec]
    for name in names:
        if name is not None and str(name).removeprefix("numcodecs.") not in _CODECS:
            where = array.removeprefix("./")
            raise FileError(
                f"{path} is not read: array {where} is encoded by {name!r}, which may run code or "
                "is not known to be safe; if you trust its origin, read it where it was made and "
                "write it again with AnnData"
            )
