"""A set of images: their pixels, their classes, and a name for them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cellflow._checks import check_choice, format_list
from cellflow._errors import InputError
from cellflow._files import atomic_file, check_ending

#: Axes of pixel arrays.
IMAGES, FRAMES = "(images, height, width, channels)", "(frames, images, height, width, channels)"


def check_pixels(pixels: np.ndarray, axes: str = IMAGES) -> None:
    """Validate an array of 8-bit grey or RGB images with these axes."""
    if pixels.dtype != np.uint8:
        raise InputError(f"pixels must be uint8, values from 0 to 255; got {pixels.dtype}")
    if pixels.ndim != axes.count(",") + 1:
        raise InputError(f"pixels must have the axes {axes}; got the shape {pixels.shape}")
    if pixels.shape[-1] not in (1, 3):
        raise InputError(
            f"images must have 1 channel (grey) or 3 (RGB) on the last axis; "
            f"got the shape {pixels.shape}"
        )
    if pixels.size == 0:
        raise InputError(f"there are no images: the shape is {pixels.shape}")


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images of one size.

    Attributes
    ----------
    pixels
        Grey values or RGB, uint8, shape (n, h, w, c), c 1 or 3.
    labels
        Class of each image, as an index into `classes`, int64, shape (n,); None without classes.
    classes
        Their names; empty without labels.
    name
        Name of the set in messages and records.

    Raises
    ------
    InputError
        If there are no images, or an array has another type, shape or range than stated.
    """

    pixels: np.ndarray
    labels: np.ndarray | None = None
    classes: tuple[str, ...] = ()
    name: str = "images"

    def __post_init__(self) -> None:
        check_pixels(self.pixels)
        if len(set(self.classes)) < len(self.classes):
            raise InputError(f"classes must have different names; got {self.classes}")
        if self.labels is not None:
            self._check_labels(self.labels)
        elif self.classes:
            raise InputError(f"{self.name} has names of classes but no labels")

    def __len__(self) -> int:
        return len(self.pixels)

    def __repr__(self) -> str:
        channels, height, width = self.shape
        colours = "grey" if channels == 1 else "RGB"
        text = (
            f"ImageSet {self.name!r}: {len(self):,} images of {height} x {width} pixels, {colours}"
        )
        return text + (f"\n    classes: {format_list(self.classes)}" if self.classes else "")

    def __getitem__(self, rows: slice | np.ndarray) -> ImageSet:
        labels = None if self.labels is None else self.labels[rows]
        return replace(self, pixels=self.pixels[rows], labels=labels)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width: the shape of one image as a point."""
        height, width, channels = self.pixels.shape[1:]
        return channels, height, width

    @property
    def fingerprint(self) -> str:
        """Digest of pixels, shape and labels, 16 hexadecimal digits."""
        digest = hashlib.sha256(repr(self.pixels.shape).encode())
        digest.update(np.ascontiguousarray(self.pixels).data)
        if self.labels is not None:
            digest.update(np.ascontiguousarray(self.labels, dtype="<i8").data)
        return digest.hexdigest()[:16]

    def of_class(self, wanted: str | int) -> ImageSet:
        """Return the images of one class, with labels and class names unchanged.

        Parameters
        ----------
        wanted
            Name of the class, or its index.

        Returns
        -------
        The images of the class, at least one.

        Raises
        ------
        InputError
            If there are no classes, no such class or no image of it.
        """
        if self.labels is None:
            raise InputError(f"{self.name} has no labels, so no class {wanted!r} can be taken")
        if isinstance(wanted, str):
            check_choice(wanted, self.classes, f"class of {self.name}")
            index = self.classes.index(wanted)
        elif 0 <= wanted < len(self.classes):
            index = wanted
        else:
            raise InputError(
                f"class {wanted} of {self.name} is not from 0 to {len(self.classes) - 1}"
            )
        rows = np.flatnonzero(self.labels == index)
        if len(rows) == 0:
            raise InputError(f"{self.name} has no image of class {self.classes[index]!r}")
        return replace(self[rows], name=f"{self.name}/{self.classes[index]}")

    def with_mirrors(self) -> ImageSet:
        """Add each image mirrored left to right, with its class.

        Returns
        -------
        Twice as many images, the mirrored ones after the others.
        """
        pixels = np.concatenate([self.pixels, self.pixels[:, :, ::-1]])
        return replace(
            self, pixels=pixels, labels=None if self.labels is None else np.tile(self.labels, 2)
        )

    def save(self, path: str | Path, *, overwrite: bool = False, **more: str | float) -> None:
        """Write a `.npz` file that `read` understands, atomically.

        Parameters
        ----------
        path
            The file, which ends in `.npz`.
        overwrite
            Whether a file of that name is replaced.
        **more
            Further scalars, stored under these names; `read` ignores them.

        Raises
        ------
        FileError
            If `path` cannot be written, or exists while `overwrite` is off.
        """
        path = Path(path)
        check_ending(path, (".npz",), "images")
        arrays: dict[str, Any] = {"images": self.pixels, **more}
        if self.labels is not None:
            arrays |= {"labels": self.labels, "classes": np.array(self.classes)}
        with atomic_file(path, overwrite=overwrite) as staged:
            np.savez_compressed(staged, **arrays)

    def _check_labels(self, labels: np.ndarray) -> None:
        if labels.dtype != np.int64:
            raise InputError(f"labels must be int64, indices into classes; got {labels.dtype}")
        if labels.shape != (len(self),):
            raise InputError(
                f"{len(self)} images need as many labels; got the shape {labels.shape}"
            )
        outside = labels[(labels < 0) | (labels >= len(self.classes))]
        if len(outside):
            raise InputError(
                f"label {outside[0]} of {self.name} is not an index into "
                f"{len(self.classes)} names of classes"
            )
