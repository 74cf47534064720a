"""Potentials of semidiscrete transport: one number for each atom says which points it takes."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from cellflow._batch import FiniteMarginal
from cellflow._errors import FileError, InputError
from cellflow._tensors import check_digest, read_tensors, write_tensors
from cellflow._typing import Rows, Scalar
from cellflow.couplings.atoms import (
    Atoms,
    Basis,
    Coordinates,
    Features,
    centred,
    fingerprint,
    mean_of,
    n_points,
    on_axes,
    principal_axes,
)

Values = Float[Tensor, " N"]
Indices = Int[Tensor, " n"]

_TENSORS = ("atoms", "origin", "g", "masses", "basis")
_VALUES = ("epsilon", "fingerprint", "reached", "n_steps", "chunk")


@dataclass(frozen=True, eq=False)
class Potentials:
    """Which atoms the points of a continuous law go to, in optimal transport to finitely many.

    With the score of atom y_j at x, g_j + <x, y_j>, a point goes to the atom of the highest score
    or, with entropy, to atom j in proportion to b_j exp(score_j / epsilon). This is optimal for
    the cost -<x, y>, and so for squared distances, if the atoms take their masses b
    (Mousavi-Hosseini et al. 2025, arXiv 2509.25519). Coordinates are measured from the mean of
    the atoms, which changes nothing but the rounding. Scores are made tile by tile; the matrix of
    all points and atoms is never held.

    With a basis, costs are those of the projections on it. It is orthonormal, so projected standard
    normal noise is standard normal, and points and atoms are projected from the same origin.

    Attributes
    ----------
    atoms
        The atoms, less `origin`, shape (N, f), or, on a basis, (N, k).
    origin
        Their mean, shape (f,).
    g
        Potentials, shape (N,), for the cost -<x, y>; -inf at atoms without mass. Those for the
        squared distance are 2 g + |y|^2, and their epsilon is twice this one.
    masses
        Masses b of the atoms, shape (N,), which sum to one.
    epsilon
        Strength of the entropy, in the units of <x, y>.
    fingerprint
        Digest of the atoms as they were given.
    reached
        Chi-squared, by `chi_squared`, at the end of the optimisation.
    n_steps
        Steps that it took.
    chunk
        Atoms scored at a time.
    basis
        Orthonormal rows, shape (k, f), that costs are taken on; None takes the points as they are.
    """

    atoms: Float[Tensor, "N k"]
    origin: Coordinates
    g: Values
    masses: Values
    epsilon: float
    fingerprint: str
    reached: float = float("nan")
    n_steps: int = 0
    chunk: int = 8192
    basis: Basis | None = None

    @classmethod
    def of(
        cls,
        atoms: Atoms | FiniteMarginal,
        masses: Values | None = None,
        epsilon: float = 0.0,
        chunk: int = 8192,
        *,
        cost_dim: int | None = None,
        device: torch.device | None = None,
    ) -> Potentials:
        """Start from g = 0 for atoms (N, f) with masses (N,) of any scale, None for equal ones.

        With `cost_dim`, costs are taken on that many principal components of the atoms.
        """
        if device is None:
            device = (atoms if isinstance(atoms, Tensor) else atoms.masses).device
        origin = mean_of(atoms, device)
        masses = origin.new_ones(n_points(atoms)) if masses is None else masses.to(origin)
        masses = masses / masses.sum()
        basis = None if cost_dim is None else principal_axes(atoms, origin, cost_dim)
        g = torch.zeros_like(masses).masked_fill(masses == 0, -torch.inf)
        points, digest = centred(atoms, origin, basis), fingerprint(atoms)
        return cls(points, origin, g, masses, epsilon, digest, chunk=chunk, basis=basis)

    def assign(self, x: Features) -> Indices:
        """Atom of the highest score for each row."""
        return torch.cat([self._best(rows) for rows in self.tiles(x)])

    def draw(self, x: Features, generator: torch.Generator) -> Indices:
        """Draw an atom for each row; without entropy it is that of the highest score."""
        if self.epsilon == 0:
            return self.assign(x)
        u = torch.rand(len(x), generator=generator, device=x.device, dtype=x.dtype)
        tiles = zip(self.tiles(x), torch.split(u, self._tile_rows), strict=True)
        return torch.cat([self._at_quantile(rows, marks) for rows, marks in tiles])

    def marginal(self, x: Features) -> Values:
        """Mass that each atom takes of equally heavy rows, shape (N,)."""
        return self._total(x, x.new_full((len(x),), 1 / len(x)))

    def semidual(self, x: Features) -> Scalar:
        """Value of the semidual estimated from the rows; its maximum over g is the cost of OT.

        That is the mean of -<x, y>, with both measured from `origin`, plus epsilon times the
        divergence of the plan from the product of its marginals.
        """
        heavy = self.masses > 0
        if self.epsilon == 0:
            taken = self.assign(x)
            best = (self.coordinates(x) * self.atoms[taken]).sum(dim=1) + self.g[taken]
        else:
            sums = [self._log_sums(rows).logsumexp(dim=1) for rows in self.tiles(x)]
            best = self.epsilon * torch.cat(sums)
        return self.masses[heavy] @ self.g[heavy] - best.mean()

    def chi_squared(self, x: Features, weights: Rows | None = None) -> float:
        """Chi-squared divergence of what the atoms take from their masses.

        Unbiased from independent rows, so it can be negative: with s_ij the share of row i that
        goes to atom j it is sum_j ((sum_i s_ij)^2 - sum_i s_ij^2) / (b_j n (n - 1)) - 1. With
        `weights`, which sum to one, the rows are all points of the source and it is exact.
        """
        if weights is not None:
            return self._over_masses(self._total(x, weights).square()) - 1
        return self.chi_squared_over([x])

    def chi_squared_over(self, batches: Iterable[Features]) -> float:
        """The same from independent rows that come in parts."""
        n, sums, squares = 0, torch.zeros_like(self.g), torch.zeros_like(self.g)
        for x in batches:
            ones = self.g.new_ones(len(x))
            total = self._total(x, ones)
            n, sums = n + len(x), sums + total
            squares += total if self.epsilon == 0 else self._total(x, ones, power=2)
        if n < 2:
            raise InputError(f"chi-squared needs at least 2 points, got {n}")
        return self._over_masses(sums.square() - squares) / (n * (n - 1)) - 1

    def entropy_of(self, taken: Values) -> float:
        """Entropy of the shares that the atoms take, as a share of its highest value.

        It is 1 where all atoms take the same and 0 where one takes all; shares of few points an
        atom lower it by chance.
        """
        n_atoms = int((self.masses > 0).sum())
        entropy = float(torch.special.entr(taken).sum())
        return entropy / math.log(n_atoms) if n_atoms > 1 else 1.0

    def check_atoms(self, atoms: Atoms | FiniteMarginal, masses: Values) -> None:
        """Refuse atoms or masses other than those that the potentials were made for."""
        digest = fingerprint(atoms)
        if digest != self.fingerprint:
            raise InputError(
                f"these potentials belong to other atoms: {len(self.atoms)} with fingerprint "
                f"{self.fingerprint}, got {n_points(atoms)} with {digest}"
            )
        masses = masses.to(self.masses.device)
        shares = (masses / masses.sum()).to(self.masses.dtype)
        if not torch.allclose(shares, self.masses, rtol=1e-4, atol=0):
            raise InputError("these potentials belong to the same atoms with other masses")

    def to(self, device: torch.device | str) -> Potentials:
        """Return the same potentials on `device`."""
        moved: dict[str, Any] = {name: each.to(device) for name, each in self._tensors.items()}
        return replace(self, **moved)

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write one safetensors file, whole or not at all.

        Raises
        ------
        FileError
            If `path` exists and may not be overwritten, or cannot be written.
        """
        values = {name: getattr(self, name) for name in _VALUES}
        write(Path(path), self._tensors, values, overwrite=overwrite)

    @classmethod
    def load(cls, path: str | Path, device: torch.device | str = "cpu") -> Potentials:
        """Read potentials that `save` wrote.

        Raises
        ------
        FileError
            For a file that is missing, damaged, of an earlier version or of another kind.
        """
        tensors, values = read(Path(path))
        return cls(**{**values, **tensors}).to(device)

    @property
    def _tensors(self) -> dict[str, Tensor]:
        named = {name: getattr(self, name) for name in _TENSORS}
        return {name: tensor for name, tensor in named.items() if tensor is not None}

    def _total(self, x: Features, weights: Rows, power: int = 1) -> Values:
        """Sums over the rows of w_i s_ij^power, s_ij the share of row i that atom j takes."""
        total = torch.zeros_like(self.g)
        if self.epsilon == 0:
            return total.index_add_(0, self.assign(x), weights)
        for rows, w in zip(self.tiles(x), torch.split(weights, self._tile_rows), strict=True):
            for atoms, shares in self.shares(rows):
                total[atoms] += w @ (shares if power == 1 else shares.pow(power))
        return total

    def _over_masses(self, values: Values) -> float:
        heavy = self.masses > 0
        return float((values[heavy] / self.masses[heavy]).sum())

    @property
    def _tile_rows(self) -> int:
        # What the cache of a CPU holds, so that memory does not slow the products down.
        scores = 2**19 if self.atoms.device.type == "cpu" else 2**26
        return max(1, scores // min(len(self.atoms), self.chunk))

    def coordinates(self, x: Features) -> Float[Tensor, "n k"]:
        """Rows as costs see them: measured from the origin, on the basis where there is one."""
        return on_axes(x, self.origin, self.basis)

    def tiles(self, x: Features) -> Iterator[Float[Tensor, "m k"]]:
        """Coordinates of a tile each, in units of epsilon where it is > 0."""
        for rows in torch.split(x, self._tile_rows):
            yield self.coordinates(rows) / (self.epsilon or 1.0)

    def chunks(self) -> list[slice]:
        """Atoms that are scored at a time."""
        return [slice(k, k + self.chunk) for k in range(0, len(self.atoms), self.chunk)]

    def scores(self, rows: Features, atoms: slice) -> Tensor:
        """Scores of some atoms; with entropy, the logarithms of their shares but for a constant."""
        g = self.g[atoms]
        if self.epsilon:
            g = g / self.epsilon + self.masses[atoms].log()
        return torch.addmm(g, rows, self.atoms[atoms].T)

    def _best(self, rows: Features) -> Indices:
        best = rows.new_full((len(rows),), -torch.inf)
        index = torch.zeros(len(rows), dtype=torch.long, device=rows.device)
        for atoms in self.chunks():
            scores = self.scores(rows, atoms)
            there = argmax(scores)
            value = scores.gather(1, there[:, None])[:, 0]
            index = torch.where(value > best, there + atoms.start, index)
            best = torch.maximum(value, best)
        return index

    def _log_sums(self, rows: Features) -> Tensor:
        """Logarithm of the sum of exp(score) over each chunk, shape (n, chunks)."""
        return torch.stack(
            [self.scores(rows, atoms).logsumexp(dim=1) for atoms in self.chunks()], dim=1
        )

    def shares(self, rows: Features) -> Iterator[tuple[slice, Tensor]]:
        """Rows of the plan, chunk by chunk."""
        chunks = self.chunks()
        if len(chunks) == 1:
            yield chunks[0], self.scores(rows, chunks[0]).softmax(dim=1)
            return
        total = self._log_sums(rows).logsumexp(dim=1, keepdim=True)
        for atoms in chunks:
            yield atoms, self.scores(rows, atoms).sub_(total).exp_()

    def _at_quantile(self, rows: Features, u: Rows) -> Indices:
        """Atoms at the quantiles `u` of the rows' laws, whatever the chunks are."""
        sums = self._log_sums(rows)
        total = sums.logsumexp(dim=1, keepdim=True)
        chosen, before = quantile((sums - total).exp(), u)
        index = torch.empty_like(chosen)
        for k, atoms in enumerate(self.chunks()):
            here = torch.nonzero(chosen == k)[:, 0]
            shares = (self.scores(rows[here], atoms) - total[here]).exp()
            index[here] = quantile(shares, (u - before)[here])[0] + atoms.start
        return index


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


def argmax(scores: Tensor) -> Tensor:
    """Column of the highest score of each row."""
    # On a CPU, torch takes longer to find the maxima than to multiply the matrices.
    if scores.device.type == "cpu":
        return torch.from_numpy(scores.detach().numpy().argmax(axis=1))
    return scores.argmax(dim=1)


def quantile(shares: Tensor, marks: Rows) -> tuple[Tensor, Rows]:
    """Index at which the sum of a row's shares passes its mark, and the sum before it."""
    sums = shares.cumsum(dim=1)
    index = torch.searchsorted(sums, marks[:, None], right=True)[:, 0]
    # Where rounding leaves the whole sum below the mark, the last entry with a share is taken.
    index = index.minimum(sums.argmax(dim=1))
    return index, (sums - shares).gather(1, index[:, None])[:, 0]
