"""Arrays of pixels in NumPy files."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from cellflow._checks import format_list
from cellflow._errors import InputError
from cellflow._numpy_files import read_array, read_member, read_names
from cellflow.images.readers.bit_depth import to_eight_bits
from cellflow.images.readers.source import (
    ALL,
    TEST,
    TRAIN,
    Images,
    ImageSource,
    index_labels,
)

#: Names of pixels and labels, those of `ImageSet.save` first; the last are of arrays saved without
#: names, as OpenAI's samples are.
_NAMES = {
    TRAIN: (
        ("images", "labels"),
        ("train_images", "train_labels"),
        ("x_train", "y_train"),
        ("arr_0", "arr_1"),
    ),
    TEST: (("test_images", "test_labels"), ("x_test", "y_test")),
}
_CLASSES = "classes"
_CHANNELS = (1, 3)


def recognises(path: Path) -> bool:
    """Return whether `path` is a file of arrays."""
    return path.suffix in (".npz", ".npy") and path.is_file()


def source(path: Path) -> ImageSource:
    """Find the arrays of `path`."""
    if path.suffix == ".npy":
        return ImageSource(path.name, {ALL: lambda: (_nhwc(read_array(path), path), None)})
    names = _names(path)
    labels = {split: read_member(path, key) for split, (_, key) in names.items() if key}
    columns, classes = index_labels(labels, path, _class_names(path))

    def read(split: str) -> Images:
        return _nhwc(read_member(path, names[split][0]), path), columns.get(split)

    return ImageSource(path.name, {split: partial(read, split) for split in names}, classes)


def _names(path: Path) -> dict[str, tuple[str, str | None]]:
    """Return the names of pixels and labels in each split."""
    keys = read_names(path)
    found: dict[str, tuple[str, str | None]] = {}
    for split, pairs in _NAMES.items():
        for pixels, labels in pairs:
            if pixels in keys:
                found.setdefault(split, (pixels, labels if labels in keys else None))
    if not found:
        expected = format_list(pixels for pairs in _NAMES.values() for pixels, _ in pairs)
        names = format_list(keys) or "no arrays"
        raise InputError(f"{path} has no images: it has {names}; expected {expected}")
    if TEST not in found and found[TRAIN][0] in ("images", "arr_0"):
        return {ALL: found[TRAIN]}
    return found


def _class_names(path: Path) -> tuple[str, ...]:
    if _CLASSES not in read_names(path):
        return ()
    return tuple(str(name) for name in read_member(path, _CLASSES).ravel())


def _nhwc(pixels: np.ndarray, path: Path) -> np.ndarray:
    """Move the channels last, where ambiguous arrays have them; scale 16 bits to 8."""
    pixels = to_eight_bits(pixels, str(path))
    if pixels.ndim == 3:
        return pixels[..., None]
    if pixels.ndim != 4:
        raise InputError(
            f"images of {path} must have the axes (n, h, w), (n, h, w, c) or (n, c, h, w); "
            f"got the shape {pixels.shape}"
        )
    if pixels.shape[3] not in _CHANNELS and pixels.shape[1] in _CHANNELS:
        return np.ascontiguousarray(pixels.transpose(0, 2, 3, 1))
    return pixels
