"""Semidiscrete transport: the potentials of all atoms are found once, then pairs are looked up."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from cellflow._batch import FiniteMarginal, Interval, Marginal, Pairs
from cellflow.couplings.atoms import iter_chunks
from cellflow.couplings.coupling import Coupling
from cellflow.couplings.dual_potentials import Potentials
from cellflow.transport import Plan

#: Share of a point's mass below which an entry of a plan is left out.
_TINY_SHARE = 1e-4


@dataclass(frozen=True)
class SemidiscreteCoupling(Coupling):
    """Transport of a source to all atoms of the target, SD-FM.

    Each pair costs one product of a source point with all atoms, and no transport problem is
    solved in training (Mousavi-Hosseini et al. 2025, arXiv 2509.25519).

    Attributes
    ----------
    source, target
        The two marginals; all points of the target are its atoms.
    interval
        Flow times of source and target.
    potentials
        Those of the target's points from this source, by `fit_potentials`.
    """

    source: Marginal
    target: FiniteMarginal
    interval: Interval
    potentials: Potentials

    def __post_init__(self) -> None:
        self.potentials.check_atoms(self.target, self.target.masses)

    def sample(self, n: int, generator: torch.Generator) -> Pairs:
        """Draw `n` points of the source and look their partners up."""
        source = self.source.sample(n, generator)
        partners = self.potentials.draw(source.cost_features, generator)
        return Pairs.over(self.interval, source, self.target.take(partners))


def finite_plan(potentials: Potentials, source: FiniteMarginal) -> Plan:
    """Plan of a finite source by its potentials, so that pairs need no look-up in training.

    One pass over all points of the source, as many products as a few dozen batches take. Shares
    under 1e-4 of a point's mass are left out and the rest of its row scaled to its mass, so memory
    is that of the entries that matter.
    """
    potentials, cpu = potentials.to("cpu"), torch.device("cpu")
    masses = source.masses.cpu()
    if potentials.epsilon == 0:
        taken = torch.cat([potentials.assign(x) for x in iter_chunks(source, cpu)])
        return Plan(torch.arange(len(masses)).numpy(), taken.numpy(), masses.double().numpy())
    parts, start = [], 0
    for x in iter_chunks(source, cpu):
        for tile in potentials.tiles(x):
            for atoms, shares in potentials.shares(tile):
                row, column = torch.nonzero(shares > _TINY_SHARE, as_tuple=True)
                parts.append((row + start, column + atoms.start, shares[row, column].double()))
            start += len(tile)
    rows, columns, mass = (torch.cat(each) for each in zip(*parts, strict=True))
    order = torch.argsort(rows, stable=True)
    rows, columns, mass = rows[order], columns[order], mass[order]
    held = torch.zeros(len(masses), dtype=mass.dtype).index_add_(0, rows, mass)
    return Plan(rows.numpy(), columns.numpy(), (mass / held[rows] * masses[rows]).numpy())
