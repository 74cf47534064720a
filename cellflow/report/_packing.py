"""Arrays in a page: quantised, compressed together, and written as text."""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np

#: Largest whole number of each size in bytes; it stands for a missing value where values may be.
_LARGEST = {1: 2**8 - 1, 2: 2**16 - 1}


@dataclass
class Pack:
    """Named arrays of unsigned whole numbers, for one compressed block of text.

    Attributes
    ----------
    arrays
        Description of each array by name, for the page: `bytes` of an entry, `shape`, `delta`
        (whether entries are differences along the last axis), and `at`, the place of its first
        byte. An array of two bytes has all low bytes first.
    """

    arrays: dict[str, dict[str, Any]] = field(default_factory=dict)
    _blocks: list[bytes] = field(default_factory=list)

    def add(self, name: str, values: np.ndarray, *, delta: bool = False) -> None:
        """Append an array of uint8 or uint16.

        With `delta`, what compresses is the change along the last axis, modulo the largest number.
        """
        stored = np.ascontiguousarray(values)
        if delta:
            before = np.zeros_like(stored[..., :1])
            stored = np.diff(stored, axis=-1, prepend=before)  # unsigned: wraps around
        planes = stored.reshape(-1).view(np.uint8).reshape(-1, stored.itemsize).T
        self.arrays[name] = {
            "bytes": stored.itemsize,
            "shape": list(stored.shape),
            "delta": delta,
            "at": sum(map(len, self._blocks)),
        }
        self._blocks.append(planes.tobytes())

    def add_text(self, name: str, lines: list[str]) -> None:
        """Append lines of text, as UTF-8."""
        text = "\n".join(line.replace("\n", " ") for line in lines).encode()
        self.add(name, np.frombuffer(text, dtype=np.uint8))

    def encode(self) -> str:
        """Return all arrays as base64 of a zlib stream."""
        return base64.b64encode(zlib.compress(b"".join(self._blocks), 9)).decode("ascii")

    def sizes(self) -> dict[str, int]:
        """Return the characters that each array takes in the page, about."""
        return {
            name: len(zlib.compress(block, 6)) * 4 // 3
            for name, block in zip(self.arrays, self._blocks, strict=True)
        }


@dataclass(frozen=True)
class Scale:
    """Linear map of numbers to whole numbers: value = low + step * whole number.

    Attributes
    ----------
    low, step
        Smallest value, and difference of consecutive whole numbers.
    size
        Bytes of a whole number. The largest one stands for NaN.
    """

    low: float
    step: float
    size: int

    @classmethod
    def of(cls, values: np.ndarray, size: int) -> Scale:
        """Cover the range of values; NaN are left aside."""
        known = values[np.isfinite(values)]
        if not known.size:
            return cls(0.0, 1.0, size)
        low, high = float(known.min()), float(known.max())
        step = (high - low) / (_LARGEST[size] - 1)
        return cls(low, step or 1.0, size)

    def quantise(self, values: np.ndarray) -> np.ndarray:
        """Return whole numbers, of `size` bytes; an error is at most half a step."""
        missing = ~np.isfinite(values)
        whole = np.rint((np.where(missing, self.low, values) - self.low) / self.step)
        whole[missing] = _LARGEST[self.size]
        return whole.astype(f"<u{self.size}")

    def restore(self, whole: np.ndarray) -> np.ndarray:
        """Return the numbers that a page reads."""
        return np.where(whole == _LARGEST[self.size], np.nan, self.low + self.step * whole)

    def describe(self) -> dict[str, float]:
        """Return low and step, for the page."""
        return {"low": self.low, "step": self.step}
