"""Pickles of plain values and arrays of bytes; others raise an error before any code runs.

Arrays are rebuilt here and not by NumPy, which would trust any state. Python reserves memory for
every number that a pickle gives to a value (its memo), so these numbers are checked first.
"""

from __future__ import annotations

import pickle
import pickletools
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np

from cellflow.images.readers.source import reraise_as_unreadable

#: Operations that give a value a number.
_MEMO = ("PUT", "BINPUT", "LONG_BINPUT")


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
        _check_memo(stream)
        stream.seek(0)
        return _PlainUnpickler(stream, encoding="bytes").load()


def _check_memo(stream: BinaryIO) -> None:
    """Raise `UnpicklingError` if a value has a number in the memo above the number of operations.

    Ten bytes, `LONG_BINPUT` with 2^28, take three gigabytes otherwise.
    """
    for n_operations, (operation, argument, _) in enumerate(pickletools.genops(stream), 1):
        if operation.name in _MEMO and int(argument or 0) > n_operations:
            raise pickle.UnpicklingError(f"value {n_operations} has the number {argument}")


def read_labels(values: Any) -> np.ndarray:
    """Return a list of whole numbers as an array, int64.

    Raises
    ------
    ValueError
        For anything else, such as lists of lists that repeat and are endless as an array.
    """
    if not isinstance(values, list) or any(type(value) is not int for value in values):
        raise ValueError("labels that are not a list of whole numbers")
    return np.array(values, np.int64)


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
