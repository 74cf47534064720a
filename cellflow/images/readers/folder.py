"""Folders of image files: subfolders are classes, or `train` and `test` with classes inside."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path

import numpy as np

from cellflow._errors import InputError
from cellflow.images.readers.encoded import SUFFIXES, decoded, stacked
from cellflow.images.readers.source import ALL, TEST, TRAIN, Images, Source


def recognises(path: Path) -> bool:
    """Tell whether `path` is a folder with image files somewhere inside."""
    return path.is_dir() and any(_is_image(file) for file in path.rglob("*"))


def source(path: Path, size: int | None) -> Source:
    """Find the images in the folder `path`, scaled and cropped to `size` where it is given."""
    inside = _subfolders(path)
    parts = {name: path / name for name in (TRAIN, TEST) if name in inside}
    if not inside or len(parts) < len(inside):
        parts = {ALL: path}
    classes = sorted({name for part in parts.values() for name in _subfolders(part)})

    def read(split: str) -> Images:
        files, labels = _files(parts[split], classes)
        named = ((str(file), decoded(file, str(file), size)) for file in files)
        return stacked(named), labels

    return Source(path.name, {split: partial(read, split) for split in parts}, tuple(classes))


def _files(folder: Path, classes: list[str]) -> tuple[list[Path], np.ndarray | None]:
    """Image files of one split, and labels if they stand in folders of classes."""
    beside = _images(folder.iterdir())
    if not _subfolders(folder):
        return beside, None
    if beside:
        raise InputError(
            f"{folder} has both subfolders with images and images beside them, as {beside[0].name}"
        )
    members = [_images((folder / name).rglob("*")) for name in classes]
    labels = np.repeat(np.arange(len(classes)), [len(files) for files in members])
    return [file for files in members for file in files], labels


def _subfolders(folder: Path) -> list[str]:
    """Names of the subfolders that have images inside."""
    visible = (entry for entry in folder.iterdir() if not entry.name.startswith("."))
    return sorted(entry.name for entry in visible if recognises(entry))


def _images(entries: Iterable[Path]) -> list[Path]:
    return sorted(entry for entry in entries if _is_image(entry))


def _is_image(path: Path) -> bool:
    hidden = path.name.startswith(".")
    return path.suffix.lower() in SUFFIXES and not hidden and path.is_file()
