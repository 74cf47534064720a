"""What HDF5 takes on trust and should not: a look at a file before anything is read from it.

HDF5 is a library in C that believes its files. Of damaged `.h5ad` files some never came back from
it, in a heap of text with an entry of no length, and some took the process down, where text had
become a sequence of numbers. It also follows links into other files.
"""

from __future__ import annotations

import struct
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
from h5py import h5a, h5o, h5t

#: How a global heap begins in a file, and the sizes of its head and of that of an entry.
_HEAP, _HEAD = b"GCOL", 16


class DamagedError(Exception):
    """What stands in a file is not to be read."""


def check_structure(path: Path) -> None:
    """Look at all groups, attributes and texts of a file; arrays of numbers are not read.

    Raises
    ------
    DamagedError
        For what would hang or crash HDF5, and for what leads into another file.
    Exception
        Of h5py, which raises many kinds for damaged files.
    """
    with _Source(str(path)) as source, h5py.File(source, "r") as file:
        _check_group(file, set())


class _Source(FileIO):
    """A file for HDF5 to read from, which looks at each heap of text before HDF5 does."""

    def readinto(self, buffer: Any) -> int:
        """Read, and raise what is wrong with it."""
        found = super().readinto(buffer) or 0
        block = memoryview(buffer).cast("B")[:found]
        if block[: len(_HEAP)] == _HEAP:
            _check_heap(block)
        return found


def _check_heap(block: memoryview) -> None:
    """Refuse a heap whose entries do not lead to its end, or as much of it as was read.

    HDF5 File Format Specification 3.0, III.E: an entry has an index, 0 for free space, a count of
    references, four bytes of nothing and a length, all of it in multiples of eight.
    """
    end = int.from_bytes(block[8:_HEAD], "little")
    at = _HEAD
    while at + _HEAD <= min(end, len(block)):
        index, length = struct.unpack_from("<H6xQ", block, at)
        step = length if index == 0 else _HEAD + 8 * -(-length // 8)
        if not _HEAD <= step <= end - at:
            raise DamagedError("a heap of text has an entry that does not fit")
        at += step


def _check_group(group: h5py.Group, seen: set[int]) -> None:
    _check_attributes(group)
    for name in group:
        link = group.get(name, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            where = f"{group.name.rstrip('/')}/{name}"
            raise DamagedError(f"{where} leads into another file, {link.filename}")
        if isinstance(link, h5py.SoftLink):
            continue
        member = group[name]
        address = h5o.get_info(member.id).addr
        if address in seen:
            continue
        seen.add(address)
        if isinstance(member, h5py.Group):
            _check_group(member, seen)
        else:
            _check_attributes(member)
            _check_dataset(member)


def _check_attributes(item: Any) -> None:
    """Read texts; refuse sequences, which no AnnData has."""
    for k in range(h5a.get_num_attrs(item.id)):
        attribute = h5a.open(item.id, index=k)
        kind = attribute.get_type()
        if kind.get_class() == h5t.VLEN and kind.get_super().get_class() != h5t.REFERENCE:
            raise DamagedError(f"an attribute of {item.name} is of a type that no AnnData has")
        if kind.get_class() == h5t.STRING:
            item.attrs[attribute.name]


def _check_dataset(dataset: Any) -> None:
    """Read texts; refuse numbers that stand in another file."""
    if not isinstance(dataset, h5py.Dataset):
        return
    others = [name for name, *_ in dataset.external or ()]
    if dataset.is_virtual:
        others += [each.file_name for each in dataset.virtual_sources() if each.file_name != "."]
    if others:
        raise DamagedError(f"{dataset.name} leads into another file, {others[0]}")
    if h5py.check_string_dtype(dataset.dtype) is not None:
        dataset[()]


class Sink(FileIO):
    """A new file that raises its first error when the block that writes to it ends.

    Parameters
    ----------
    path
        The file.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path, "w+")
        self._error: OSError | None = None

    def write(self, data: Any) -> int:
        """Write all of the bytes, or, after an error, none and say nothing."""
        rest = memoryview(data).cast("B")
        try:
            while self._error is None and len(rest):
                rest = rest[super().write(rest) or 0 :]
        except OSError as error:
            self._error = error
        return memoryview(data).nbytes

    def readinto(self, buffer: Any) -> int:
        """Read what was written; zeros where it could not be."""
        found = super().readinto(buffer) or 0
        if self._error is not None:
            memoryview(buffer).cast("B")[found:] = bytes(memoryview(buffer).nbytes - found)
            return memoryview(buffer).nbytes
        return found

    def truncate(self, size: int | None = None) -> int:
        """Change the size, as far as that can be done."""
        try:
            return super().truncate(size)
        except OSError as error:
            self._error = self._error or error
            return size or 0

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close; raise what writing met."""
        super().__exit__(kind, value, traceback)
        if self._error is not None:
            raise self._error
