"""Dual potentials against closed forms in one dimension and their invariances."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cellflow._errors import InputError
from cellflow.couplings.dual_potentials import Potentials
from tests.atoms import TWO_ATOMS, on_the_line, quantiles, random_potentials, two_atoms
from tests.seeds import randn, seeded

F64 = torch.float64


@pytest.mark.parametrize("epsilon", TWO_ATOMS)
def test_two_atoms_take_their_masses_at_the_known_potentials(epsilon):
    potentials = two_atoms(epsilon)
    torch.testing.assert_close(
        potentials.marginal(quantiles()), potentials.masses, atol=5e-5, rtol=0
    )


def test_two_atoms_cost_what_the_closed_form_says():
    potentials, x = two_atoms(0.0), quantiles()
    assert float(potentials.semidual(x)) == pytest.approx(-0.695385, abs=1e-4)
    ends = (potentials.atoms + potentials.origin)[potentials.assign(x)]
    assert float((ends - x).square().mean()) == pytest.approx(0.609230, abs=2e-4)


def test_every_atom_is_hit_by_its_mass_within_binomial_error(generator):
    potentials, n = on_the_line(20, seed=3), 1_000_000
    hits = torch.bincount(potentials.draw(randn(n, 1), generator), minlength=20) / n
    b = potentials.masses
    assert bool(((hits - b).abs() < 4.5 * (b * (1 - b) / n).sqrt()).all())


@pytest.mark.parametrize("epsilon", [0.0, 0.3])
@given(seed=st.integers(0, 2**31))
def test_the_gradient_of_the_semidual_is_mass_less_what_is_taken(epsilon, seed):
    potentials, x = random_potentials(seed, 6, 2, epsilon), randn(40, 2, seed=seed + 2)
    step = 1e-7
    gradient = [
        (
            replace(potentials, g=potentials.g + step * unit).semidual(x)
            - replace(potentials, g=potentials.g - step * unit).semidual(x)
        )
        / (2 * step)
        for unit in torch.eye(6, dtype=F64)
    ]
    excess = potentials.masses - potentials.marginal(x)
    torch.testing.assert_close(torch.stack(gradient), excess, atol=1e-6, rtol=0)
    assert float(excess.sum()) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("epsilon", [0.0, 0.5])
def test_chi_squared_is_unbiased_where_the_plain_estimate_is_not(epsilon):
    potentials, points = random_potentials(5, 50, 4, epsilon), randn(300, 4, seed=6)
    truth = potentials.chi_squared(points, points.new_full((300,), 1 / 300))
    draws = [points[torch.randint(300, (40,), generator=seeded(k))] for k in range(400)]
    unbiased = np.array([potentials.chi_squared(x) for x in draws])
    plain = [potentials.chi_squared(x, x.new_full((40,), 1 / 40)) for x in draws]
    error = unbiased.std() / math.sqrt(len(draws))
    assert unbiased.mean() == pytest.approx(truth, abs=4 * error)
    assert np.mean(plain) > truth + 10 * error


def test_chi_squared_is_zero_where_all_masses_are_met():
    x = quantiles()
    weights = x.new_full((len(x),), 1 / len(x))
    assert on_the_line(9).chi_squared(x, weights) == pytest.approx(0, abs=1e-5)
    with pytest.raises(InputError, match="at least 2 points, got 1"):
        on_the_line(9).chi_squared(x[:1])


@pytest.mark.parametrize("epsilon", [0.0, 0.7])
@given(seed=st.integers(0, 2**31), shift=st.floats(-5, 5))
def test_nothing_depends_on_the_level_of_g_the_axes_or_the_order(epsilon, seed, shift):
    potentials, x = random_potentials(seed, 12, 3, epsilon), randn(30, 3, seed=seed + 2)
    draw = potentials.draw(x, seeded(seed))
    assert torch.equal(replace(potentials, g=potentials.g + shift).draw(x, seeded(seed)), draw)
    turn = torch.linalg.qr(randn(3, 3, seed=seed)).Q
    turned = Potentials.of(
        (potentials.atoms + potentials.origin) @ turn, potentials.masses, epsilon
    )
    assert torch.equal(replace(turned, g=potentials.g).draw(x @ turn, seeded(seed)), draw)
    order = torch.randperm(12, generator=seeded(seed))
    columns = {name: getattr(potentials, name)[order] for name in ("atoms", "g", "masses")}
    torch.testing.assert_close(
        replace(potentials, **columns).marginal(x), potentials.marginal(x)[order]
    )


@pytest.mark.parametrize("epsilon", [0.0, 0.7])
@given(seed=st.integers(0, 2**31), chunk=st.integers(1, 30))
def test_chunks_and_tiles_change_nothing(epsilon, seed, chunk, monkeypatch):
    whole, x = random_potentials(seed, 23, 3, epsilon), randn(31, 3, seed=seed + 2)
    weights = torch.rand(31, generator=seeded(seed), dtype=F64)

    def answers(potentials):
        return (
            potentials.assign(x),
            potentials.draw(x, seeded(seed)),
            potentials.marginal(x),
            potentials.semidual(x),
            torch.tensor([potentials.chi_squared(x), potentials.chi_squared(x, weights)]),
        )

    with monkeypatch.context() as patch:
        expected = answers(whole)
        patch.setattr(Potentials, "_tile_rows", 7)
        torch.testing.assert_close(answers(replace(whole, chunk=chunk)), expected)


def test_draws_follow_the_shares_of_the_row(generator):
    potentials, n = replace(random_potentials(2, 40, 2, 0.8), chunk=7), 100_000
    x = randn(1, 2, seed=9)
    shares = potentials.marginal(x)
    hits = torch.bincount(potentials.draw(x.expand(n, 2), generator), minlength=40) / n
    assert bool(((hits - shares).abs() < 4.5 * (shares * (1 - shares) / n).sqrt() + 1e-9).all())


def test_entropy_tells_even_from_starved():
    even, starved = torch.tensor([[0.5, 0.5], [1.0, 0.0]], dtype=F64)
    assert on_the_line(2).normalised_entropy(even) == pytest.approx(1)
    assert on_the_line(2).normalised_entropy(starved) == 0
    assert Potentials.of(randn(1, 1)).normalised_entropy(even[:1] * 2) == 1
