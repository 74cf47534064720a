"""The verb `images.read`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

from cellflow._checks import check_choice
from cellflow._errors import FileError, InputError
from cellflow._files import check_is_file
from cellflow.images.data import ImageSet
from cellflow.images.readers import arrays, cifar, digits, edm, idx, image_files, parquet
from cellflow.images.readers.image_files import SUFFIXES, resize
from cellflow.images.readers.source import ALL, AUTO, TEST, TRAIN, ImageSource

_READABLE = (
    "'digits'; a .npz or .npy file of 8-bit or 16-bit arrays; a folder or .zip of images "
    f"({', '.join(SUFFIXES)}), also with subfolders of classes, or train/ and test/, or with the "
    "dataset.json of EDM and StyleGAN; a folder with "
    "the files of CIFAR-10, CIFAR-100, MNIST or Fashion-MNIST; a .parquet file, or a folder with "
    "train-*.parquet and test-*.parquet"
)


def read(
    source: str | Path,
    *,
    split: Literal["train", "test", "all", "auto"] = "all",
    size: int | None = None,
) -> ImageSet:
    """Read images of one size from a file, a folder or a known data set.

    Parameters
    ----------
    source
        `digits`, scikit-learn's 1,797 handwritten digits, 8 x 8, a fifth of them for tests; or a
        path:

        - a `.npz` file with uint8 `images`, shape (n, h, w), (n, h, w, c) or (n, c, h, w), and
          optionally `labels`, `classes`, `test_images` and `test_labels`; or with `x_train`,
          `y_train`, `x_test` and `y_test`; or with `arr_0` and `arr_1`, as OpenAI's samples; or a
          `.npy` file of images;
        - a folder or `.zip` file of images: subfolders are classes, or `train` and `test`;
        - a folder or `.zip` file of StyleGAN or EDM (`00000/img00000000.png`, `dataset.json`): its
          subfolders are not classes, labels are those of `dataset.json`;
        - a folder with CIFAR-10 or CIFAR-100, binary or as pickles;
        - a folder with idx files, as those of MNIST, optionally gzipped;
        - a parquet file with encoded images, or a folder with `train-*.parquet` and
          `test-*.parquet` (needs pyarrow).
    split
        `train` or `test` if the source has them; `all` for all images; `auto` for `train` if the
        source has it, else all.
    size
        Height and width in pixels that images are scaled to, by the shorter side, and cropped to,
        around the centre; None uses images as they are, which must then have one size.

    Returns
    -------
    The images: grey if all are, else RGB; transparent pixels on white. 16-bit values are scaled to
    8 bits from the range of 8, 10, 12, 14 or 16 bits that holds them, one for all images read.

    Raises
    ------
    InputError
        If the source is of no known format, or does not have the split.
    FileError
        If a file is missing, damaged or holds more than plain data.

    Examples
    --------
    >>> import cellflow as cf
    >>> digits = cf.images.read("digits", split="train")
    >>> len(digits), digits.shape
    (1437, (1, 8, 8))
    """
    check_choice(split, (TRAIN, TEST, ALL, AUTO), "split")
    if size is not None and size < 1:
        raise InputError(f"size must be at least one pixel, got {size}")
    reader = _find(source, size)
    if split == AUTO:
        split = "train" if TRAIN in reader.splits else "all"
    images = reader.read(split)
    return images if size is None else replace(images, pixels=resize(images.pixels, size))


def splits(source: str | Path) -> tuple[str, ...]:
    """Return the names of the splits of a source.

    Parameters
    ----------
    source
        As in `read`.

    Returns
    -------
    `train` and `test`, one of them, or only `all`.
    """
    return tuple(_find(source, None).splits)


def _find(source: str | Path, size: int | None) -> ImageSource:
    if source == digits.NAME:
        return digits.source()
    path = Path(source)
    if not path.exists():
        raise FileError(f"{path} does not exist; readable are: {_READABLE}")
    if not path.is_dir():
        check_is_file(path)
    if not path.name:
        path = path.absolute()
    for reader in (arrays, cifar, idx):
        if reader.recognises(path):
            return reader.source(path)
    for reader in (edm, parquet, image_files):
        if reader.recognises(path):
            return reader.source(path, size)
    raise InputError(f"{path} has no known format; readable are: {_READABLE}")
