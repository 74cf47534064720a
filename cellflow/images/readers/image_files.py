"""Image files and folders of them: subfolders are classes, or `train` and `test` with classes."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from cellflow._checks import check_memory
from cellflow._errors import InputError
from cellflow.images.readers.bit_depth import to_eight_bits
from cellflow.images.readers.source import (
    ALL,
    TEST,
    TRAIN,
    Images,
    ImageSource,
    reraise_as_unreadable,
    with_channels,
)

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif")

#: Formats that Pillow may open, whatever the suffix: fewer decoders, fewer attacks.
_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF")


def decode_image(file: Path | io.BytesIO, name: str, size: int | None) -> np.ndarray:
    """Decode one image, the first frame of an animation.

    Parameters
    ----------
    file
        A path, or what a file holds.
    name
        What errors call it.
    size
        Height and width that the image is scaled and cropped to; None leaves it.

    Returns
    -------
    uint8, or uint16 of a 16-bit file, shape (h, w, c): c is 1 for grey and 3 for RGB; what is
    transparent lies on white.
    """
    with reraise_as_unreadable(name), warnings.catch_warnings():
        # Pillow only warns of images that are somewhat too large to be true.
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(file, formats=_FORMATS) as image:
            deep = _is_deep(image)
            plain = _plain(ImageOps.exif_transpose(image))
    low, high = plain.getextrema() if plain.mode == "F" else (0, 255)
    if size is not None:
        plain = ImageOps.fit(plain, (size, size), method=Image.Resampling.BICUBIC)
    pixels = np.asarray(plain)
    if plain.mode == "F":
        # Interpolation goes beyond the values, and perhaps beyond their range of bits.
        pixels = np.rint(pixels.clip(low, high)).astype(np.uint16)
    elif deep:
        # Pillow keeps the upper half of each value.
        pixels = pixels * np.uint16(257)
    return pixels[..., None] if pixels.ndim == 2 else pixels


def stack_images(images: Iterable[tuple[str, np.ndarray]], n_images: int) -> np.ndarray:
    """Put decoded images of one size into one array; grey if all of them are.

    Parameters
    ----------
    images
        Name and pixels of each.
    n_images
        How many there are.

    Returns
    -------
    uint8, shape (n, h, w, c).

    Raises
    ------
    InputError
        If sizes or bits differ, or the images do not fit into memory.
    """
    names, arrays = zip(*_iter_alike(images, n_images), strict=True)
    deep = [pixels.dtype == np.uint16 for pixels in arrays]
    if any(deep) and not all(deep):
        raise InputError(
            f"{names[deep.index(True)]} has 16-bit pixels and {names[deep.index(False)]} 8-bit "
            "ones; save all alike"
        )
    channels = max(pixels.shape[2] for pixels in arrays)
    stacked = np.stack([with_channels(pixels, channels) for pixels in arrays])
    return to_eight_bits(stacked, names[0] if len(names) == 1 else f"{names[0]} and others")


def _iter_alike(
    images: Iterable[tuple[str, np.ndarray]], n_images: int
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield images that have the size of the first, of which memory has to hold `n_images`."""
    first: tuple[str, np.ndarray] | None = None
    for name, pixels in images:
        if first is None:
            first = name, pixels
            check_memory(
                # All images, and then their stack.
                2 * n_images * pixels.nbytes,
                f"{n_images:,} images such as {name}, of {_size(pixels.shape)} pixels,",
                "give a smaller size (--size), or fewer images",
            )
        if pixels.shape[:2] != first[1].shape[:2]:
            raise InputError(
                f"{name} has {_size(pixels.shape)} pixels and {first[0]} {_size(first[1].shape)}; "
                "give a size (--size) that all images are scaled and cropped to"
            )
        yield name, pixels


def resize(pixels: np.ndarray, size: int) -> np.ndarray:
    """Scale and crop images, shape (n, h, w, c), to `size` by `size` pixels."""
    if pixels.shape[1:3] == (size, size):
        return pixels
    squeezed = pixels[..., 0] if pixels.shape[3] == 1 else pixels
    fitted = [
        np.asarray(
            ImageOps.fit(Image.fromarray(image), (size, size), method=Image.Resampling.BICUBIC)
        )
        for image in squeezed
    ]
    return np.stack(fitted).reshape(-1, size, size, pixels.shape[3])


def _plain(image: Image.Image) -> Image.Image:
    """Grey or RGB, without transparency or palette; 16-bit grey as floats, which can be scaled."""
    if image.mode.startswith("I"):
        return Image.fromarray(np.asarray(image).astype(np.float32))
    grey = image.mode in ("1", "L", "LA", "La") or _has_grey_palette(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB").convert("L") if grey else image.convert("RGB")


def _is_deep(image: Image.Image) -> bool:
    """Report whether the file has 16 bits per value."""
    modes = (str(tile[3]) for tile in getattr(image, "tile", ()))
    return image.mode.startswith("I") or any(";16" in mode for mode in modes)


def _has_grey_palette(image: Image.Image) -> bool:
    if image.mode not in ("P", "PA"):
        return False
    red, green, blue = np.moveaxis(np.asarray(image.convert("RGB")), -1, 0)
    return bool((red == green).all() and (green == blue).all())


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[0]} x {shape[1]}"


def recognises(path: Path) -> bool:
    """Return whether `path` is a folder with image files somewhere inside."""
    return path.is_dir() and any(_is_image(file) for file in path.rglob("*"))


def source(path: Path, size: int | None) -> ImageSource:
    """Find the images in the folder `path`, scaled and cropped to `size` if given."""
    inside = _subfolders(path)
    parts = {name: path / name for name in (TRAIN, TEST) if name in inside}
    if not inside or len(parts) < len(inside):
        parts = {ALL: path}
    classes = sorted({name for part in parts.values() for name in _subfolders(part)})

    def read(split: str) -> Images:
        files, labels = _files(parts[split], classes)
        named = ((str(file), decode_image(file, str(file), size)) for file in files)
        return stack_images(named, len(files)), labels

    return ImageSource(path.name, {split: partial(read, split) for split in parts}, tuple(classes))


def _files(folder: Path, classes: list[str]) -> tuple[list[Path], np.ndarray | None]:
    """Return the image files of one split, and labels if they are in folders of classes."""
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
    """Return the names of the subfolders with images inside."""
    visible = (entry for entry in folder.iterdir() if not entry.name.startswith("."))
    return sorted(entry.name for entry in visible if recognises(entry))


def _images(entries: Iterable[Path]) -> list[Path]:
    return sorted(entry for entry in entries if _is_image(entry))


def _is_image(path: Path) -> bool:
    hidden = path.name.startswith(".")
    return path.suffix.lower() in SUFFIXES and not hidden and path.is_file()
