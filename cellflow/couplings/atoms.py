"""Target points of semidiscrete transport (atoms), read in chunks.

The points may be a tensor or a `FiniteMarginal` that stores them otherwise, for example as bytes.
Reading them in chunks avoids a second floating-point copy of the whole set.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from cellflow._batch import FiniteMarginal, Marginal
from cellflow._errors import InputError
from cellflow._tensors import as_bytes

Atoms = Float[Tensor, "N f"]
Features = Float[Tensor, "n f"]
Coordinates = Float[Tensor, " f"]
Basis = Float[Tensor, "k f"]

#: Points per chunk.
_CHUNK_SIZE = 1024


def iter_chunks(
    points: Atoms | FiniteMarginal, device: torch.device | None = None
) -> Iterator[Tensor]:
    """Yield the cost features of consecutive points, shape (<= 1024, f).

    They are on `device`, or on that of the points if None.
    """
    if isinstance(points, Tensor):
        for chunk in torch.split(points, _CHUNK_SIZE):
            yield chunk.to(device or chunk.device)
        return
    masses = points.masses
    rows = torch.arange(len(masses), device=device or masses.device)
    for chunk_rows in torch.split(rows, _CHUNK_SIZE):
        yield points.take(chunk_rows).cost_features


def n_points(points: Atoms | FiniteMarginal) -> int:
    """Return the number of points."""
    return len(points if isinstance(points, Tensor) else points.masses)


def sample_chunks(source: Marginal, n: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Yield the cost features of `n` points drawn from `source`, shape (<= 1024, f) each."""
    for start in range(0, n, _CHUNK_SIZE):
        yield source.sample(min(_CHUNK_SIZE, n - start), generator).cost_features


def fingerprint(points: Atoms | FiniteMarginal) -> str:
    """Return 16 hexadecimal digits of SHA-256 of the points' count, dtype and coordinates."""
    digest = hashlib.sha256(str(n_points(points)).encode())
    for chunk in iter_chunks(points):
        digest.update(f"{tuple(chunk.shape)} {chunk.dtype}".encode())
        digest.update(as_bytes(chunk))
    return digest.hexdigest()[:16]


def mean_point(points: Atoms | FiniteMarginal, device: torch.device) -> Coordinates:
    """Return the mean of the points, shape (f,), summed in float64."""
    total: Tensor | float = 0.0
    for chunk in iter_chunks(points, device):
        total = total + chunk.mean(dim=0).cpu().double() * len(chunk)
    assert isinstance(total, Tensor)
    return (total / n_points(points)).to(device=device, dtype=chunk.dtype)


def principal_axes(points: Atoms | FiniteMarginal, origin: Coordinates, k: int) -> Basis:
    """Return the first `k` principal axes of the points around `origin`, shape (k, f).

    Raises
    ------
    InputError
        If the points have fewer than `k` dimensions.
    """
    if k > len(origin):
        raise InputError(
            f"cost_dim={k} is more than the {len(origin)} dimensions of the points; lower cost_dim"
        )
    gram = torch.zeros(len(origin), len(origin), dtype=torch.float64)
    for chunk in iter_chunks(points, origin.device):
        gram += ((chunk - origin).T @ (chunk - origin)).cpu()
    vectors = torch.linalg.eigh(gram).eigenvectors
    return vectors.T.flip(0)[:k].to(origin).contiguous()


def project(x: Features, origin: Coordinates, basis: Basis | None) -> Tensor:
    """Subtract `origin` and project on the rows of `basis`, shape (n, k); None keeps (n, f)."""
    x = x.to(origin.dtype) - origin
    return x if basis is None else x @ basis.T


def project_points(
    points: Atoms | FiniteMarginal, origin: Coordinates, basis: Basis | None
) -> Float[Tensor, "N k"]:
    """Apply `project` to all points, chunk by chunk."""
    projected = origin.new_empty(n_points(points), len(origin if basis is None else basis))
    start = 0
    for chunk in iter_chunks(points, origin.device):
        projected[start : start + len(chunk)] = project(chunk, origin, basis)
        start += len(chunk)
    return projected
