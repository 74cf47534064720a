"""The folder of a benchmark: a small file for each thing computed, named by all that decides it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan, nan
from pathlib import Path
from typing import Any

from cellflow._errors import FileError
from cellflow._files import atomic_file, check_target

FORMAT = "cellflow-benchmark"

#: Folders inside, one a kind.
ROWS, YARDSTICKS = "rows", "yardsticks"


@dataclass(frozen=True)
class BenchmarkFolder:
    """What was computed already.

    Attributes
    ----------
    path
        The folder.
    """

    path: Path

    @classmethod
    def at(cls, path: str | Path) -> BenchmarkFolder:
        """Open a folder, or one that is to be made; nothing is written yet.

        Raises
        ------
        FileError
            If it cannot be written to, or holds something else.
        """
        path = Path(path)
        if path.exists() and not path.is_dir():
            raise FileError(f"{path} is a file; a benchmark needs a folder")
        if path.is_dir() and any(path.iterdir()):
            if not (path / ROWS).is_dir():
                raise FileError(f"{path} is not the folder of a benchmark; choose an empty one")
            check_target(path / ROWS / "probe", overwrite=True)
        else:
            check_target(path, overwrite=True)
        return cls(path)

    def make(self) -> None:
        """Make the folder and those inside where they are not there."""
        try:
            # Rows first: another process may open the folder in between, and knows it by these.
            for kind in (ROWS, YARDSTICKS):
                (self.path / kind).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FileError(f"cannot write {self.path}: {error.strerror or error}") from error

    def read(self, kind: str, key: Mapping[str, Any]) -> dict[str, Any] | None:
        """What was kept under a key; None where nothing was, or the file is damaged."""
        try:
            document = json.loads(self._file(kind, key).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        if not isinstance(document, dict) or document.get("key") != _plain(key):
            return None
        return dict(_each(document["value"], lambda number: nan if number is None else number))

    def write(self, kind: str, key: Mapping[str, Any], value: Mapping[str, Any]) -> None:
        """Keep a value of names and numbers, whole or not at all."""
        # NaN has no JSON.
        kept = _each(value, lambda x: None if isinstance(x, float) and isnan(x) else x)
        document = {"format": FORMAT, "key": key, "value": kept}
        with atomic_file(self._file(kind, key), overwrite=True) as staged:
            staged.write_text(json.dumps(document, indent=1, allow_nan=False), encoding="utf-8")

    def _file(self, kind: str, key: Mapping[str, Any]) -> Path:
        text = json.dumps(key, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return self.path / kind / f"{hashlib.sha256(text.encode()).hexdigest()[:24]}.json"


def _plain(key: Mapping[str, Any]) -> Any:
    return json.loads(json.dumps(key))


def _each(value: Any, change: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _each(part, change) for name, part in value.items()}
    return change(value)
