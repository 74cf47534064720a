"""Potentials of few atoms with known optima, and noise sources."""

from dataclasses import replace
from statistics import NormalDist

import torch

from cellflow.couplings.dual_potentials import Potentials
from cellflow.marginals import Gaussian
from tests.seeds import randn, seeded

F64 = torch.float64
NORMAL = NormalDist()
#: g1 - g2 of two atoms at -1 and 1 with masses 0.7 and 0.3 and a standard normal source.
TWO_ATOMS = {0.0: 2 * NORMAL.inv_cdf(0.7), 0.1: 0.968366, 0.5: 0.723870}


def noise(d: int) -> Gaussian:
    return Gaussian(torch.zeros(1, d, dtype=F64))


def quantiles(n: int = 20_001) -> torch.Tensor:
    """Return equally weighted quantiles of the standard normal distribution."""
    return torch.tensor([[NORMAL.inv_cdf((k + 0.5) / n)] for k in range(n)], dtype=F64)


def two_atoms(epsilon: float) -> Potentials:
    """Return the optimal potentials of `TWO_ATOMS`."""
    atoms, masses = torch.tensor([[-1.0], [1.0]], dtype=F64), torch.tensor([0.7, 0.3], dtype=F64)
    return replace(
        Potentials.of(atoms, masses, epsilon), g=torch.tensor([TWO_ATOMS[epsilon], 0], dtype=F64)
    )


def on_the_line(n_atoms: int, seed: int = 0) -> Potentials:
    """Return optimal potentials in one dimension: sorted atoms receive quantile ranges."""
    atoms = randn(n_atoms, 1, seed=seed).sort(dim=0).values
    blank = Potentials.of(atoms, torch.rand(n_atoms, generator=seeded(seed), dtype=F64) + 0.1)
    edges = blank.masses.cumsum(0)[:-1].tolist()
    borders = torch.tensor([NORMAL.inv_cdf(edge) for edge in edges], dtype=F64)
    # Where x passes a border both scores are equal: g falls by x times the step between atoms.
    falls = (borders - blank.origin) * blank.atoms[:, 0].diff()
    g = torch.cat([torch.zeros(1, dtype=F64), -falls.cumsum(0)])
    return replace(blank, g=g - blank.masses @ g)


def random_potentials(seed: int, n_atoms: int, d: int, epsilon: float) -> Potentials:
    masses = torch.rand(n_atoms, generator=seeded(seed), dtype=F64) + 0.05
    blank = Potentials.of(randn(n_atoms, d, seed=seed), masses, epsilon)
    return replace(blank, g=randn(n_atoms, seed=seed + 1))
