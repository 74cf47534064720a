"""Scale pixels of 16 bits to 8."""

from __future__ import annotations

import numpy as np

from cellflow._errors import InputError
from cellflow._log import log_info

#: Bits that cameras measure with, though they are stored as 16.
_DEPTHS = (8, 10, 12, 14, 16)


def to_eight_bits(pixels: np.ndarray, name: str) -> np.ndarray:
    """Scale 16-bit pixels to 8 bits by the range that holds all of them, and report it.

    Cameras of 12 bits store values up to 4,095, which would be nearly black on the scale of 16.
    Pixels of other types are returned as they are.

    Parameters
    ----------
    pixels
        The pixels of all images that are read.
    name
        Their name in messages.

    Raises
    ------
    InputError
        If a 16-bit pixel is negative.
    """
    if pixels.dtype.kind not in "iu" or pixels.dtype.itemsize != 2 or not pixels.size:
        return pixels
    if pixels.min() < 0:
        raise InputError(f"{name} has negative pixels, down to {pixels.min()}")
    top = int(pixels.max())
    bits = next(each for each in _DEPTHS if top < 2**each)
    log_info(
        f"16-bit pixels of {name}, up to {top:,}, are read as {bits}-bit: 0 to {2**bits - 1:,} "
        "become 0 to 255"
    )
    # A table, since floats of all pixels would take four times the memory.
    table = np.rint(np.arange(2**bits) * (255 / (2**bits - 1))).astype(np.uint8)
    return table[pixels]
