"""Folder of a benchmark: a small file for each run, named by a digest of all its inputs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import isnan, nan
from pathlib import Path
from typing import Any

from cellflow._errors import FileError
from cellflow._files import atomic_file, check_place, check_target, read_json

_FORMAT = "cellflow-benchmark"

#: Names of the subfolders.
FITS, BASELINES = "fits", "baselines"


@dataclass(frozen=True)
class ResultsFolder:
    """Folder with the scores of finished runs.

    Attributes
    ----------
    path
        The folder.
    """

    path: Path

    @classmethod
    def at(cls, path: str | Path) -> ResultsFolder:
        """Open an existing folder, or one that `make` creates later, without writing.

        Raises
        ------
        FileError
            If it cannot be written to, or holds something else.
        """
        path = Path(path)
        check_place(path, "a benchmark")
        if path.exists() and not path.is_dir():
            raise FileError(f"{path} is a file; a benchmark needs a folder")
        if path.is_dir() and any(path.iterdir()):
            if not (path / FITS).is_dir():
                raise FileError(f"{path} is not the folder of a benchmark; choose an empty one")
            check_target(path / FITS / "probe", overwrite=True)
        else:
            check_target(path, overwrite=True)
        return cls(path)

    def make(self) -> None:
        """Make the folder and its subfolders unless they exist."""
        try:
            # Fits first: a process that opens the folder at the same time recognises it by them.
            for kind in (FITS, BASELINES):
                (self.path / kind).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FileError(f"cannot write {self.path}: {error.strerror or error}") from error

    def read(
        self, kind: str, key: Mapping[str, Any], needed: Iterable[str] = ()
    ) -> dict[str, Any] | None:
        """Return the scores under a key; None if the file is missing, damaged or incomplete."""
        try:
            document = read_json(self._file(kind, key))
        except FileError:
            return None
        if not isinstance(document, dict) or document.get("key") != json.loads(json.dumps(key)):
            return None
        if not set(needed) <= document["value"].keys():
            return None
        return dict(_map(document["value"], lambda number: nan if number is None else number))

    def write(self, kind: str, key: Mapping[str, Any], value: Mapping[str, Any]) -> None:
        """Write names and numbers under a key, atomically."""
        # NaN is not valid JSON.
        plain = _map(value, lambda x: None if isinstance(x, float) and isnan(x) else x)
        document = {"format": _FORMAT, "key": key, "value": plain}
        with atomic_file(self._file(kind, key), overwrite=True) as staged:
            staged.write_text(json.dumps(document, indent=1, allow_nan=False), encoding="utf-8")

    def _file(self, kind: str, key: Mapping[str, Any]) -> Path:
        text = json.dumps(key, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return self.path / kind / f"{hashlib.sha256(text.encode()).hexdigest()[:24]}.json"


def _map(value: Any, change: Callable[[Any], Any]) -> Any:
    """Apply a function to the leaves of nested mappings."""
    if isinstance(value, Mapping):
        return {name: _map(part, change) for name, part in value.items()}
    return change(value)
