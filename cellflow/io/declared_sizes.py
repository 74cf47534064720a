"""Refuse arrays on disk that say to have far more values than their bytes can hold.

Chunks that are missing are read as zeros or empty text, so a file of some kilobytes can fill the
memory.
"""

from __future__ import annotations

from cellflow._checks import TEXT_BYTES
from cellflow._errors import FileError

#: Bytes in memory from which arrays are checked, and how many of them a byte on disk may stand for:
#: zlib reaches 1,032, and references to empty text another four times that.
_LEAST, _MOST_PER_BYTE = 2**30, 5_000


def check_declared_size(name: str, n_values: int, itemsize: int | None, n_stored: int) -> None:
    """Raise `FileError` if an array is large and its values are not on disk.

    Parameters
    ----------
    name
        Name of the array in messages.
    n_values
        Number of values that it says to have.
    itemsize
        Bytes of a value in memory; None for text.
    n_stored
        Bytes that it takes on disk.
    """
    n_bytes = n_values * (TEXT_BYTES if itemsize is None else itemsize)
    if n_bytes > max(_LEAST, _MOST_PER_BYTE * n_stored):
        raise FileError(
            f"{name} says to have {n_values:,} values, of {n_bytes / 2**30:,.1f} GiB, and "
            f"{n_stored:,} bytes are stored"
        )
