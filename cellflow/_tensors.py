"""Named tensors: told apart by prefixes and digests, and kept in safetensors files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from cellflow._errors import FileError
from cellflow._files import atomic_file

#: Entry of a file's metadata with the digest of its tensors and of the other entries.
_DIGEST = "sha256"


def add_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors with a prefix before their names."""
    return {f"{prefix}.{name}": value for name, value in tensors.items()}


def select_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Those with the prefix, without it."""
    start = f"{prefix}."
    return {
        name.removeprefix(start): value for name, value in tensors.items() if name.startswith(start)
    }


def as_bytes(tensor: Tensor) -> memoryview:
    """What a tensor's memory holds; of one on the CPU, without a copy."""
    # Numpy has no brain floats, but it has their bytes.
    return tensor.detach().contiguous().cpu().flatten().view(torch.uint8).numpy().data


def compute_digest(tensors: Mapping[str, Tensor], texts: Mapping[str, str] | None = None) -> str:
    """SHA-256 of names, types, shapes and values, whatever the order, and of texts with them."""
    whole = hashlib.sha256()
    for name, text in sorted((texts or {}).items()):
        whole.update(f"{name} {text}".encode())
    for name, tensor in sorted(tensors.items()):
        whole.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        whole.update(as_bytes(tensor))
    return whole.hexdigest()


def write_tensors(
    path: Path, tensors: Mapping[str, Tensor], texts: Mapping[str, str], *, overwrite: bool
) -> None:
    """Write one safetensors file, whole or not at all, with texts and a digest as metadata.

    Raises
    ------
    FileError
        If `path` exists and may not be overwritten, or cannot be written.
    """
    here = {name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()}
    metadata = {**texts, _DIGEST: compute_digest(here, texts)}
    with atomic_file(path, overwrite=overwrite) as staged:
        try:
            save_file(here, staged, metadata)
        except SafetensorError as error:
            raise FileError(f"cannot write {path}: {error}") from error


def read_tensors(path: Path, what: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read the tensors and metadata of a safetensors file, whoever wrote it.

    Raises
    ------
    FileError
        For a file that is missing or damaged, with `what` it should be.
    """
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return tensors, file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise FileError(f"{path} cannot be read as {what}: {error}") from error


def check_digest(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Refuse what is not as `write_tensors` left it.

    Raises
    ------
    FileError
        If the digest is of other tensors or texts.
    """
    texts = {name: text for name, text in metadata.items() if name != _DIGEST}
    if metadata.get(_DIGEST) != compute_digest(tensors, texts):
        raise FileError(f"{path} was altered after it was written")
