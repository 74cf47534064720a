"""Read arrays of `.npy` and `.npz` files, without pickles and no more than memory holds."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from cellflow._checks import TEXT_BYTES, check_memory
from cellflow._errors import CellflowError, FileError
from cellflow._files import check_is_file

#: Ending of the members of an `.npz` file.
_MEMBER = ".npy"


def read_names(path: Path) -> list[str]:
    """Return the names of the arrays of an `.npz` file.

    Raises
    ------
    FileError
        If the file is missing, damaged or not an `.npz` file.
    """
    with _opened(path) as archive:
        names = archive.namelist()
        return [name.removesuffix(_MEMBER) for name in names if name.endswith(_MEMBER)]


def read_member(path: Path, name: str) -> np.ndarray:
    """Read one array of an `.npz` file.

    Raises
    ------
    FileError
        If the file or the array is missing, damaged, pickled, or larger than memory holds.
    """
    with _opened(path) as archive, archive.open(name + _MEMBER) as stream:
        return _read(stream, f"{path}: array {name!r}")


def read_array(path: Path) -> np.ndarray:
    """Read the array of an `.npy` file.

    Raises
    ------
    FileError
        If the file is missing, damaged, pickled, or larger than memory holds.
    """
    check_is_file(path)
    with _reraise(path), path.open("rb") as stream:
        return _read(stream, str(path))


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    check_is_file(path)
    with _reraise(path), path.open("rb") as stream:
        if stream.read(len(npy.MAGIC_PREFIX)) == npy.MAGIC_PREFIX:
            raise FileError(f"{path} is a single array; name it {path.stem}{_MEMBER}")
        with zipfile.ZipFile(stream) as archive:
            yield archive


@contextmanager
def _reraise(path: Path) -> Iterator[None]:
    try:
        yield
    except CellflowError:
        raise
    except Exception as error:  # damaged zip files raise many kinds
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise FileError(
            f"{path} cannot be read as {path.suffix}; damaged or of another kind: {reason}"
        ) from error


def _read(stream: IO[bytes], what: str) -> np.ndarray:
    """Read an array whose size is checked before memory is reserved for it."""
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    version = npy.read_magic(stream)
    if version not in readers:
        raise ValueError(f"{what} has the version {version} of NumPy's format")
    shape, _, dtype = readers[version](stream)
    if dtype.hasobject:
        raise FileError(
            f"{what} is pickled, and opening it would run what it holds; save it again as numbers "
            "or text, if you trust where it comes from"
        )
    if not dtype.itemsize:
        raise ValueError(f"{what} has values of zero bytes")
    per_value = dtype.itemsize + (TEXT_BYTES if dtype.kind in "US" else 0)
    check_memory(math.prod(shape) * per_value, what, "the file may be damaged")
    stream.seek(0)
    return npy.read_array(stream, allow_pickle=False)
