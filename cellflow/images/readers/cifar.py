"""CIFAR-10 and CIFAR-100 as they are distributed: binary records, or pickled arrays.

An image is 3,072 bytes, channels first, with its label before it (binary) or in a list (pickled);
of the two labels of CIFAR-100 the fine one is read (A. Krizhevsky,
https://www.cs.toronto.edu/~kriz/cifar.html).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from cellflow._errors import FileError
from cellflow.images.readers.plain_pickle import load_plain, read_labels
from cellflow.images.readers.source import TEST, TRAIN, Images, ImageSource, reraise_as_unreadable

_SHAPE = (3, 32, 32)
_VALUES = 3 * 32 * 32


@runtime_checkable
class _Format(Protocol):
    def images(self, file: Path) -> Images:
        """Read one file of images."""
        ...

    def classes(self, file: Path) -> tuple[str, ...]:
        """Read the names of the classes."""
        ...


@dataclass(frozen=True)
class _Binary:
    """Binary files: a record has `label_bytes` labels, the last of which is used, and an image."""

    label_bytes: int

    def images(self, file: Path) -> Images:
        with reraise_as_unreadable(file):
            records = np.fromfile(file, np.uint8)
        width = self.label_bytes + _VALUES
        if len(records) == 0 or len(records) % width:
            raise FileError(
                f"{file} is cut short: {len(records)} bytes are not a multiple of {width}"
            )
        records = records.reshape(-1, width)
        labels = records[:, self.label_bytes - 1].astype(np.int64)
        return _nhwc(records[:, self.label_bytes :]), labels

    def classes(self, file: Path) -> tuple[str, ...]:
        with reraise_as_unreadable(file):
            return tuple(file.read_text(encoding="utf-8").split())


@dataclass(frozen=True)
class _Pickled:
    """Pickled dictionaries with images under `data`, and the keys of labels and of class names."""

    labels: bytes
    names: bytes

    def images(self, file: Path) -> Images:
        batch = load_plain(file)
        with reraise_as_unreadable(file):
            pixels, labels = _nhwc(batch[b"data"].values), read_labels(batch[self.labels])
            if len(labels) != len(pixels):
                raise FileError(f"{file} does not have a label for each image")
            return pixels, labels

    def classes(self, file: Path) -> tuple[str, ...]:
        meta = load_plain(file)
        with reraise_as_unreadable(file):
            return tuple(name.decode() for name in meta[self.names])


@dataclass(frozen=True)
class _Edition:
    """A data set in one format: files of the splits, and the file with the class names."""

    train: tuple[str, ...]
    test: str
    meta: str
    format: _Format

    def splits(self, path: Path) -> dict[str, list[Path]]:
        """Return the files of each split that exist in the folder `path`."""
        files = {TRAIN: [path / name for name in self.train], TEST: [path / self.test]}
        return {
            split: paths for split, paths in files.items() if any(file.is_file() for file in paths)
        }


_BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))
_EDITIONS = (
    _Edition(
        tuple(f"{name}.bin" for name in _BATCHES), "test_batch.bin", "batches.meta.txt", _Binary(1)
    ),
    _Edition(_BATCHES, "test_batch", "batches.meta", _Pickled(b"labels", b"label_names")),
    _Edition(("train.bin",), "test.bin", "fine_label_names.txt", _Binary(2)),
    _Edition(("train",), "test", "meta", _Pickled(b"fine_labels", b"fine_label_names")),
)


def recognises(path: Path) -> bool:
    """Return whether `path` is a folder with files of CIFAR."""
    return any(edition.splits(path) for edition in _EDITIONS)


def source(path: Path) -> ImageSource:
    """Find the files of CIFAR in the folder `path`."""
    edition = next(edition for edition in _EDITIONS if edition.splits(path))
    splits = edition.splits(path)
    for file in [path / edition.meta, *chain.from_iterable(splits.values())]:
        if not file.is_file():
            raise FileError(f"{path} is incomplete: {file.name} is missing")

    def read(split: str) -> Images:
        parts = [edition.format.images(file) for file in splits[split]]
        labels = [labels for _, labels in parts if labels is not None]
        return np.concatenate([pixels for pixels, _ in parts]), np.concatenate(labels)

    classes = edition.format.classes(path / edition.meta)
    return ImageSource(path.name, {split: partial(read, split) for split in splits}, classes)


def _nhwc(values: np.ndarray) -> np.ndarray:
    return values.reshape(-1, *_SHAPE).transpose(0, 2, 3, 1)
