"""Semidiscrete transport: dual ascent and pairs against closed forms and the exact plan."""

import math
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

from cellflow._errors import CellflowWarning, InputError
from cellflow.couplings import (
    SemidiscreteCoupling,
    fit_potentials,
    potentials_plan,
)
from cellflow.couplings.dual_ascent import DualAscent
from cellflow.couplings.dual_potentials import Potentials
from cellflow.marginals import Population
from cellflow.transport import exact_plan, squared_distances
from tests.atoms import TWO_ATOMS, noise, on_the_line, two_atoms
from tests.seeds import randn, seeded

F64 = torch.float64


@pytest.mark.parametrize("epsilon", TWO_ATOMS)
def test_the_ascent_finds_the_known_potentials(epsilon):
    known = two_atoms(epsilon)
    atoms = known.atoms + known.origin
    found = fit_potentials(
        noise(1), atoms, known.masses, epsilon=epsilon, threshold=1e-4, generator=seeded()
    )
    assert float(found.g[0] - found.g[1]) == pytest.approx(TWO_ATOMS[epsilon], abs=0.02)
    assert found.reached <= 1e-4
    assert found.n_steps > 0


def test_the_ascent_finds_the_monotone_map_between_many_atoms():
    known = on_the_line(7)
    found = fit_potentials(
        noise(1), known.atoms + known.origin, known.masses, threshold=1e-3, generator=seeded()
    )
    assert float((found.g - known.g).abs().max()) < 0.05


@pytest.mark.parametrize("epsilon", [0.0, 0.5])
def test_no_more_atoms_than_a_chunk_are_scored_at_a_time(epsilon, generator, monkeypatch):
    widths = []
    score = Potentials.scores

    def spied(self, rows, atoms):
        made = score(self, rows, atoms)
        widths.append(made.shape[1])
        return made

    monkeypatch.setattr(Potentials, "scores", spied)
    source, target = noise(2), Population.of(randn(50, 2))
    potentials = fit_potentials(
        source, target.points, epsilon=epsilon, chunk=16, generator=generator
    )
    SemidiscreteCoupling(source, target, (0.0, 1.0), potentials).sample(100, generator)
    assert set(widths) == {16, 50 % 16}


@pytest.mark.parametrize("epsilon", [0.0, 0.5])
def test_one_atom_takes_everything_along_exact_straight_lines(epsilon, generator):
    target = Population.of(torch.tensor([[3.0, -1.0]], dtype=F64))
    potentials = fit_potentials(noise(2), target.points, epsilon=epsilon, generator=generator)
    pairs = SemidiscreteCoupling(noise(2), target, (0.0, 1.0), potentials).sample(50, generator)
    assert torch.equal(pairs.x1, target.points.expand(50, 2))
    t = torch.rand(50, 1, generator=generator, dtype=F64)
    x = (1 - t) * pairs.x0 + t * pairs.x1
    torch.testing.assert_close(pairs.x1 - pairs.x0, (target.points - x) / (1 - t))


def test_potentials_and_cost_meet_those_of_a_large_linear_programme():
    atoms, x = randn(8, 2, seed=1), randn(3000, 2, seed=2)
    found = fit_potentials(noise(2), atoms, threshold=2e-3, generator=seeded())
    plan = exact_plan(squared_distances(x, atoms).numpy())
    theirs = torch.from_numpy(plan.potentials[1])
    ours = 2 * found.g + found.atoms.square().sum(dim=1)
    norms = (x - found.origin).square().sum(dim=1).mean() + found.atoms.square().sum(dim=1).mean()
    assert float(norms + 2 * found.semidual(x)) == pytest.approx(plan.cost, abs=0.02)
    assert float(((ours - ours.mean()) - (theirs - theirs.mean())).abs().max()) < 0.1


def test_pairs_of_a_continuous_source_meet_both_marginals(generator):
    target = Population.of(randn(60, 3, seed=1) * 2 + 5, torch.rand(60, generator=seeded()) + 0.2)
    potentials = fit_potentials(
        noise(3), target.points, target.masses, threshold=0.01, generator=generator
    )
    assert potentials.epsilon == 0
    pairs = SemidiscreteCoupling(noise(3), target, (1.0, 3.0), potentials).sample(20_000, generator)
    assert float(pairs.x0.mean()) == pytest.approx(0, abs=0.03)
    assert float(pairs.x0.std()) == pytest.approx(1, abs=0.03)
    partners = squared_distances(pairs.x1, target.points).argmin(dim=1)
    hits = torch.bincount(partners, minlength=60) / 20_000
    assert float(((hits - target.masses).square() / target.masses).sum()) < 0.02
    assert set(pairs.t0.tolist()) == {1.0}
    assert set(pairs.t1.tolist()) == {3.0}


