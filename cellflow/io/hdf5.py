"""Protect the process from HDF5, a C library that trusts its files and its disk.

Reading: damaged `.h5ad` files made HDF5 loop forever (a heap of text with an entry of length zero)
or crash the process (text turned into a sequence of numbers), and it follows links into other
files. `check_structure` looks for these before a file is read.

Writing: if HDF5 cannot write, for example to a full disk, it cannot close the file either, and
crashes the process at exit. `Sink` stores the error, discards the rest of the data, and raises the
error when the file is closed.
"""

from __future__ import annotations

import struct
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
from h5py import h5a, h5o, h5t

from cellflow.io.declared_sizes import check_declared_size

#: First bytes of a global heap, and size in bytes of its header and of that of an entry.
_HEAP, _HEAD = b"GCOL", 16


class DamagedError(Exception):
    """A file whose contents must not be read."""


def check_structure(path: Path) -> None:
    """Check all groups, attributes and texts of a file; arrays of numbers are not read.

    Raises
    ------
    DamagedError
        For structures that hang or crash HDF5, and for links into other files.
    Exception
        From h5py, which raises many kinds for damaged files.
    """
    with _Source(str(path)) as source, h5py.File(source, "r") as file:
        _check_group(file, set())


class _Source(FileIO):
    """A file that checks each heap of text before HDF5 reads it."""

    def readinto(self, buffer: Any) -> int:
        """Read into the buffer; raise an error for a damaged heap."""
        found = super().readinto(buffer) or 0
        block = memoryview(buffer).cast("B")[:found]
        if block[: len(_HEAP)] == _HEAP:
            _check_heap(block)
        return found


def _check_heap(block: memoryview) -> None:
    """Raise an error if the entries of a heap do not add up to its size.

    HDF5 File Format Specification 3.0, III.E: an entry has an index (0 for free space), a reference
    count, four reserved bytes and a length, padded to multiples of eight bytes.
    """
    end = int.from_bytes(block[8:_HEAD], "little")
    at = _HEAD
    while at + _HEAD <= min(end, len(block)):
        index, length = struct.unpack_from("<H6xQ", block, at)
        step = length if index == 0 else _HEAD + 8 * -(-length // 8)
        if not _HEAD <= step <= end - at:
            raise DamagedError("a heap of text has an entry of invalid length")
        at += step


def _check_group(group: h5py.Group, seen: set[int]) -> None:
    _check_attributes(group)
    for name in group:
        link = group.get(name, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            where = f"{group.name.rstrip('/')}/{name}"
            raise DamagedError(f"{where} links to another file, {link.filename}")
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
    """Read text attributes; raise an error for sequences, which AnnData never writes."""
    for k in range(h5a.get_num_attrs(item.id)):
        attribute = h5a.open(item.id, index=k)
        kind = attribute.get_type()
        if kind.get_class() == h5t.VLEN and kind.get_super().get_class() != h5t.REFERENCE:
            raise DamagedError(
                f"an attribute of {item.name} has a type that AnnData does not write"
            )
        if kind.get_class() == h5t.STRING:
            item.attrs[attribute.name]


def _check_dataset(dataset: Any) -> None:
    """Read text data; raise an error for data that are stored in another file."""
    if not isinstance(dataset, h5py.Dataset):
        return
    others = [name for name, *_ in dataset.external or ()]
    if dataset.is_virtual:
        others += [each.file_name for each in dataset.virtual_sources() if each.file_name != "."]
    if others:
        raise DamagedError(f"{dataset.name} links to another file, {others[0]}")
    if dataset.is_virtual:
        # One whose source is itself crashes HDF5.
        raise DamagedError(f"{dataset.name} is made of other data sets, which AnnData never writes")
    is_text = h5py.check_string_dtype(dataset.dtype) is not None
    itemsize = None if is_text else dataset.dtype.itemsize
    check_declared_size(dataset.name, dataset.size or 0, itemsize, dataset.id.get_storage_size())
    if is_text:
        dataset[()]


class Sink(FileIO):
    """A new file that raises its first write error when it is closed."""

    def __init__(self, path: str) -> None:
        super().__init__(path, "w+")
        self._error: OSError | None = None

    def write(self, data: Any) -> int:
        """Write all bytes; after an error, discard them."""
        rest = memoryview(data).cast("B")
        try:
            while self._error is None and len(rest):
                rest = rest[super().write(rest) or 0 :]
        except OSError as error:
            self._error = error
        return memoryview(data).nbytes

    def readinto(self, buffer: Any) -> int:
        """Read from the file; zeros for bytes that could not be written."""
        found = super().readinto(buffer) or 0
        if self._error is not None:
            memoryview(buffer).cast("B")[found:] = bytes(memoryview(buffer).nbytes - found)
            return memoryview(buffer).nbytes
        return found

    def truncate(self, size: int | None = None) -> int:
        """Change the size; store the error if that fails."""
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
        """Close the file; raise the stored error."""
        super().__exit__(kind, value, traceback)
        if self._error is not None:
            raise self._error
