"""What atoms get of fresh points, against what is known of it."""

import math
from dataclasses import replace

import pytest
import torch

from cellflow._errors import InputError
from cellflow.couplings import fit_potentials
from cellflow.couplings.dual_potentials import Potentials
from cellflow.images.potentials_report import mass_balance
from cellflow.marginals import Gaussian
from tests.seeds import seeded

F64 = torch.float64
NOISE = Gaussian(torch.zeros(1, 3, dtype=F64))


def atoms(n=50):
    return torch.randn((n, 3), generator=seeded(1), dtype=F64)


@pytest.mark.parametrize("epsilon", [0.0, 0.5])
def test_converged_potentials_are_as_even_as_chance(epsilon):
    potentials = fit_potentials(
        NOISE, atoms(), epsilon=epsilon, threshold=0.002, generator=seeded()
    )
    counted = mass_balance(potentials, NOISE, 20_000, seeded(2))
    assert counted.n == 20_000
    assert abs(counted.chi_squared) < 0.01
    assert counted.entropy == pytest.approx(counted.entropy_by_chance, abs=2e-3)
    assert counted.never == 0
    assert counted.never_by_chance < 1e-6


@pytest.mark.parametrize("epsilon", [0.0, 0.5])
def test_chi_squared_is_that_of_the_exact_shares(epsilon):
    blank = Potentials.of(atoms(), None, epsilon)
    points = torch.randn((100_000, 3), generator=seeded(5), dtype=F64)
    expected = float((blank.marginal(points).square() / blank.masses).sum()) - 1
    found = [mass_balance(blank, NOISE, 5000, seeded(k)).chi_squared for k in range(8)]
    assert sum(found) / 8 == pytest.approx(expected, rel=0.05)


def test_starved_atoms_are_told_from_unlucky_ones():
    blank = Potentials.of(atoms(4))
    greedy = replace(blank, g=torch.tensor([1e6, 0, 0, 0], dtype=F64))
    counted = mass_balance(greedy, NOISE, 500, seeded())
    assert counted.never == 0.75
    assert counted.entropy == pytest.approx(0)
    assert counted.chi_squared == pytest.approx(3)
    assert counted.entropy_by_chance > 0.98
    assert counted.never_by_chance == pytest.approx(0.75**500)


def test_chance_leaves_as_many_atoms_out_as_expected():
    """With as many points as atoms, about 1 / e of them."""
    n = 2000
    blank = Potentials.of(torch.randn((n, 3), generator=seeded(3), dtype=F64))
    counted = mass_balance(blank, NOISE, n, seeded())
    assert counted.never_by_chance == pytest.approx(math.exp(-1), abs=1e-3)
    assert counted.never > counted.never_by_chance
    assert counted.entropy < counted.entropy_by_chance < 1


@pytest.mark.parametrize("epsilon", [0.0, 0.5])
def test_atoms_without_mass_do_not_count(epsilon):
    masses = torch.tensor([1.0, 0, 1, 2], dtype=F64)
    potentials = fit_potentials(
        NOISE, atoms(4), masses, epsilon=epsilon, threshold=0.002, generator=seeded()
    )
    counted = mass_balance(potentials, NOISE, 20_000, seeded(1))
    assert counted.never == 0
    assert abs(counted.chi_squared) < 0.01


def test_one_atom_has_everything_and_too_few_points_say_nothing():
    counted = mass_balance(Potentials.of(atoms(1)), NOISE, 10, seeded())
    assert (counted.chi_squared, counted.entropy, counted.never) == (0, 1, 0)
    with pytest.raises(InputError, match="at least 2 points, got 1"):
        mass_balance(Potentials.of(atoms(1)), NOISE, 1, seeded())
