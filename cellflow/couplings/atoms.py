"""Points of a finite marginal, read in parts, so that no second copy of them is made as numbers."""

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

#: Points that are read at a time.
_ROWS = 1024


def iter_chunks(
    points: Atoms | FiniteMarginal, device: torch.device | None = None
) -> Iterator[Tensor]:
    """Coordinates that costs are taken on, some rows at a time, on `device` or where they are."""
    if isinstance(points, Tensor):
        for block in torch.split(points, _ROWS):
            yield block.to(device or block.device)
        return
    masses = points.masses
    rows = torch.arange(len(masses), device=device or masses.device)
    for part in torch.split(rows, _ROWS):
        yield points.take(part).cost_features


def n_points(points: Atoms | FiniteMarginal) -> int:
    """Number of points."""
    return len(points if isinstance(points, Tensor) else points.masses)


def sample_chunks(source: Marginal, n: int, generator: torch.Generator) -> Iterator[Tensor]:
    """`n` points of a law, some at a time."""
    for start in range(0, n, _ROWS):
        yield source.sample(min(_ROWS, n - start), generator).cost_features


def fingerprint(points: Atoms | FiniteMarginal) -> str:
    """Digest of the number, precision and coordinates of the points, 16 hexadecimal digits."""
    digest = hashlib.sha256(str(n_points(points)).encode())
    for block in iter_chunks(points):
        digest.update(f"{tuple(block.shape)} {block.dtype}".encode())
        digest.update(as_bytes(block))
    return digest.hexdigest()[:16]


def mean_of(points: Atoms | FiniteMarginal, device: torch.device) -> Coordinates:
    """Mean of the points, shape (f,), summed in double precision."""
    total: Tensor | float = 0.0
    for block in iter_chunks(points, device):
        total = total + block.mean(dim=0).cpu().double() * len(block)
    assert isinstance(total, Tensor)
    return (total / n_points(points)).to(device=device, dtype=block.dtype)


def principal_axes(points: Atoms | FiniteMarginal, origin: Coordinates, k: int) -> Basis:
    """Orthonormal directions of the largest spread around `origin`, the largest first.

    Raises
    ------
    InputError
        If the points have fewer dimensions.
    """
    if k > len(origin):
        raise InputError(f"cost_dim={k} is more than the {len(origin)} dimensions of the points")
    gram = torch.zeros(len(origin), len(origin), dtype=torch.float64)
    for block in iter_chunks(points, origin.device):
        gram += ((block - origin).T @ (block - origin)).cpu()
    vectors = torch.linalg.eigh(gram).eigenvectors
    return vectors.T.flip(0)[:k].to(origin).contiguous()


def on_axes(x: Features, origin: Coordinates, basis: Basis | None) -> Tensor:
    """Rows measured from the origin, on the basis where there is one."""
    x = x.to(origin.dtype) - origin
    return x if basis is None else x @ basis.T


def centred(
    points: Atoms | FiniteMarginal, origin: Coordinates, basis: Basis | None
) -> Float[Tensor, "N k"]:
    """All points `on_axes`: the one matrix of numbers that is made of them."""
    shape = n_points(points), len(origin if basis is None else basis)
    whole, start = origin.new_empty(shape), 0
    for block in iter_chunks(points, origin.device):
        whole[start : start + len(block)] = on_axes(block, origin, basis)
        start += len(block)
    return whole
