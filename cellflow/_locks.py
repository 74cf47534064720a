"""Reservation of outputs, so that two processes do not compute one result at the same time.

A reservation is a lock on a hidden file beside the output. The lock ends with its process, however
that ends; a file that a killed process left behind reserves nothing. On file systems without locks
nothing is reserved. Each output is still whole then, and the last one written stands.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from cellflow._errors import FileError
from cellflow._files import follow_link, unfinished
from cellflow._signals import defer_signals

#: Outputs that this process has reserved.
_reserved: set[Path] = set()


@contextmanager
def reserve(path: Path) -> Iterator[None]:
    """Reserve the output at `path` for this process; it may reserve an output more than once.

    Raises
    ------
    FileError
        If another process has reserved it.
    """
    target = follow_link(path)
    if target in _reserved:
        yield
        return
    # A digest, since the name with an addition may be longer than the file system takes.
    digest = hashlib.sha256(os.fsencode(target.name)).hexdigest()[:16]
    lock = target.parent / f".cellflow-{digest}.lock"
    with ExitStack() as stack:
        with defer_signals():
            descriptor = _acquire(lock, path)
            if descriptor is not None:
                stack.callback(os.close, descriptor)
                _reserved.add(target)
                stack.callback(_reserved.discard, target)
                # Removed before it is released: who waits for the file finds that it has no name.
                stack.enter_context(unfinished(lock))
        yield


def _acquire(lock: Path, path: Path) -> int | None:
    """Return the descriptor of a locked file; None where there are no locks."""
    while True:
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError:  # a folder that cannot be written, of which `check_target` tells
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), lock.stat()):
                os.ftruncate(descriptor, 0)
                os.write(descriptor, f"{os.getpid()} on {socket.gethostname()}".encode())
                return descriptor
        except BlockingIOError:
            owner = os.read(descriptor, 300).decode(errors="replace")
            os.close(descriptor)
            raise FileError(
                f"cannot write {path}: another process ({owner}) is about to write it; wait until "
                "it has ended, or choose another path"
            ) from None
        except FileNotFoundError:
            pass
        except OSError:
            lock.unlink(missing_ok=True)
            os.close(descriptor)
            return None
        # Its owner removed the file in the meantime.
        os.close(descriptor)
