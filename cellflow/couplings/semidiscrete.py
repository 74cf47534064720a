"""Semidiscrete optimal transport: potentials are fitted once, then pairs are looked up (SD-FM)."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from cellflow._batch import FiniteMarginal, Interval, Marginal, Pairs
from cellflow.couplings.atoms import iter_chunks
from cellflow.couplings.coupling import Coupling
from cellflow.couplings.dual_potentials import Potentials
from cellflow.transport import Plan

#: Share of a source point's mass below which `potentials_plan` drops an entry.
_MIN_SHARE = 1e-4


@dataclass(frozen=True)
class SemidiscreteCoupling(Coupling):
    """Optimal transport from a continuous source to all points of the target.

    To draw a pair, a source point is scored against all target points; no transport problem is
    solved during training (Mousavi-Hosseini et al. 2025, arXiv 2509.25519).

    Attributes
    ----------
    source, target
        The two marginals; the points of the target are the atoms.
    interval
        Flow times of source and target.
    potentials
        Dual potentials of the atoms for this source, by `fit_potentials`.
    """

    source: Marginal
    target: FiniteMarginal
    interval: Interval
    potentials: Potentials

    def __post_init__(self) -> None:
        self.potentials.check_atoms(self.target, self.target.masses)

    def sample(self, n: int, generator: torch.Generator) -> Pairs:
        """Draw `n` source points and the atom that each is assigned to."""
        source = self.source.sample(n, generator)
        partners = self.potentials.draw(source.cost_features, generator)
        return Pairs.over(self.interval, source, self.target.take(partners))


def potentials_plan(potentials: Potentials, source: FiniteMarginal) -> Plan:
    """Return the transport plan of a finite source under its potentials.

    The plan is computed once, at the cost of a few dozen batches; pairs are then drawn from the
    stored entries. Entries below 1e-4 of a source point's mass are dropped and the rest of
    the row is rescaled to that mass, so that memory is proportional to the remaining entries.
    """
    potentials, cpu = potentials.to("cpu"), torch.device("cpu")
    masses = source.masses.cpu()
    if potentials.epsilon == 0:
        assigned = torch.cat([potentials.assign(x) for x in iter_chunks(source, cpu)])
        rows = torch.arange(len(masses))
        return Plan(rows.numpy(), assigned.numpy(), masses.double().numpy())
    entries, start = [], 0
    for x in iter_chunks(source, cpu):
        for tile in potentials.tiles(x):
            for atoms, shares in potentials.shares(tile):
                row, column = torch.nonzero(shares > _MIN_SHARE, as_tuple=True)
                entries.append((row + start, column + atoms.start, shares[row, column].double()))
            start += len(tile)
    rows, columns, mass = (torch.cat(each) for each in zip(*entries, strict=True))
    order = torch.argsort(rows, stable=True)
    rows, columns, mass = rows[order], columns[order], mass[order]
    row_sums = torch.zeros(len(masses), dtype=mass.dtype).index_add_(0, rows, mass)
    return Plan(rows.numpy(), columns.numpy(), (mass / row_sums[rows] * masses[rows]).numpy())
