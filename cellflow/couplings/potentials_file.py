"""Potentials as a file: named tensors and numbers, verified by a digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from cellflow._errors import FileError
from cellflow._files import new_file
from cellflow.couplings.atoms import as_bytes

_FORMAT = "cellflow-potentials-2"
_EARLIER = ("cellflow-potentials-1",)


def write(
    path: Path, tensors: Mapping[str, Tensor], values: Mapping[str, Any], *, overwrite: bool
) -> None:
    """Write one safetensors file, whole or not at all.

    Raises
    ------
    FileError
        If `path` exists and may not be overwritten, or cannot be written.
    """
    here = {name: tensor.contiguous().cpu() for name, tensor in tensors.items()}
    text = json.dumps(values, sort_keys=True)
    metadata = {"format": _FORMAT, "values": text, "sha256": _digest(here, text)}
    with new_file(path, overwrite=overwrite) as staged:
        try:
            save_file(here, staged, metadata)
        except SafetensorError as error:
            raise FileError(f"cannot write {path}: {error}") from error


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read the tensors and numbers back.

    Raises
    ------
    FileError
        For a file that is missing, damaged, of an earlier version or of another kind.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise FileError(f"{path} cannot be read as a safetensors file: {error}") from error
    if metadata.get("format") in _EARLIER:
        raise FileError(
            f"{path} holds potentials of an earlier version of cellflow, which knew no principal "
            "components; delete it, and they are found again"
        )
    if metadata.get("format") != _FORMAT:
        raise FileError(f"{path} holds no semidiscrete potentials of this version")
    values = metadata.get("values", "")
    if metadata.get("sha256") != _digest(tensors, values):
        raise FileError(f"{path} was altered after the potentials were saved")
    _check_shapes(path, tensors)
    return tensors, json.loads(values)


def _check_shapes(path: Path, tensors: Mapping[str, Tensor]) -> None:
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    n, k = (*shapes.get("atoms", ()), None, None)[:2]
    (f,) = (*shapes.get("origin", ()), None)[:1]
    expected: dict[str, Any] = {"atoms": (n, k), "origin": (f,), "g": (n,), "masses": (n,)}
    if "basis" in shapes:
        expected["basis"] = (k, f)
    if shapes != expected or ("basis" not in shapes and k != f):
        raise FileError(f"{path} holds no semidiscrete potentials: its tensors are {shapes}")


def _digest(tensors: Mapping[str, Tensor], values: str) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(as_bytes(tensor))
    digest.update(values.encode())
    return digest.hexdigest()
