"""A flow on disk: `flow.json` says what it is, `tensors.safetensors` holds the numbers.

`flow.json` carries the SHA-256 digest of the tensor file and of itself (without that entry), so a
folder that was cut short, edited or mixed from two flows is refused instead of giving wrong cells.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from cellflow._checks import listed
from cellflow._errors import FileError
from cellflow._files import check_target, new_folder

FORMAT = "cellflow-flow"
SCHEMA_VERSION = 3
DESCRIPTION = "flow.json"
TENSORS = "tensors.safetensors"


@dataclass(frozen=True)
class Stored:
    """The two parts of a flow on disk: plain values and named tensors."""

    description: Mapping[str, Any]
    tensors: Mapping[str, Tensor]


def check_flow_target(path: Path, *, overwrite: bool) -> None:
    """Refuse a `path` that a flow could not be saved to; only a flow may be overwritten."""
    check_target(path, overwrite=overwrite)
    if path.exists():
        _check_is_flow(path)


def write_folder(path: Path, stored: Stored, *, overwrite: bool) -> None:
    """Write a flow folder, whole or not at all."""
    check_flow_target(path, overwrite=overwrite)
    blob = _blob(stored.tensors)
    description = {
        "format": FORMAT,
        "schema_version": SCHEMA_VERSION,
        **stored.description,
        "tensors_sha256": hashlib.sha256(blob).hexdigest(),
    }
    description["sha256"] = _digest(description)
    with new_folder(path, overwrite=overwrite) as staged:
        (staged / TENSORS).write_bytes(blob)
        text = json.dumps(description, indent=1, allow_nan=False)
        (staged / DESCRIPTION).write_text(text + "\n", encoding="utf-8")


def read_folder(path: Path) -> Stored:
    """Read and verify a flow folder."""
    _check_is_flow(path)
    names = {entry.name for entry in path.iterdir() if not entry.name.startswith(".")}
    if foreign := names - {DESCRIPTION, TENSORS}:
        raise FileError(
            f"{path} holds files that are no part of a flow: {listed(sorted(foreign))}; "
            f"a flow folder has {DESCRIPTION} and {TENSORS} only"
        )
    if TENSORS not in names:
        raise FileError(f"{path} is incomplete: {TENSORS} is missing")
    description = _description(path)
    if description.get("schema_version") != SCHEMA_VERSION:
        raise FileError(
            f"{path} has schema version {description.get('schema_version')!r}; "
            f"this cellflow reads version {SCHEMA_VERSION}"
        )
    blob = (path / TENSORS).read_bytes()
    expected = description.pop("sha256", None)
    if _digest(description) != expected:
        raise FileError(f"{path / DESCRIPTION} was altered after the flow was saved")
    if hashlib.sha256(blob).hexdigest() != description["tensors_sha256"]:
        raise FileError(f"{path / TENSORS} was altered or belongs to another flow")
    try:
        return Stored(description, load(blob))
    except SafetensorError as error:
        raise FileError(f"{path / TENSORS} is no safetensors file: {error}") from error


def fingerprint(tensors: Mapping[str, Tensor]) -> str:
    """Digest of named tensors, 16 hexadecimal digits."""
    return hashlib.sha256(_blob(tensors)).hexdigest()[:16]


def _blob(tensors: Mapping[str, Tensor]) -> bytes:
    return save({name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()})


def _check_is_flow(path: Path) -> None:
    if not path.is_dir():
        reason = "is no folder" if path.exists() else "does not exist"
        raise FileError(f"{path} {reason}; expected the folder of a saved flow")
    if not (path / DESCRIPTION).is_file():
        raise FileError(f"{path} is no saved flow: {DESCRIPTION} is missing")
    if _description(path).get("format") != FORMAT:
        raise FileError(f"{path} is no saved flow: {DESCRIPTION} has another format")


def _description(path: Path) -> dict[str, Any]:
    try:
        description = json.loads((path / DESCRIPTION).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FileError(f"{path / DESCRIPTION} cannot be read: {error}") from error
    if not isinstance(description, dict):
        raise FileError(f"{path} is no saved flow: {DESCRIPTION} has another format")
    return description


def _digest(description: Mapping[str, Any]) -> str:
    canonical = json.dumps(description, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
