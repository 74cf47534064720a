"""Atomic writing of files and folders, and checks of their paths.

Output is written under a temporary name in the same folder and then renamed, so that it is either
complete or absent.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cellflow._errors import CellflowError, FileError


def check_is_file(path: Path) -> None:
    """Raise `FileError` unless `path` is an existing file."""
    if not path.is_file():
        raise FileError(f"{path} {'is not a file' if path.exists() else 'does not exist'}")


def check_file_target(path: Path, *, overwrite: bool) -> None:
    """Raise `FileError` if no file can be written to `path`; call it before long work."""
    check_target(path, overwrite=overwrite)
    if path.exists() and not path.is_file():
        raise FileError(f"cannot write {path}: it exists and is not a file; choose another path")


def check_target(path: Path, *, overwrite: bool) -> None:
    """Raise `FileError` if neither file nor folder can be written to `path`."""
    if path.exists() and not overwrite:
        raise FileError(f"{path} exists already; overwrite it with --force or overwrite=True")
    parent = path.absolute().parent
    if not parent.is_dir():
        raise FileError(f"cannot write {path}: the folder {parent} does not exist")
    with _scratch_folder(path):
        pass


@contextmanager
def atomic_file(path: Path, *, overwrite: bool) -> Iterator[Path]:
    """Yield the path of a temporary file, renamed to `path` when the block completes."""
    check_file_target(path, overwrite=overwrite)
    with _scratch_folder(path) as scratch:
        staged = scratch / path.name
        yield staged
        staged.replace(path)


@contextmanager
def atomic_folder(path: Path, *, overwrite: bool) -> Iterator[Path]:
    """Yield the path of a temporary folder, renamed to `path` when the block completes."""
    check_target(path, overwrite=overwrite)
    with _scratch_folder(path) as scratch:
        staged = scratch / path.name
        staged.mkdir()
        yield staged
        replaced = scratch / f"{path.name}.replaced"
        if path.exists():
            path.rename(replaced)
        try:
            staged.rename(path)
        except OSError:
            if replaced.exists():
                replaced.rename(path)
            raise


@contextmanager
def reraise_as_file_error(problem: str, advice: str = "") -> Iterator[None]:
    """Raise any error of the block as a FileError: the problem, the reason and the advice.

    Meant for files whose digest is right, which shows that they are complete, not who wrote them.
    """
    try:
        yield
    except CellflowError as error:
        raise FileError(f"{problem}: {error}{advice}") from error
    except Exception as error:  # torch and our nets raise many kinds over foreign settings
        missing = isinstance(error, KeyError)
        reason = f"{error.args[0]!r} is missing" if missing else " ".join(str(error).split())[:200]
        raise FileError(f"{problem}: {reason}{advice}") from error


@contextmanager
def _scratch_folder(path: Path) -> Iterator[Path]:
    try:
        scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.absolute().parent))
    except OSError as error:
        raise FileError(f"cannot write {path}: {error.strerror or error}") from error
    try:
        yield scratch
    except OSError as error:
        raise FileError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
