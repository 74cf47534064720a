"""The verb `images.read`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

from cellflow._checks import check_choice
from cellflow._errors import FileError, InputError
from cellflow.images.data import ImageSet
from cellflow.images.readers import arrays, cifar, digits, idx, image_files, parquet
from cellflow.images.readers.image_files import SUFFIXES, resized
from cellflow.images.readers.source import ALL, AUTO, TEST, TRAIN, Source

_READABLE = (
    "'digits'; a .npz or .npy file of uint8 arrays; a folder of images "
    f"({', '.join(SUFFIXES)}), also with subfolders of classes, or train/ and test/; a folder with "
    "the files of CIFAR-10, CIFAR-100, MNIST or Fashion-MNIST; a .parquet file, or a folder with "
    "train-*.parquet and test-*.parquet"
)


def read(
    source: str | Path,
    *,
    split: Literal["train", "test", "all", "auto"] = "all",
    size: int | None = None,
) -> ImageSet:
    """Read images of one size.

    Parameters
    ----------
    source
        `digits` are scikit-learn's 1,797 handwritten digits, 8 x 8, a fifth of them for tests.
        Otherwise a path:

        - a `.npz` file with uint8 `images`, shape (n, h, w), (n, h, w, c) or (n, c, h, w), and
          maybe `labels`, `classes`, `test_images` and `test_labels`; or with `x_train`, `y_train`,
          `x_test` and `y_test`; or a `.npy` file of images;
        - a folder of images: subfolders are classes, or `train` and `test`;
        - a folder with CIFAR-10 or CIFAR-100, binary or as pickles;
        - a folder with idx files, as those of MNIST, maybe gzipped;
        - a parquet file with encoded images, or a folder with `train-*.parquet` and
          `test-*.parquet` (needs pyarrow).
    split
        `train` or `test` where the source has them; `all` takes whatever there is; `auto` takes
        `train` where it is there, else all.
    size
        Height and width in pixels that images are scaled to, by the shorter side, and cropped to,
        around the centre; None takes images as they are, which must then have one size.

    Returns
    -------
    The images: grey if all are, else RGB; what is transparent lies on white.

    Raises
    ------
    InputError
        If the source is nothing that can be read, or has no such split.
    FileError
        If a file is missing, damaged or holds more than plain data.

    Examples
    --------
    >>> from cellflow.images._read import read
    >>> digits = read("digits", split="train")
    >>> len(digits), digits.shape
    (1437, (1, 8, 8))
    """
    check_choice(split, (TRAIN, TEST, ALL, AUTO), "split")
    if size is not None and size < 1:
        raise InputError(f"size must be at least one pixel, got {size}")
    found = _find(source, size)
    if split == AUTO:
        split = "train" if TRAIN in found.splits else "all"
    images = found.read(split)
    return images if size is None else replace(images, pixels=resized(images.pixels, size))


def splits(source: str | Path) -> tuple[str, ...]:
    """Which parts a source has.

    Parameters
    ----------
    source
        As in `read`.

    Returns
    -------
    `train` and `test`, one of them, or only `all`.
    """
    return tuple(_find(source, None).splits)


def _find(source: str | Path, size: int | None) -> Source:
    if source == digits.NAME:
        return digits.source()
    path = Path(source)
    if not path.exists():
        raise FileError(f"{path} does not exist; what can be read: {_READABLE}")
    if not path.name:
        path = path.absolute()
    for reader in (arrays, cifar, idx):
        if reader.recognises(path):
            return reader.source(path)
    for reader in (parquet, image_files):
        if reader.recognises(path):
            return reader.source(path, size)
    raise InputError(f"{path} is nothing that can be read; what can be: {_READABLE}")
