"""Pickles of plain values and arrays of bytes; others raise an error before any code runs.

Arrays are rebuilt here and not by NumPy, which would trust any state.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any, Literal

import numpy as np

from cellflow.images.readers.source import reraise_as_unreadable


class ByteArray:
    """A pickled array of unsigned bytes.

    Attributes
    ----------
    values
        The array.
    """

    values: np.ndarray

    def __init__(self, *_: Any) -> None:
        """Replace the constructor of an empty array; the state follows."""

    def __setstate__(self, state: Any) -> None:
        _, shape, _, by_columns, raw = state
        order: Literal["F", "C"] = "F" if by_columns else "C"
        self.values = np.frombuffer(raw, np.uint8).reshape(shape, order=order)


def load_plain(path: Path) -> Any:
    """Read a pickle of numbers, strings, lists, dictionaries and arrays, also one of Python 2.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    The content; arrays are `ByteArray`, and strings of Python 2 are bytes.

    Raises
    ------
    FileError
        If it is damaged, has arrays of other types, or names any class or function but those that
        construct arrays.
    """
    with reraise_as_unreadable(path), path.open("rb") as stream:
        return _PlainUnpickler(stream, encoding="bytes").load()


class _ByteType:
    """Replacement of `numpy.dtype`."""

    def __init__(self, code: str | bytes, *_: Any) -> None:
        if code not in ("u1", b"u1"):
            raise ValueError(f"an array of type {code!r} where unsigned bytes are expected")

    def __setstate__(self, state: Any) -> None:
        """Ignore the state: bytes have neither order nor fields."""


def _array_of(raw: Any, _: _ByteType, shape: tuple[int, ...], order: str) -> ByteArray:
    """Replace the function that constructs arrays from pickle protocol 5 on."""
    array = ByteArray()
    array.__setstate__((1, shape, None, order == "F", raw))
    return array


def _latin1(text: str, encoding: str) -> bytes:
    """Replace `codecs.encode`, which constructs bytes up to pickle protocol 2."""
    if encoding != "latin1":
        raise ValueError(f"bytes in the encoding {encoding!r}")
    return text.encode("latin1")


#: NumPy's inner package was called `core` before version 2.
_ADMITTED = {
    ("numpy", "ndarray"): ByteArray,
    ("numpy", "dtype"): _ByteType,
    ("numpy.core.multiarray", "_reconstruct"): ByteArray,
    ("numpy._core.multiarray", "_reconstruct"): ByteArray,
    ("numpy.core.numeric", "_frombuffer"): _array_of,
    ("numpy._core.numeric", "_frombuffer"): _array_of,
    ("_codecs", "encode"): _latin1,
}


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ADMITTED:
            raise pickle.UnpicklingError(f"the pickle names {module}.{name}, which is refused")
        return _ADMITTED[module, name]