def test_pairs_of_an_empirical_source_meet_the_target_masses(generator):
    source, target = Population.of(randn(300, 4)), Population.of(randn(400, 4, seed=1) + 1)
    potentials = fit_potentials(source, target.points, generator=generator)
    coupling = SemidiscreteCoupling(source, target, (0.0, 1.0), potentials)
    pairs = coupling.sample(40_000, generator)
    partners = squared_distances(pairs.x1, target.points).argmin(dim=1)
    n = torch.bincount(partners, minlength=400).double()
    # 300 points sent to one atom each would leave a chi-squared of 1/3 at least.
    assert float((n * (n - 1)).sum() * 400 / (40_000 * 39_999) - 1) < 0.08


def test_a_weighted_source_is_sampled_and_probed_by_weight(generator):
    weights = torch.tensor([8.0, 1, 1], dtype=F64)
    source = Population.of(torch.tensor([[-1.0], [0], [1]], dtype=F64), weights)
    atoms = torch.tensor([[-2.0], [2]], dtype=F64)
    masses = torch.tensor([0.8, 0.2], dtype=F64)
    potentials = fit_potentials(source, atoms, masses, epsilon=0.0, generator=generator)
    assert potentials.assign(source.points).tolist() == [0, 1, 1]
    assert potentials.reached == pytest.approx(0, abs=1e-12)


def test_between_equally_many_points_the_cost_tends_to_the_exact_one(generator):
    source, target = randn(60, 3), randn(60, 3, seed=1) + 2
    costs = squared_distances(source, target)
    exact = exact_plan(costs.numpy()).cost

    def cost(epsilon):
        potentials = fit_potentials(
            Population.of(source), target, epsilon=epsilon, threshold=1e-3, generator=generator
        )
        rows = torch.arange(60).repeat(300)
        return float(costs[rows, potentials.draw(source[rows], generator)].mean())

    excess = [cost(epsilon) - exact for epsilon in (1.0, 0.2, 0.02)]
    assert excess[0] > excess[1] > excess[2]
    assert excess[2] < 0.01 * exact


def test_the_entropy_of_a_finite_source_is_a_share_of_the_spread_of_costs(generator):
    x, y = randn(500, 3), randn(70, 3, seed=1) * torch.tensor([3.0, 1, 1], dtype=F64)
    costs = (x - x.mean(dim=0)) @ (y - y.mean(dim=0)).T
    potentials = fit_potentials(Population.of(x), y, generator=generator)
    assert potentials.epsilon == pytest.approx(0.01 * float(costs.square().mean().sqrt()), rel=0.05)


def test_costs_are_taken_on_features_and_pairs_made_of_coordinates(generator):
    features = randn(30, 2)
    target = Population.of(torch.arange(30.0, dtype=F64)[:, None], features=features)
    potentials = fit_potentials(noise(2), features, threshold=0.5, generator=generator)
    pairs = SemidiscreteCoupling(noise(2), target, (0.0, 1.0), potentials).sample(40, generator)
    assert torch.equal(pairs.x1[:, 0].long(), potentials.assign(pairs.x0))


@pytest.mark.parametrize("epsilon", [0.0, 0.5])
def test_atoms_without_mass_take_nothing(epsilon, generator):
    masses = torch.tensor([1.0, 0, 2, 0, 1], dtype=F64)
    potentials = fit_potentials(
        noise(2), randn(5, 2), masses, epsilon=epsilon, generator=generator, chunk=2
    )
    x = randn(5000, 2, seed=3)
    assert set(potentials.draw(x, generator).tolist()) == {0, 2, 4}
    assert abs(potentials.chi_squared(x)) < 0.1
    assert 0.5 < potentials.normalised_entropy(potentials.marginal(x)) <= 1
    assert math.isfinite(float(potentials.semidual(x)))


@pytest.mark.parametrize("exponent", [-12, 12])
def test_the_unit_of_the_data_changes_nothing(exponent):
    scale = 2.0**exponent
    source, atoms = randn(200, 3), randn(40, 3, seed=1)
    first, second = (
        fit_potentials(Population.of(source * unit), atoms * unit, generator=seeded())
        for unit in (1.0, scale)
    )
    assert first.n_steps == second.n_steps
    torch.testing.assert_close(second.g, first.g * scale**2)


def test_where_the_data_lie_changes_next_to_nothing():
    source, atoms = randn(200, 3).float(), randn(40, 3, seed=1).float()
    there = fit_potentials(Population.of(source + 1000), atoms + 1000, generator=seeded())
    assert there.reached < 0.05


