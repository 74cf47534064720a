"""Image folders of StyleGAN and EDM, and zip files of images.

Their tool writes `00000/img00000000.png` and so on, a thousand images a folder, and
`dataset.json`, whose `labels` are pairs of a name and a class, or null
(https://github.com/NVlabs/edm, `dataset_tool.py`). The folders are not classes. A zip file without
that layout is read as a folder of images is: its subfolders are classes, or `train` and `test`.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from cellflow._checks import format_list
from cellflow._errors import FileError, InputError
from cellflow._files import parse_json
from cellflow.images.readers.image_files import SUFFIXES, decode_image, stack_images
from cellflow.images.readers.source import (
    ALL,
    TEST,
    TRAIN,
    Images,
    ImageSource,
    index_labels,
    reraise_as_unreadable,
)

_INDEX = "dataset.json"

#: Names of all images of a folder without an index.
_LAYOUT = re.compile(r"\d{5}/img\d{8}\.\w+")

#: Largest member of a zip file that is read, in bytes.
_LARGEST = 2**28


@dataclass(frozen=True)
class _Members:
    """Names of the files below a folder or in a zip file, with `/` between, and their contents."""

    names: tuple[str, ...]
    read: Callable[[str], bytes]

    @property
    def images(self) -> list[str]:
        """Names of the images, in order."""
        return [name for name in self.names if PurePosixPath(name).suffix.lower() in SUFFIXES]


def recognises(path: Path) -> bool:
    """Return whether `path` is a zip file of images, or a folder in the layout of EDM."""
    if path.is_file():
        return path.suffix.lower() == ".zip"
    if not path.is_dir():
        return False
    if (path / _INDEX).is_file():
        return bool(_folder(path).images)
    if not any(re.fullmatch(r"\d{5}", entry.name) for entry in path.iterdir()):
        return False
    return _has_layout(_folder(path).images)


def source(path: Path, size: int | None) -> ImageSource:
    """Find the images of `path`, scaled and cropped to `size` if given."""
    members = _archive(path) if path.is_file() else _folder(path)
    if not members.images:
        raise InputError(f"{path} has no images ({', '.join(SUFFIXES)})")
    if _INDEX in members.names or _has_layout(members.images):
        splits, columns = {ALL: members.images}, _indexed_labels(path, members)
    else:
        splits, columns = _folder_labels(path, members.images)
    labels, classes = index_labels(columns, path)

    def read(split: str) -> Images:
        named = (
            (f"{path}/{name}", decode_image(io.BytesIO(members.read(name)), name, size))
            for name in splits[split]
        )
        return stack_images(named, len(splits[split])), labels.get(split)

    return ImageSource(path.name, {split: partial(read, split) for split in splits}, classes)


def _has_layout(images: Sequence[str]) -> bool:
    return bool(images) and all(_LAYOUT.fullmatch(name) for name in images)


def _folder(path: Path) -> _Members:
    files = sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())
    return _Members(tuple(filter(_is_visible, files)), lambda name: (path / name).read_bytes())


def _archive(path: Path) -> _Members:
    with reraise_as_unreadable(path):
        # It stays open, since the list of its members would be read again for each image.
        archive = zipfile.ZipFile(path)
    names = [info.filename for info in archive.infolist() if not info.is_dir()]

    def read(name: str) -> bytes:
        with reraise_as_unreadable(f"{path}/{name}"):
            if archive.getinfo(name).file_size > _LARGEST:
                raise FileError(f"{path}/{name} is larger than {_LARGEST:,} bytes")
            return archive.read(name)

    return _Members(tuple(sorted(filter(_is_visible, names))), read)


def _is_visible(name: str) -> bool:
    return not any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts)


def _indexed_labels(path: Path, members: _Members) -> dict[str, np.ndarray]:
    """Read the class of each image from the index; empty without labels."""
    if _INDEX not in members.names:
        return {}
    with reraise_as_unreadable(f"{path}/{_INDEX}"):
        index = parse_json(members.read(_INDEX))
    pairs = index.get("labels") if isinstance(index, dict) else index
    if pairs is None:
        return {}
    labels = _read_pairs(f"{path}/{_INDEX}", pairs)
    if missing := [name for name in members.images if name not in labels]:
        raise InputError(f"{path}/{_INDEX} has no label of {format_list(missing)}")
    return {ALL: np.array([labels[name] for name in members.images])}


def _read_pairs(where: str, pairs: Any) -> dict[str, int | str]:
    """Return the class by the name of the image; one-hot vectors are their class."""
    try:
        labels = {str(name).replace("\\", "/"): _read_label(label) for name, label in pairs}
    except (TypeError, ValueError) as error:
        raise InputError(
            f"labels of {where} must be pairs of a name and a class, a whole number or a one-hot "
            f"vector, or null; {error}"
        ) from error
    return labels


def _read_label(label: Any) -> int | str:
    if isinstance(label, list):
        if sorted(label) != [0] * (len(label) - 1) + [1]:
            raise ValueError(f"got {label!s:.60}")
        return label.index(1)
    if isinstance(label, bool) or not isinstance(label, int | str):
        raise ValueError(f"got {label!s:.60}")
    return label


def _folder_labels(
    path: Path, images: list[str]
) -> tuple[dict[str, list[str]], dict[str, np.ndarray]]:
    """Return the images of each split, and their classes where they are in folders of classes."""
    parts = {name: PurePosixPath(name).parts for name in images}
    # Programs put the folder itself into the file.
    while len({each[0] for each in parts.values()}) == 1 and all(
        len(each) > 2 for each in parts.values()
    ):
        parts = {name: each[1:] for name, each in parts.items()}
    if {each[0] for each in parts.values()} <= {TRAIN, TEST}:
        splits = {
            split: {name: each[1:] for name, each in parts.items() if each[0] == split}
            for split in (TRAIN, TEST)
        }
    else:
        splits = {ALL: parts}
    splits = {split: members for split, members in splits.items() if members}
    depths = {len(each) > 1 for members in splits.values() for each in members.values()}
    if len(depths) > 1:
        raise InputError(f"{path} has both folders with images and images beside them")
    columns = (
        {s: np.array([each[0] for each in members.values()]) for s, members in splits.items()}
        if depths == {True}
        else {}
    )
    return {split: list(members) for split, members in splits.items()}, columns
