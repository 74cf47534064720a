"""Pictures of many images, as PNG, and animations of them, as GIF."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from PIL import Image

from cellflow._checks import check_positive
from cellflow._errors import InputError
from cellflow._files import atomic_file, check_ending
from cellflow.images.data import FRAMES, check_pixels

_WIDTH = 600
_WHITE = 255
#: Seconds that the last frame of an animation is shown.
_HOLD = 1.5
#: Shortest time of a frame that viewers respect, and the unit of time in GIF files.
_SHORTEST_MS, _TICK_MS = 20, 10


def grid(
    pixels: np.ndarray, *, columns: int | None = None, scale: int | None = None, gap: int = 2
) -> Image.Image:
    """Lay images out row by row on white.

    Parameters
    ----------
    pixels
        Pixels, uint8, shape (n, h, w, c).
    columns
        Images per row; None makes the layout about square.
    scale
        Number of times that each pixel is repeated in both directions; None makes the picture
        about 600 pixels wide, and never shrinks.
    gap
        Pixels of the picture between images and around them.

    Returns
    -------
    The picture, grey or RGB like the images.
    """
    check_pixels(pixels)
    n, height, width, channels = pixels.shape
    columns = math.ceil(math.sqrt(n)) if columns is None else _whole(columns, 1, "columns")
    gap = _whole(gap, 0, "gap")
    if scale is None:
        scale = max(1, round(((_WIDTH - gap) / columns - gap) / width))
    else:
        scale = _whole(scale, 1, "scale")
    rows = math.ceil(n / columns)
    tile = np.full(
        (rows * columns, height * scale + gap, width * scale + gap, channels), _WHITE, np.uint8
    )
    tile[:n, gap:, gap:] = pixels.repeat(scale, axis=1).repeat(scale, axis=2)
    tile = tile.reshape(rows, columns, *tile.shape[1:]).swapaxes(1, 2)
    canvas = tile.reshape(rows * tile.shape[1], -1, channels)
    canvas = np.pad(canvas, ((0, gap), (0, gap), (0, 0)), constant_values=_WHITE)
    return Image.fromarray(canvas[..., 0] if channels == 1 else canvas)


def filmstrip(frames: np.ndarray, *, scale: int | None = None, gap: int = 2) -> Image.Image:
    """Lay frames out: a row for each image, a column for each time.

    Parameters
    ----------
    frames
        Pixels, uint8, shape (t, n, h, w, c).
    scale, gap
        As in `grid`.

    Returns
    -------
    The picture.
    """
    check_pixels(frames, FRAMES)
    times = len(frames)
    by_image = frames.swapaxes(0, 1).reshape(-1, *frames.shape[2:])
    return grid(by_image, columns=times, scale=scale, gap=gap)


def write_png(
    picture: np.ndarray | Image.Image, path: str | Path, *, overwrite: bool = False
) -> None:
    """Write a picture as PNG, atomically.

    Parameters
    ----------
    picture
        A picture, or images that are laid out by `grid`.
    path
        The file.
    overwrite
        Whether a file of that name is replaced.
    """
    check_ending(Path(path), (".png",), "pictures")
    if isinstance(picture, np.ndarray):
        picture = grid(picture)
    with atomic_file(Path(path), overwrite=overwrite) as staged:
        picture.save(staged, format="PNG", optimize=True)


def write_gif(
    frames: np.ndarray,
    path: str | Path,
    *,
    seconds: float = 3.0,
    columns: int | None = None,
    scale: int | None = None,
    overwrite: bool = False,
) -> None:
    """Write frames as an endless animation, atomically.

    Parameters
    ----------
    frames
        Pixels, uint8, shape (t, n, h, w, c); each time is laid out by `grid`.
    path
        The file.
    seconds
        Duration, in steps of 10 ms per frame and at least 20 ms per frame; the last frame is shown
        1.5 s longer.
    columns, scale
        As in `grid`.
    overwrite
        Whether a file of that name is replaced.
    """
    check_ending(Path(path), (".gif",), "animations")
    check_pixels(frames, FRAMES)
    check_positive(seconds, "seconds")
    first, *others = (grid(images, columns=columns, scale=scale) for images in frames)
    ticks = round(1000 * seconds / len(frames) / _TICK_MS)
    durations = [max(_SHORTEST_MS, ticks * _TICK_MS)] * len(frames)
    durations[-1] += round(1000 * _HOLD)
    with atomic_file(Path(path), overwrite=overwrite) as staged:
        first.save(
            staged,
            format="GIF",
            save_all=True,
            append_images=others,
            duration=durations,
            loop=0,
        )


def _whole(value: int, least: int, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise InputError(f"{what} must be a whole number from {least}, got {value!r}")
    return int(value)
