"""Potentials as a file: named tensors and numbers, verified by a digest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from cellflow._errors import FileError
from cellflow._tensors import check_digest, read_tensors, write_tensors

_FORMAT = "cellflow-potentials-3"
_EARLIER = ("cellflow-potentials-1", "cellflow-potentials-2")


def write(
    path: Path, tensors: Mapping[str, Tensor], values: Mapping[str, Any], *, overwrite: bool
) -> None:
    """Write one safetensors file, whole or not at all.

    Raises
    ------
    FileError
        If `path` exists and may not be overwritten, or cannot be written.
    """
    texts = {"format": _FORMAT, "values": json.dumps(values, sort_keys=True)}
    write_tensors(path, tensors, texts, overwrite=overwrite)


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read the tensors and numbers back.

    Raises
    ------
    FileError
        For a file that is missing, damaged, of an earlier version or of another kind.
    """
    tensors, metadata = read_tensors(path, "potentials")
    if metadata.get("format") in _EARLIER:
        raise FileError(
            f"{path} holds potentials of an earlier version of cellflow; delete it, and they are "
            "found again"
        )
    if metadata.get("format") != _FORMAT:
        raise FileError(f"{path} holds no semidiscrete potentials of this version")
    check_digest(path, tensors, metadata)
    _check_shapes(path, tensors)
    return tensors, json.loads(metadata["values"])


def _check_shapes(path: Path, tensors: Mapping[str, Tensor]) -> None:
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    n, k = (*shapes.get("atoms", ()), None, None)[:2]
    (f,) = (*shapes.get("origin", ()), None)[:1]
    expected: dict[str, Any] = {"atoms": (n, k), "origin": (f,), "g": (n,), "masses": (n,)}
    if "basis" in shapes:
        expected["basis"] = (k, f)
    if shapes != expected or ("basis" not in shapes and k != f):
        raise FileError(f"{path} holds no semidiscrete potentials: its tensors are {shapes}")
