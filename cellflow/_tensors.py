"""Named tensors: prefixes, digests and safetensors files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from cellflow._errors import FileError
from cellflow._files import atomic_file, check_is_file

#: Metadata entry with the digest of a file's tensors and other metadata.
_DIGEST = "sha256"


def add_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors with `prefix` and a dot before their names."""
    return {f"{prefix}.{name}": value for name, value in tensors.items()}


def select_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors whose names have the prefix, with the prefix removed."""
    start = f"{prefix}."
    return {
        name.removeprefix(start): value for name, value in tensors.items() if name.startswith(start)
    }


def as_bytes(tensor: Tensor) -> memoryview:
    """Return the bytes of a tensor, without a copy if it is on the CPU."""
    # NumPy has no bfloat16, so the tensor is viewed as bytes.
    return tensor.detach().contiguous().cpu().flatten().view(torch.uint8).numpy().data


def compute_digest(tensors: Mapping[str, Tensor], texts: Mapping[str, str] | None = None) -> str:
    """Return SHA-256 of names, dtypes, shapes and values, sorted by name, and of `texts`."""
    hasher = hashlib.sha256()
    for name, text in sorted((texts or {}).items()):
        hasher.update(f"{name} {text}".encode())
    for name, tensor in sorted(tensors.items()):
        hasher.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        hasher.update(as_bytes(tensor))
    return hasher.hexdigest()


def write_tensors(
    path: Path, tensors: Mapping[str, Tensor], texts: Mapping[str, str], *, overwrite: bool
) -> None:
    """Write one safetensors file atomically, with texts and a digest as metadata.

    Raises
    ------
    FileError
        If `path` exists and `overwrite` is False, or if it cannot be written.
    """
    here = {name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()}
    metadata = {**texts, _DIGEST: compute_digest(here, texts)}
    with atomic_file(path, overwrite=overwrite) as staged:
        try:
            save_file(here, staged, metadata)
        except SafetensorError as error:
            raise FileError(f"cannot write {path}: {error}") from error


def read_tensors(
    path: Path, what: str, advice: str = ""
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read the tensors and metadata of any safetensors file.

    Raises
    ------
    FileError
        If the file is missing or damaged; the message says it was read as `what`, and the advice.
    """
    check_is_file(path)
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return tensors, file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise FileError(f"{path} cannot be read as {what}: {error}{advice}") from error


def check_digest(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Check that a file is as `write_tensors` wrote it.

    Raises
    ------
    FileError
        If the digest does not match.
    """
    texts = {name: text for name, text in metadata.items() if name != _DIGEST}
    if metadata.get(_DIGEST) != compute_digest(tensors, texts):
        raise FileError(f"{path} was altered after it was written")
