"""A file for HDF5 to write to, which keeps the errors of a full disk from it.

HDF5 that cannot write cannot close either, and takes the process down when it ends. So what fails
is kept here, the rest is taken and thrown away, and the error is raised when the file is closed.
"""

from __future__ import annotations

from io import FileIO
from types import TracebackType
from typing import Any


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
