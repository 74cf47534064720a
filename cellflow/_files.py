"""Atomic writing of files and folders, and checks of their paths.

Output is written under a temporary name in the folder that it goes to and then renamed, so that it
is either complete or absent. Symbolic links are followed and kept: output named by a link goes to
the file or folder that the link leads to.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cellflow._errors import CellflowError, FileError, InputError
from cellflow._signals import defer_signals

#: Tensors in the folder of a flow or of another fitted object, by which such folders are known.
TENSORS = "tensors.safetensors"

#: Ending of a zarr store that is a folder, and of one in a single file.
ZARR, ZIPPED = ".zarr", ".zarr.zip"

#: Characters of an output's name in that of its temporary folder.
_NAME_LENGTH = 24

#: Places of devices and of the kernel, where files are not what they seem.
_SYSTEM = tuple(Path(name) for name in ("/dev", "/proc", "/sys"))

#: Endings of files that cellflow reads or writes; a folder or a checkpoint has none of them.
_FILES = (".h5ad", ".h5", ".hdf5", ".loom", ZARR, ".zip", ".csv", ".tsv", ".xlsx", ".gz", ".json",
          ".yaml", ".yml", ".npz", ".npy", ".parquet", ".png", ".pdf", ".svg", ".gif", ".html",
          ".mp4")  # fmt: skip


def check_is_file(path: Path) -> None:
    """Raise `FileError` unless `path` is an existing file: a pipe or a device may never end."""
    if path.is_file():
        return
    if path.is_dir():
        raise FileError(f"{path} is a folder, not a file")
    if path.exists():
        raise FileError(f"{path} is a pipe, a socket or a device, not a file")
    raise FileError(f"{path} does not exist")


def iter_files(folder: Path, what: str) -> Iterator[os.DirEntry[str]]:
    """Yield all files in a folder with `what`, however deep; see `check_member`."""
    folders = [os.fspath(folder)]
    while folders:
        # A store may have many chunks, and entries know what they are.
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                    continue
                if not entry.is_file(follow_symlinks=False):
                    check_member(Path(entry.path), what)
                yield entry


def check_member(path: Path, what: str) -> None:
    """Raise `FileError` unless `path`, in a folder with `what`, is a file, and in this folder."""
    if path.is_symlink():
        raise FileError(
            f"{path} is a link, which {what} must not contain, since it may lead out of the "
            "folder; put the file itself there"
        )
    check_is_file(path)


def read_json(path: Path) -> Any:
    """Read a JSON document.

    Raises
    ------
    FileError
        If the file is missing, not a file, or not JSON, or if its values are nested too deeply.
    """
    check_is_file(path)
    try:
        return parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FileError(f"{path} cannot be read: {error}") from error


def parse_json(text: str | bytes) -> Any:
    """Parse JSON; raise `ValueError` for all that cannot be, also for values nested too deeply."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("its values are nested too deeply") from error


def check_ending(path: Path, endings: Iterable[str], what: str) -> None:
    """Raise `InputError` unless the name of `path` has one of the endings of files of `what`."""
    valid = tuple(endings)
    if not any(path.name.endswith(ending) and path.name != ending for ending in valid):
        *others, last = valid
        listed = f"{', '.join(others)} or {last}" if others else last
        example = f"{_bare_name(path) or 'output'}{valid[0]}"
        raise InputError(
            f"cannot write {path}: {what} are written as {listed}; name it {example}, for instance"
        )


def check_file_target(path: Path, *, overwrite: bool) -> None:
    """Raise `FileError` if no file can be written to `path`; call it before long work."""
    check_target(path, overwrite=overwrite)
    if path.exists() and not path.is_file():
        raise FileError(f"cannot write {path}: it exists and is not a file; choose another path")


def check_folder_target(path: Path, *, overwrite: bool, what: str) -> None:
    """Raise an error if no folder with `what` can be written to `path`, or its name is a file's."""
    check_place(path, what)
    check_target(path, overwrite=overwrite)
    if path.exists() and not path.is_dir():
        raise FileError(f"cannot write {path}: it exists and is not a folder; choose another path")


def check_place(path: Path, what: str) -> None:
    """Raise an error if a folder with `what`, which may exist, must not be at `path`."""
    check_not_named(path, f"the folder of {what}")
    _check_place(path, follow_link(path))


def check_not_named(path: Path, what: str) -> None:
    """Raise `InputError` if `path`, which gets `what`, has the ending of a file of another kind."""
    if path.suffix.lower() in _FILES:
        raise InputError(
            f"cannot write {path}: {what} would have the name of a {path.suffix} file; leave the "
            f"ending out, as in {_bare_name(path) or 'output'}"
        )


def _bare_name(path: Path) -> str:
    """Return the name of a path without endings of files."""
    while path.suffix.lower() in _FILES or path.suffix[1:].isalpha():
        path = path.with_suffix("")
    return "" if path.name.lower() in _FILES else path.name.removeprefix(".")


def check_target(path: Path, *, overwrite: bool) -> None:
    """Raise `FileError` if neither file nor folder can be written to `path`."""
    target = follow_link(path)
    _check_place(path, target)
    if path.exists() and not overwrite:
        raise FileError(f"{path} exists already; overwrite it with --force or overwrite=True")
    parent = target.parent
    if not parent.is_dir():
        raise FileError(f"cannot write {path}: the folder {parent} does not exist")
    with _scratch_folder(path):
        pass


