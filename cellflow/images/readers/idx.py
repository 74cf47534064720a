"""The idx files that MNIST and Fashion-MNIST come in.

Big-endian: two zero bytes, the type (8 for unsigned bytes), the number of axes, a 32-bit length of
each, then the values (Y. LeCun, http://yann.lecun.com/exdb/mnist).
"""

from __future__ import annotations

import gzip
import math
import struct
from functools import partial
from pathlib import Path

import numpy as np

from cellflow._checks import check_memory
from cellflow._errors import FileError
from cellflow.images.readers.source import (
    TEST,
    TRAIN,
    Images,
    ImageSource,
    index_labels,
    reraise_as_unreadable,
)

_PREFIXES = {TRAIN: "train", TEST: "t10k"}
_UNSIGNED_BYTES = 8


def recognises(path: Path) -> bool:
    """Return whether `path` is a folder with idx files of images."""
    return any(_file(path, split, "images", 3) for split in _PREFIXES)


def source(path: Path) -> ImageSource:
    """Find the idx files in the folder `path`."""
    files = {split: _file(path, split, "images", 3) for split in _PREFIXES}
    images = {split: file for split, file in files.items() if file}
    columns, classes = index_labels({split: _labels(path, split) for split in images}, path)

    def read(split: str) -> Images:
        return _values(images[split], 3)[..., None], columns[split]

    return ImageSource(path.name, {split: partial(read, split) for split in images}, classes)


def _labels(path: Path, split: str) -> np.ndarray:
    file = _file(path, split, "labels", 1)
    if file is None:
        raise FileError(f"{path} is incomplete: {_PREFIXES[split]}-labels-idx1-ubyte is missing")
    return _values(file, 1)


def _file(path: Path, split: str, what: str, axes: int) -> Path | None:
    stem = f"{_PREFIXES[split]}-{what}"
    names = [f"{stem}{mark}idx{axes}-ubyte{end}" for mark in "-." for end in ("", ".gz")]
    return next((path / name for name in names if (path / name).is_file()), None)


def _values(file: Path, axes: int) -> np.ndarray:
    opened = gzip.open if file.suffix == ".gz" else open
    with reraise_as_unreadable(file), opened(file, "rb") as stream:
        *magic, kind, found = stream.read(4)
        if (magic, kind, found) != ([0, 0], _UNSIGNED_BYTES, axes):
            raise FileError(f"{file} is not an idx file of unsigned bytes on {axes} axes")
        shape = struct.unpack(f">{axes}I", stream.read(4 * axes))
        # Zeros are compressed a thousand times.
        check_memory(2 * math.prod(shape), str(file), "the file may be damaged")
        # One byte more than announced is enough to detect a file that is too long.
        values = stream.read(math.prod(shape) + 1)
    if len(values) != math.prod(shape):
        raise FileError(f"{file} does not hold the {math.prod(shape)} values of its header")
    return np.frombuffer(bytearray(values), np.uint8).reshape(shape)
