"""Weights files, read so that nothing but tensors comes out of them."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from cellflow._errors import FileError


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Read named tensors from a file of `torch.save`.

    A `state_dict` entry is taken out of a training checkpoint, and the prefix `module.` off names.

    Raises
    ------
    FileError
        For a file that is missing, damaged or holds anything else.
    """
    try:
        content = torch.load(io.BytesIO(Path(path).read_bytes()), "cpu", weights_only=True)
    except Exception as error:
        # Damaged files make torch raise errors of many kinds.
        raise FileError(f"{path} cannot be read as a weights file: {first_line(error)}") from error
    tensors = content.get("state_dict", content) if isinstance(content, Mapping) else None
    if not isinstance(tensors, Mapping) or not all(
        isinstance(name, str) and isinstance(values, Tensor) for name, values in tensors.items()
    ):
        raise FileError(f"{path} holds no named tensors")
    return {name.removeprefix("module."): values for name, values in tensors.items()}


def first_line(error: BaseException) -> str:
    """What went wrong, cut to one line; the kind of error where it says nothing."""
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__
