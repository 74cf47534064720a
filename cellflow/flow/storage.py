"""A flow on disk: `flow.json` describes it, `tensors.safetensors` has the weights and arrays.

`flow.json` contains the SHA-256 digest of the tensor file and of itself (without that entry), so a
folder that was cut short, edited or mixed from two flows raises an error.
Other fitted objects, such as discriminators, are stored likewise as another `Format`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from cellflow._checks import format_list
from cellflow._errors import FileError, InputError
from cellflow._files import (
    TENSORS,
    atomic_folder,
    check_folder_target,
    check_member,
    read_json,
    reraise_as_file_error,
)


@dataclass(frozen=True)
class Format:
    """Kind and schema version of a folder with a fitted object.

    Attributes
    ----------
    what
        Name of the kind: `flow` for `flow.json` and the format `cellflow-flow`.
    version
        Version of the schema.
    """

    what: str
    version: int

    @property
    def name(self) -> str:
        """Entry `format` of the description."""
        return f"cellflow-{self.what}"

    @property
    def description(self) -> str:
        """Name of the file of the description."""
        return f"{self.what}.json"


FLOW = Format("flow", 7)

#: Types of the tensors of fitted objects; nets would cast others without a word.
_DTYPES = (torch.float32, torch.float64, torch.int64, torch.bool)


@dataclass(frozen=True)
class Stored:
    """The two parts of a flow on disk: plain values and named tensors."""

    description: Mapping[str, Any]
    tensors: Mapping[str, Tensor]


def check_flow_target(path: Path, *, overwrite: bool, form: Format = FLOW) -> None:
    """Raise an error unless a flow can be saved to `path`; only a flow is overwritten."""
    check_folder_target(path, overwrite=overwrite, what=f"a {form.what}")
    if path.exists():
        _check_format(path, form)


def write_folder(path: Path, stored: Stored, *, overwrite: bool, form: Format = FLOW) -> None:
    """Write a flow folder atomically."""
    check_flow_target(path, overwrite=overwrite, form=form)
    blob = _blob(stored.tensors)
    description = {
        "format": form.name,
        "schema_version": form.version,
        **stored.description,
        "tensors_sha256": hashlib.sha256(blob).hexdigest(),
    }
    description["sha256"] = _digest(description)
    with atomic_folder(path, overwrite=overwrite) as staged:
        (staged / TENSORS).write_bytes(blob)
        text = json.dumps(description, indent=1, allow_nan=False)
        (staged / form.description).write_text(text + "\n", encoding="utf-8")


def read_folder(path: Path, form: Format = FLOW) -> Stored:
    """Read and verify a flow folder."""
    _check_format(path, form)
    names = {entry.name for entry in path.iterdir() if not entry.name.startswith(".")}
    if foreign := names - {form.description, TENSORS}:
        raise FileError(
            f"{path} contains files that do not belong to a {form.what}: "
            f"{format_list(sorted(foreign))}; "
            f"a {form.what} folder has {form.description} and {TENSORS} only"
        )
    if TENSORS not in names:
        raise FileError(f"{path} is incomplete: {TENSORS} is missing")
    description = _description(path, form)
    version = description.get("schema_version")
    if version != form.version:
        older = isinstance(version, int) and version < form.version
        way_out = "fit it again" if older else "read it with the cellflow that saved it"
        raise FileError(
            f"{path} was saved by {'an earlier' if older else 'another'} cellflow (schema version "
            f"{version!r}; this one reads version {form.version}): {way_out}"
        )
    check_member(path / TENSORS, f"the folder of a {form.what}")
    blob = (path / TENSORS).read_bytes()
    expected = description.pop("sha256", None)
    if _digest(description) != expected:
        raise FileError(f"{path / form.description} was altered after the {form.what} was saved")
    if hashlib.sha256(blob).hexdigest() != description.get("tensors_sha256"):
        raise FileError(f"{path / TENSORS} was altered or belongs to another {form.what}")
    try:
        tensors = load(blob)
    except SafetensorError as error:
        raise FileError(f"{path / TENSORS} is not a safetensors file: {error}") from error
    for name, tensor in tensors.items():
        if tensor.dtype not in _DTYPES:
            raise FileError(
                f"{path / TENSORS} has {name} of type {str(tensor.dtype).removeprefix('torch.')}, "
                f"which a {form.what} does not have"
            )
        if not tensor.isfinite().all():
            raise FileError(
                f"{path / TENSORS} has numbers that are not finite, in {name!r}: the fit diverged, "
                "or the file was altered; fit again"
            )
    return Stored(description, tensors)


def reraise_unreadable(path: Path, form: Format = FLOW) -> AbstractContextManager[None]:
    """Raise any error of the block, which reads a description, as a FileError."""
    return reraise_as_file_error(f"{path} does not describe a {form.what} of this cellflow")


def check_sizes(settings: Any, tensors: Mapping[str, Tensor]) -> None:
    """Check that the sizes in settings of networks do not exceed those of the stored tensors.

    Raises
    ------
    InputError
        For a number above all sizes of the tensors; building such a network could fill the memory.
    """
    most = max((size for tensor in tensors.values() for size in tensor.shape), default=0)
    most = max(most, len(tensors))
    if isinstance(settings, Mapping | list):
        for each in settings.values() if isinstance(settings, Mapping) else settings:
            check_sizes(each, tensors)
    elif isinstance(settings, int | float) and not abs(settings) <= max(most, 2**10):
        raise InputError(f"a net of size {settings} with tensors of sizes up to {most}")


def fingerprint(tensors: Mapping[str, Tensor]) -> str:
    """Digest of named tensors, 16 hexadecimal digits."""
    return hashlib.sha256(_blob(tensors)).hexdigest()[:16]


def _blob(tensors: Mapping[str, Tensor]) -> bytes:
    return save({name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()})


def _check_format(path: Path, form: Format) -> None:
    if not path.is_dir():
        reason = "is not a folder" if path.exists() else "does not exist"
        raise FileError(f"{path} {reason}; expected the folder of a saved {form.what}")
    if not (path / form.description).exists():
        raise FileError(f"{path} is not a saved {form.what}: {form.description} is missing")
    if _description(path, form).get("format") != form.name:
        raise FileError(f"{path} is not a saved {form.what}: {form.description} has another format")


def _description(path: Path, form: Format) -> dict[str, Any]:
    check_member(path / form.description, f"the folder of a {form.what}")
    description = read_json(path / form.description)
    if not isinstance(description, dict):
        raise FileError(f"{path} is not a saved {form.what}: {form.description} has another format")
    return description


def _digest(description: Mapping[str, Any]) -> str:
    canonical = json.dumps(description, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
