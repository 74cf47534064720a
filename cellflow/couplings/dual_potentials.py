"""Dual potentials of semidiscrete optimal transport, their evaluation and their file."""

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
from cellflow._files import parse_json, reraise_as_file_error
from cellflow._tensors import check_digest, read_tensors, write_tensors
from cellflow._typing import Rows, Scalar
from cellflow.couplings.atoms import (
    Atoms,
    Basis,
    Coordinates,
    Features,
    fingerprint,
    mean_point,
    n_points,
    principal_axes,
    project,
    project_points,
)

Values = Float[Tensor, " N"]
Indices = Int[Tensor, " n"]

_TENSORS = ("atoms", "origin", "g", "masses", "basis")
_VALUES = ("epsilon", "fingerprint", "reached", "n_steps", "chunk")

#: Version of the file, and earlier ones that are recognised but not read.
_FORMAT = "cellflow-potentials-3"
_EARLIER_FORMATS = ("cellflow-potentials-1", "cellflow-potentials-2")


@dataclass(frozen=True, eq=False)
class Potentials:
    """Dual potentials of optimal transport from a continuous source to finitely many atoms.

    The score of atom y_j at x is g_j + <x, y_j>. A point is assigned to the atom of the highest
    score or, with entropy, to atom j with probability proportional to b_j exp(score_j / epsilon).
    The assignment is optimal for the cost -<x, y>, and so for squared distances, if the mass
    assigned to each atom equals its mass b_j (Mousavi-Hosseini et al. 2025, arXiv 2509.25519).
    Coordinates are measured from the mean of the atoms, which only improves the rounding. Scores
    are computed tile by tile; the matrix of all points and atoms is never held.

    With a basis, costs are those of the projections on it. It is orthonormal, so projected standard
    normal noise is standard normal; points and atoms are projected from the same origin.

    Attributes
    ----------
    atoms
        The atoms minus `origin`, shape (N, f), or, on a basis, (N, k).
    origin
        Mean of the atoms, shape (f,).
    g
        Dual potentials, shape (N,), for the cost -<x, y>; -inf at atoms without mass. For the
        squared distance they are 2 g + |y|^2, with twice the epsilon.
    masses
        Masses b of the atoms, shape (N,), summing to one.
    epsilon
        Entropic regularisation, in units of <x, y>; 0 for none.
    fingerprint
        Digest of the atoms in their original coordinates, by `atoms.fingerprint`.
    reached
        Value of `chi_squared` at the end of the optimisation; NaN before one.
    n_steps
        Steps of the optimisation.
    chunk
        Number of atoms scored at a time.
    basis
        Orthonormal rows, shape (k, f), that costs are computed on; None for all coordinates.
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
        """Return potentials g = 0.

        Parameters
        ----------
        atoms
            Target points, shape (N, f), or the target marginal.
        masses
            Masses of the atoms, shape (N,), any positive scale; None for equal masses.
        epsilon
            Entropic regularisation, in units of <x, y>.
        chunk
            Number of atoms scored at a time.
        cost_dim
            Compute costs on this many principal components of the atoms; None for all coordinates.
        device
            Device of the potentials; None uses that of the atoms.
        """
        if device is None:
            device = (atoms if isinstance(atoms, Tensor) else atoms.masses).device
        origin = mean_point(atoms, device)
        masses = origin.new_ones(n_points(atoms)) if masses is None else masses.to(origin)
        masses = masses / masses.sum()
        basis = None if cost_dim is None else principal_axes(atoms, origin, cost_dim)
        g = torch.zeros_like(masses).masked_fill(masses == 0, -torch.inf)
        points, digest = project_points(atoms, origin, basis), fingerprint(atoms)
        return cls(points, origin, g, masses, epsilon, digest, chunk=chunk, basis=basis)

    def assign(self, x: Features) -> Indices:
        """Return the atom of the highest score for each point, shape (n,)."""
        return torch.cat([self._best(rows) for rows in self.tiles(x)])

    def draw(self, x: Features, generator: torch.Generator) -> Indices:
        """Draw an atom for each point, shape (n,); without entropy that of the highest score."""
        if self.epsilon == 0:
            return self.assign(x)
        u = torch.rand(len(x), generator=generator, device=x.device, dtype=x.dtype)
        tiles = zip(self.tiles(x), torch.split(u, self._tile_rows), strict=True)
        return torch.cat([self._at_quantile(rows, quantiles) for rows, quantiles in tiles])

    def marginal(self, x: Features) -> Values:
        """Return the mass assigned to each atom from equally weighted points, shape (N,)."""
        return self._total(x, x.new_full((len(x),), 1 / len(x)))

    def semidual(self, x: Features) -> Scalar:
        """Estimate the semidual objective from points of the source.

        Its maximum over g is the optimal transport cost: the mean of -<x, y>, both measured from
        `origin`, plus epsilon times the divergence of the plan from the product of its marginals.
        """
        heavy = self.masses > 0
        if self.epsilon == 0:
            assigned = self.assign(x)
            best = (self.coordinates(x) * self.atoms[assigned]).sum(dim=1) + self.g[assigned]
        else:
            sums = [self._log_sums(rows).logsumexp(dim=1) for rows in self.tiles(x)]
            best = self.epsilon * torch.cat(sums)
        return self.masses[heavy] @ self.g[heavy] - best.mean()

    def chi_squared(self, x: Features, weights: Rows | None = None) -> float:
        """Return the chi-squared divergence of the assigned masses from the atoms' masses.

        With s_ij the share of point i assigned to atom j, the estimate is
        sum_j ((sum_i s_ij)^2 - sum_i s_ij^2) / (b_j n (n - 1)) - 1. It is unbiased for independent
        points, so it can be negative. With `weights`, summing to one, the points are the entire
        source and the value is exact.
        """
        if weights is not None:
            return self._over_masses(self._total(x, weights).square()) - 1
        return self.chi_squared_over([x])

    def chi_squared_over(self, batches: Iterable[Features]) -> float:
        """Estimate `chi_squared` from independent points that arrive in batches."""
        n, sums, squares = 0, torch.zeros_like(self.g), torch.zeros_like(self.g)
        for x in batches:
            ones = self.g.new_ones(len(x))
            total = self._total(x, ones)
            n, sums = n + len(x), sums + total
            squares += total if self.epsilon == 0 else self._total(x, ones, power=2)
        if n < 2:
            raise InputError(f"chi-squared requires at least 2 points, got {n}")
        return self._over_masses(sums.square() - squares) / (n * (n - 1)) - 1

    def normalised_entropy(self, shares: Values) -> float:
        """Return the normalised entropy of the atoms' shares: 1 if uniform, 0 for a single atom.

        Shares estimated from few points per atom lower it by chance.
        """
        n_atoms = int((self.masses > 0).sum())
        entropy = float(torch.special.entr(shares).sum())
        return entropy / math.log(n_atoms) if n_atoms > 1 else 1.0

    def check_atoms(self, atoms: Atoms | FiniteMarginal, masses: Values) -> None:
        """Raise `InputError` unless atoms and masses are those the potentials were fitted to."""
        digest = fingerprint(atoms)
        if digest != self.fingerprint:
            raise InputError(
                f"these potentials were fitted to other atoms: {len(self.atoms)} with fingerprint "
                f"{self.fingerprint}, got {n_points(atoms)} with {digest}; fit them again"
            )
        masses = masses.to(self.masses.device)
        shares = (masses / masses.sum()).to(self.masses.dtype)
        if not torch.allclose(shares, self.masses, rtol=1e-4, atol=0):
            raise InputError(
                "these potentials were fitted to the same atoms with other masses; fit them again"
            )

    def to(self, device: torch.device | str) -> Potentials:
        """Return a copy on `device`."""
        moved: dict[str, Any] = {name: each.to(device) for name, each in self._tensors.items()}
        return replace(self, **moved)

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write one safetensors file, atomically.

        Raises
        ------
        FileError
            If `path` exists and `overwrite` is False, or if it cannot be written.
        """
        values = {name: getattr(self, name) for name in _VALUES}
        texts = {"format": _FORMAT, "values": json.dumps(values, sort_keys=True)}
        write_tensors(Path(path), self._tensors, texts, overwrite=overwrite)

    @classmethod
    def load(cls, path: str | Path, device: torch.device | str = "cpu") -> Potentials:
        """Read potentials written by `save`.

        Raises
        ------
        FileError
            If the file is missing, damaged, of an earlier version or of another kind.
        """
        tensors, values = _read(Path(path))
        return cls(**{**values, **tensors}).to(device)

    @property
    def _tensors(self) -> dict[str, Tensor]:
        tensors = {name: getattr(self, name) for name in _TENSORS}
        return {name: tensor for name, tensor in tensors.items() if tensor is not None}

    def _total(self, x: Features, weights: Rows, power: int = 1) -> Values:
        """Return sum_i w_i s_ij^power, shape (N,), s_ij the share of point i assigned to j."""
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
        # On a CPU a tile of scores should fit into the cache.
        scores = 2**19 if self.atoms.device.type == "cpu" else 2**26
        return max(1, scores // min(len(self.atoms), self.chunk))

    def coordinates(self, x: Features) -> Float[Tensor, "n k"]:
        """Return the points relative to the origin, projected on the basis if there is one."""
        return project(x, self.origin, self.basis)

    def tiles(self, x: Features) -> Iterator[Float[Tensor, "m k"]]:
        """Yield coordinates of consecutive points, divided by epsilon if it is positive."""
        for rows in torch.split(x, self._tile_rows):
            yield self.coordinates(rows) / (self.epsilon or 1.0)

    def chunks(self) -> list[slice]:
        """Return the slices of atoms that are scored at a time."""
        return [slice(k, k + self.chunk) for k in range(0, len(self.atoms), self.chunk)]

    def scores(self, rows: Features, atoms: slice) -> Tensor:
        """Return the scores of some atoms, shape (n, k).

        With entropy they are log-shares up to a constant per row.
        """
        g = self.g[atoms]
        if self.epsilon:
            g = g / self.epsilon + self.masses[atoms].log()
        return torch.addmm(g, rows, self.atoms[atoms].T)

    def _best(self, rows: Features) -> Indices:
        best = rows.new_full((len(rows),), -torch.inf)
        index = torch.zeros(len(rows), dtype=torch.long, device=rows.device)
        for atoms in self.chunks():
            scores = self.scores(rows, atoms)
            highest = _row_argmax(scores)
            value = scores.gather(1, highest[:, None])[:, 0]
            index = torch.where(value > best, highest + atoms.start, index)
            best = torch.maximum(value, best)
        return index

    def _log_sums(self, rows: Features) -> Tensor:
        """Return the log-sum-exp of the scores over each chunk of atoms, shape (n, chunks)."""
        return torch.stack(
            [self.scores(rows, atoms).logsumexp(dim=1) for atoms in self.chunks()], dim=1
        )

    def shares(self, rows: Features) -> Iterator[tuple[slice, Tensor]]:
        """Yield each chunk of atoms with the shares of the points assigned to it, shape (n, k)."""
        chunks = self.chunks()
        if len(chunks) == 1:
            yield chunks[0], self.scores(rows, chunks[0]).softmax(dim=1)
            return
        total = self._log_sums(rows).logsumexp(dim=1, keepdim=True)
        for atoms in chunks:
            yield atoms, self.scores(rows, atoms).sub_(total).exp_()

    def _at_quantile(self, rows: Features, u: Rows) -> Indices:
        """Return the atom at quantile `u` of each point's shares, independent of chunking."""
        sums = self._log_sums(rows)
        total = sums.logsumexp(dim=1, keepdim=True)
        chosen, before = _row_quantile((sums - total).exp(), u)
        index = torch.empty_like(chosen)
        for k, atoms in enumerate(self.chunks()):
            here = torch.nonzero(chosen == k)[:, 0]
            shares = (self.scores(rows[here], atoms) - total[here]).exp()
            index[here] = _row_quantile(shares, (u - before)[here])[0] + atoms.start
        return index


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    tensors, metadata = read_tensors(path, "potentials")
    if metadata.get("format") in _EARLIER_FORMATS:
        raise FileError(
            f"{path} has potentials of an earlier version of cellflow; delete it to fit them again"
        )
    if metadata.get("format") != _FORMAT:
        raise FileError(f"{path} is not a file of semidiscrete potentials of this version")
    check_digest(path, tensors, metadata)
    _check_shapes(path, tensors)
    with reraise_as_file_error(f"{path} does not describe potentials"):
        return tensors, dict(parse_json(metadata["values"]))


def _check_shapes(path: Path, tensors: Mapping[str, Tensor]) -> None:
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    n, k = (*shapes.get("atoms", ()), None, None)[:2]
    (f,) = (*shapes.get("origin", ()), None)[:1]
    expected: dict[str, Any] = {"atoms": (n, k), "origin": (f,), "g": (n,), "masses": (n,)}
    if "basis" in shapes:
        expected["basis"] = (k, f)
    if shapes != expected or ("basis" not in shapes and k != f):
        raise FileError(
            f"{path} is not a file of semidiscrete potentials: its tensors are {shapes}"
        )


def _row_argmax(scores: Tensor) -> Tensor:
    """Return the column of the highest score of each row, shape (n,)."""
    # On a CPU, torch needs longer to find the maxima than to multiply the matrices.
    if scores.device.type == "cpu":
        return torch.from_numpy(scores.detach().numpy().argmax(axis=1))
    return scores.argmax(dim=1)


def _row_quantile(shares: Tensor, u: Rows) -> tuple[Tensor, Rows]:
    """Return the column at which each row's cumulative share exceeds `u`, and the sum before it."""
    sums = shares.cumsum(dim=1)
    index = torch.searchsorted(sums, u[:, None], right=True)[:, 0]
    # If rounding leaves the total below `u`, take the last column with a positive share.
    index = index.minimum(sums.argmax(dim=1))
    return index, (sums - shares).gather(1, index[:, None])[:, 0]
