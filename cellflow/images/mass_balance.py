"""What the atoms get of fresh points, beside what they would get by chance alone."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from cellflow._batch import Marginal
from cellflow._errors import InputError
from cellflow.couplings.atoms import fresh
from cellflow.couplings.potentials import Potentials, Values


@dataclass(frozen=True)
class Census:
    """How evenly fresh points go to the atoms.

    Attributes
    ----------
    n
        Points drawn.
    chi_squared
        Unbiased chi-squared of what the atoms take from their masses; it can be negative.
    entropy
        Entropy of the hits, 1 where all atoms have the same number of them.
    never
        Share of the atoms with mass that no point went to.
    entropy_by_chance, never_by_chance
        The same two of as many points that go to atoms by their masses: one such draw, and what is
        expected.
    """

    n: int
    chi_squared: float
    entropy: float
    never: float
    entropy_by_chance: float
    never_by_chance: float


def census(potentials: Potentials, source: Marginal, n: int, generator: torch.Generator) -> Census:
    """Send `n` fresh points of the source to their atoms, as in training, and count.

    With h_j hits, chi-squared is sum_j h_j (h_j - 1) / (b_j n (n - 1)) - 1, unbiased with and
    without entropy.
    """
    if n < 2:
        raise InputError(f"a census needs at least 2 points, got {n}")
    masses, heavy = potentials.masses, potentials.masses > 0
    hits = torch.zeros_like(masses)
    for x in fresh(source, n, generator):
        hits += torch.bincount(potentials.draw(x, generator), minlength=len(hits))
    pairs = (hits * (hits - 1))[heavy].double() / masses[heavy]
    return Census(
        n,
        float(pairs.sum()) / (n * (n - 1)) - 1,
        potentials.entropy_of(hits / n),
        float((hits[heavy] == 0).double().mean()),
        potentials.entropy_of(_by_chance(masses, n, generator) / n),
        float((1 - masses[heavy].double()).pow(n).mean()),
    )


def _by_chance(masses: Values, n: int, generator: torch.Generator) -> Values:
    """Hits of `n` points that go to atoms by their masses."""
    marks = torch.rand(n, generator=generator, device=masses.device, dtype=torch.float64)
    heavy = torch.nonzero(masses > 0)[:, 0]
    edges = masses[heavy].double().cumsum(0)
    there = torch.bucketize(marks, edges[:-1] / edges[-1], right=True)
    return torch.zeros_like(masses).index_add_(0, heavy[there], masses.new_ones(n))