def test_same_seed_same_potentials():
    atoms = randn(30, 2)
    first, second, other = (
        fit_potentials(noise(2), atoms, generator=seeded(seed)).g for seed in (0, 0, 1)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("n_steps", [1, 2, 5, 8, 23])
def test_the_average_is_the_mean_of_the_last_half_to_three_quarters(n_steps, generator):
    start = Potentials.of(randn(20, 2))
    ascent = DualAscent(start, spread=1.0, batch_size=8, learning_rate=3.0)
    iterates = []
    for _ in range(n_steps):
        ascent.step(noise(2).sample(8, generator).cost_features)
        iterates.append(ascent.iterate.g)
    kept = n_steps + 1 - (2 ** (n_steps.bit_length() - 1) + 1) // 2
    mean = torch.stack(iterates[-kept:]).mean(dim=0)
    assert kept >= n_steps / 2
    torch.testing.assert_close(ascent.average().g, mean - start.masses @ mean)


def test_stopping_short_warns_of_what_was_reached_and_says_what_to_do(generator):
    with pytest.warns(CellflowWarning, match=r"stopped at chi-squared .* above 0\.05: raise max_"):
        potentials = fit_potentials(noise(2), randn(200, 2), max_steps=1, generator=generator)
    assert potentials.n_steps == 1
    assert potentials.reached > 0.05


def test_a_map_of_few_points_to_many_atoms_warns_that_it_cannot_split_them(generator):
    source = Population.of(randn(20, 2))
    with pytest.warns(CellflowWarning, match="epsilon above 0.* 20 of them cannot fill 30 atoms"):
        fit_potentials(source, randn(30, 2), epsilon=0.0, max_steps=20, generator=generator)


def test_chi_squared_of_a_large_finite_source_is_estimated_from_independent_draws(generator):
    source = Population.of(randn(16_500, 5))
    potentials = fit_potentials(
        source, randn(2000, 5, seed=1), epsilon=0.0, threshold=0.5, generator=generator
    )
    # Distinct points would make it lower by 2000 / 16,500.
    exact = potentials.chi_squared(source.points, source.masses)
    assert potentials.reached == pytest.approx(exact, abs=0.06)


def test_progress_is_shown_when_asked_for(generator, capsys):
    fit_potentials(noise(2), randn(20, 2), generator=generator, progress=True)
    assert "potentials" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epsilon": -1.0}, "epsilon must be 0 or positive, got -1"),
        ({"max_steps": 0}, "max_steps must be positive, got 0"),
        ({"learning_rate": 0.0}, "learning_rate must be positive"),
        ({"threshold": 0.0}, "threshold must be positive"),
        ({"masses": torch.ones(3, dtype=F64)}, "4 atoms need as many masses, got shape"),
        ({"masses": torch.zeros(4, dtype=F64)}, "not all 0"),
        ({"masses": torch.tensor([1, 1, 1, -1], dtype=F64)}, "none negative"),
        ({"atoms": torch.full((4, 2), torch.nan, dtype=F64)}, "finite coordinates"),
        ({"atoms": torch.zeros(4, 3, dtype=F64)}, "got 2 and 3 dimensions"),
        ({"atoms": torch.zeros(0, 2, dtype=F64)}, "at least one"),
    ],
)
def test_problems_that_cannot_be_are_refused(changes, message, generator):
    arguments = {"atoms": randn(4, 2), "generator": generator, **changes}
    with pytest.raises(InputError, match=message):
        fit_potentials(noise(2), **arguments)


def test_potentials_of_other_atoms_or_masses_are_refused(generator):
    target = Population.of(randn(6, 2))
    potentials = fit_potentials(noise(2), target.points, generator=generator)
    for other in (randn(6, 2, seed=1), target.points.flip(0), target.points[:5]):
        with pytest.raises(InputError, match="fitted to other atoms: 6 with fingerprint"):
            SemidiscreteCoupling(noise(2), Population.of(other), (0.0, 1.0), potentials)
    heavier = Population.of(target.points, torch.arange(1.0, 7, dtype=F64))
    with pytest.raises(InputError, match="with other masses"):
        SemidiscreteCoupling(noise(2), heavier, (0.0, 1.0), potentials)


def test_a_fit_that_converges_does_not_warn(generator):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit_potentials(noise(2), randn(50, 2), generator=generator)


@pytest.mark.parametrize("epsilon", [0.0, 0.3])
def test_plan_of_a_finite_source_is_what_its_points_would_look_up(epsilon):
    """Up to shares of 1e-4, with row sums equal to the source masses, for any chunk size."""
    weights = torch.rand(60, generator=seeded(1), dtype=F64) + 0.1
    source = Population.of(randn(60, 2, seed=2), weights)
    potentials = replace(Potentials.of(randn(40, 2, seed=3), epsilon=epsilon), g=randn(40, seed=4))
    plan = potentials_plan(replace(potentials, chunk=7), source).matrix(60, 40)
    np.testing.assert_allclose(plan.sum(axis=1), source.masses.numpy(), atol=1e-12)
    rows = [potentials.marginal(x[None]) for x in source.points]
    expected = torch.stack(rows) * source.masses[:, None]
    np.testing.assert_allclose(plan, expected.numpy(), rtol=4e-3, atol=1e-4 / 10)
