"""Check a zarr store before zarr reads it: plain files only, and known codecs only.

The metadata of an array name the codecs that decode it. One of them, `pickle`, runs code that
stands in the store, and other packages may register any others.
"""

from __future__ import annotations

import json
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from cellflow._errors import FileError
from cellflow._files import check_is_file, iter_files

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
        and codecs that are not known to be safe.
    """
    for name, content in _iter_folder(path) if path.is_dir() else _iter_zip(path):
        try:
            if len(content) > _LARGEST:
                raise FileError(f"{name} in {path} has more than {_LARGEST:,} bytes")
            _check_codecs(json.loads(content), path, PurePosixPath(name).parent.as_posix())
        except (ValueError, RecursionError) as error:
            if isinstance(error, FileError):
                raise
            raise FileError(f"{name} in {path} cannot be read: {error}") from error


def _iter_folder(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each file of metadata in a folder."""
    for file in iter_files(path, "a zarr store"):
        if _is_metadata(file.name):
            with file.open("rb") as stream:
                yield file.relative_to(path).as_posix(), stream.read(_LARGEST + 1)


def _iter_zip(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each file of metadata in a zip file."""
    check_is_file(path)
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            member, kind = PurePosixPath(info.filename), stat.S_IFMT(info.external_attr >> 16)
            if member.is_absolute() or ".." in member.parts or "\\" in info.filename:
                raise FileError(f"{path} has a member that leads out of it: {info.filename}")
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise FileError(f"{path} has a member that is a link or no file: {info.filename}")
            if _is_metadata(member.name) and not info.is_dir():
                with archive.open(info) as stream:
                    yield info.filename, stream.read(_LARGEST + 1)


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