def check_apart(path: Path, inputs: Iterable[str | Path | None]) -> None:
    """Raise `FileError` if output to `path` would replace a file or folder that is read.

    Names do not matter: links and relative paths lead to the same file.
    """
    target = follow_link(path)
    for read in (Path(each) for each in inputs if each is not None):
        if not read.exists():
            continue
        if target == Path(os.path.realpath(read)) or (path.exists() and path.samefile(read)):
            same = "" if path == read else f" (as {read})"
            raise FileError(
                f"cannot write {path}: it is read{same}, and the result would replace it; choose "
                "another path"
            )


def check_distinct(path: Path, other: Path, what: str) -> None:
    """Raise `InputError` if `other`, a second output, would be at `path` or inside it."""
    target, beside = follow_link(path), follow_link(other)
    if target == beside or target in beside.parents:
        raise InputError(
            f"{other} is named for {what}, and {path} for the result, which needs a place of its "
            "own; choose another path for one of them"
        )


def follow_link(path: Path) -> Path:
    """Return the path that output goes to: where a symbolic link leads, else `path`, absolute.

    Raises
    ------
    FileError
        For a link that leads back to itself, and a name longer than the file system takes.
    """
    target = Path(os.path.realpath(path))
    try:
        if target.is_symlink():
            raise FileError(f"cannot write {path}: it is a link that leads back to itself")
    except OSError as error:
        raise FileError(f"cannot write {path}: {error.strerror or error}") from error
    return target


def _check_place(path: Path, target: Path) -> None:
    """Raise `FileError` for devices, pipes, system folders, and the inside of a flow or store."""
    # Clusters may keep temporary files in memory, under /dev/shm.
    temporary = os.path.realpath(tempfile.gettempdir())
    for place in (path.absolute(), target):
        is_system = any(place.is_relative_to(system) for system in _SYSTEM)
        if is_system and not place.is_relative_to(temporary):
            raise FileError(
                f"cannot write {path}: results are files and folders, and are not written under "
                f"{', '.join(map(str, _SYSTEM))}; choose another path"
            )
    if target.exists() and not (target.is_file() or target.is_dir()):
        raise FileError(
            f"cannot write {path}: it is a pipe, a socket or a device; choose another path"
        )
    for folder in target.parents:
        if folder.suffix == ZARR or (folder / TENSORS).is_file():
            kind = "a zarr store" if folder.suffix == ZARR else "a saved flow"
            raise FileError(
                f"cannot write {path}: {folder} is the folder of {kind}, which has no other files; "
                "choose a path outside it"
            )


@contextmanager
def atomic_file(path: Path, *, overwrite: bool) -> Iterator[Path]:
    """Yield the path of a temporary file, renamed to `path` when the block completes."""
    check_file_target(path, overwrite=overwrite)
    target = follow_link(path)
    with _scratch_folder(path) as scratch:
        staged = scratch / path.name
        yield staged
        if overwrite:
            staged.replace(target)
        else:
            _move_to_new(staged, target)


@contextmanager
def atomic_folder(path: Path, *, overwrite: bool) -> Iterator[Path]:
    """Yield the path of a temporary folder, renamed to `path` when the block completes."""
    check_target(path, overwrite=overwrite)
    target = follow_link(path)
    with _scratch_folder(path) as scratch:
        staged = scratch / path.name
        staged.mkdir()
        yield staged
        # Between the two renames the old folder is in the temporary one, which a signal removes.
        with defer_signals(second_stops=False):
            replaced = scratch / "replaced"
            if target.exists() and overwrite:
                target.rename(replaced)
            try:
                staged.rename(target)
            except OSError as error:
                # Another process may have put its own folder there in the meantime.
                if not target.exists() and replaced.exists():
                    replaced.rename(target)
                elif target.exists():
                    raise _written_by_another(path) from error
                raise


def _move_to_new(staged: Path, target: Path) -> None:
    """Rename a file; a file of that name that another process wrote is not replaced."""
    try:
        os.link(staged, target)
    except FileExistsError as error:
        raise _written_by_another(target) from error
    except OSError:
        # A file system without hard links.
        staged.replace(target)


def _written_by_another(path: Path) -> FileError:
    return FileError(
        f"cannot write {path}: another process wrote it in the meantime; overwrite it with --force "
        "or overwrite=True, or choose another path"
    )


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


#: Files and folders of this process that are not finished.
_unfinished: set[Path] = set()


@contextmanager
def unfinished(path: Path) -> Iterator[None]:
    """Remove a temporary file or folder at the end of the block, or of a process that is ended."""
    _unfinished.add(path)
    try:
        yield
    finally:
        _remove(path)
        _unfinished.discard(path)


def remove_unfinished() -> None:
    """Remove all temporary files and folders of this process, before it ends."""
    for path in tuple(_unfinished):
        _remove(path)


def end_process(number: int) -> None:
    """End this process in the middle of its work, on the signal of this number."""
    remove_unfinished()
    os._exit(128 + number)


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Yield an empty folder for temporary files, and remove it."""
    folder = Path(tempfile.gettempdir()) / f"cellflow-{secrets.token_hex(8)}"
    with unfinished(folder):
        folder.mkdir(mode=0o700)
        yield folder


@contextmanager
def _scratch_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside the file or folder that output named `path` goes to."""
    # Part of the name only, so that each name that the file system takes can be written.
    name = f".{path.name[:_NAME_LENGTH]}.{secrets.token_hex(4)}"
    scratch = follow_link(path).parent / name
    with unfinished(scratch):
        try:
            scratch.mkdir(mode=0o700)
            yield scratch
        except OSError as error:
            raise FileError(f"cannot write {path}: {error.strerror or error}") from error


def _remove(path: Path) -> None:
    # Another thread may be writing into the folder while it is removed.
    for _ in range(3):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
