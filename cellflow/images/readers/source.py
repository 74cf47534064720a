"""Result of a reader: the splits of a source, read on demand, and the names of the classes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cellflow._errors import CellflowError, FileError, InputError
from cellflow.images.data import ImageSet

TRAIN, TEST, ALL, AUTO = "train", "test", "all", "auto"

#: Number from which labels are names and not indices.
_MOST_CLASSES = 100_000

#: Pixels, uint8, shape (n, h, w, c), and labels, int64, shape (n,), where there are any.
Images = tuple[np.ndarray, np.ndarray | None]


@dataclass(frozen=True)
class ImageSource:
    """Image data on disk, with a reader for each split.

    Attributes
    ----------
    name
        Name of the sets that are read.
    splits
        Reader of each split: `train` and `test` or one of them, or only `all`.
    classes
        Names of the classes, the same for all splits; empty without labels.
    """

    name: str
    splits: Mapping[str, Callable[[], Images]]
    classes: tuple[str, ...] = ()

    def read(self, split: str) -> ImageSet:
        """Read one split, or `all` of them."""
        if split in self.splits:
            return self._set(split)
        if split != ALL:
            there = ", ".join(dict.fromkeys([*self.splits, ALL]))
            raise InputError(f"{self.name} has no split {split!r}; it has: {there}")
        return _concatenate(self.name, [self._set(part) for part in self.splits])

    def _set(self, split: str) -> ImageSet:
        pixels, labels = self.splits[split]()
        name = self.name if split == ALL else f"{self.name}/{split}"
        try:
            return ImageSet(pixels, labels, () if labels is None else self.classes, name)
        except InputError as error:
            raise FileError(f"{name} cannot be used: {error}") from error


@contextmanager
def reraise_as_unreadable(path: Path | str) -> Iterator[None]:
    """Raise `FileError` for any exception of a library over a damaged file."""
    try:
        yield
    except CellflowError:
        raise
    except Exception as error:  # decoders raise many kinds for damaged files
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise FileError(f"{path} cannot be read; damaged or of another kind: {reason}") from error


def index_labels(
    columns: Mapping[str, np.ndarray], path: Path, names: Sequence[str] = ()
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Convert the labels of all splits to indices into the same classes.

    Parameters
    ----------
    columns
        Labels of each split, shape (n,) or (n, 1): whole numbers from 0, or names.
    path
        File or folder, for messages.
    names
        Names of the classes by number; empty names them 0, 1, ...

    Returns
    -------
    The labels, int64, shape (n,), and the names of the classes.
    """
    flat = {split: _column(labels, path) for split, labels in columns.items()}
    if not flat:
        return {}, ()
    kinds = {labels.dtype.kind for labels in flat.values()}
    if kinds == {"U"}:
        classes = np.unique(np.concatenate(list(flat.values())))
        found = {split: np.searchsorted(classes, labels) for split, labels in flat.items()}
        return found, tuple(str(name) for name in classes)
    if not kinds <= {"i", "u"}:
        raise InputError(f"labels of {path} must be whole numbers, or names, in all splits")
    top = max(int(labels.max(initial=0)) for labels in flat.values())
    if not names and top >= _MOST_CLASSES:
        # Numbers such as identifiers are names, of those that there are.
        texts = {split: labels.astype(str) for split, labels in flat.items()}
        return index_labels(texts, path)
    names = names or [str(number) for number in range(top + 1)]
    return {split: labels.astype(np.int64) for split, labels in flat.items()}, tuple(names)


def with_channels(pixels: np.ndarray, channels: int) -> np.ndarray:
    """Repeat grey values for RGB; the last axis has the channels."""
    if pixels.shape[-1] == channels:
        return pixels
    return pixels.repeat(channels, axis=-1)


def _column(labels: np.ndarray, path: Path) -> np.ndarray:
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise InputError(
            f"labels of {path} must be one number or name per image; got the shape {labels.shape}"
        )
    return labels


def _concatenate(name: str, parts: Sequence[ImageSet]) -> ImageSet:
    sizes = sorted({part.shape[1:] for part in parts})
    if len(sizes) > 1:
        raise InputError(
            f"the splits of {name} have images of different sizes, {sizes}; read them one by one"
        )
    if len({part.labels is None for part in parts}) > 1:
        raise InputError(f"only one split of {name} has labels; read the splits one by one")
    channels = max(part.shape[0] for part in parts)
    pixels = np.concatenate([with_channels(part.pixels, channels) for part in parts])
    labels = [part.labels for part in parts if part.labels is not None]
    return ImageSet(pixels, np.concatenate(labels) if labels else None, parts[0].classes, name)
