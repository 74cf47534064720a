"""Semidiscrete transport against its closed forms on the line, the exact plan, and its own laws."""

import math
import warnings
from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from cellflow._errors import CellflowWarning, FileError, InputError
from cellflow.couplings.ascent import Ascent
from cellflow.couplings.potentials import Potentials
from cellflow.couplings.semidiscrete import (
    SemidiscreteCoupling,
    finite_plan,
    fit_potentials,
)
from cellflow.couplings.tweedie import (
    barycentre,
    entropic_pull,
    guidance_rate,
    score_from_velocity,
)
from cellflow.marginals import Gaussian, Population
from cellflow.training.devices import cpu_threads
from cellflow.transport import exact_plan, squared_distances

F64 = torch.float64
NORMAL = NormalDist()
#: g1 - g2 of two atoms at -1 and 1 with masses 0.7 and 0.3 and a standard normal source.
TWO_ATOMS = {0.0: 2 * NORMAL.inv_cdf(0.7), 0.1: 0.968366, 0.5: 0.723870}


@pytest.fixture(autouse=True)
def _one_thread():
    with cpu_threads(1):
        yield


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=seeded(seed), dtype=F64)


def noise(d: int) -> Gaussian:
    return Gaussian(torch.zeros(1, d, dtype=F64))


def quantiles(n: int = 20_001) -> torch.Tensor:
    """Equally heavy points that stand for the standard normal law."""
    return torch.tensor([[NORMAL.inv_cdf((k + 0.5) / n)] for k in range(n)], dtype=F64)


def two_atoms(epsilon: float) -> Potentials:
    """The optimal potentials of `TWO_ATOMS`."""
    atoms, masses = torch.tensor([[-1.0], [1.0]], dtype=F64), torch.tensor([0.7, 0.3], dtype=F64)
    return replace(
        Potentials.of(atoms, masses, epsilon), g=torch.tensor([TWO_ATOMS[epsilon], 0], dtype=F64)
    )


def on_the_line(n_atoms: int, seed: int = 0) -> Potentials:
    """Optimal potentials on the line: the monotone map sends quantile ranges to sorted atoms."""
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


def paths_through(potentials, t, x, scale=1.0):
    """Starts of the straight paths through x at t, one an atom, and the density of each."""
    atoms = potentials.atoms + potentials.origin
    starts = (x - t * atoms) / (1 - t)
    rows = torch.stack([potentials.marginal(start[None]) for start in starts])
    return starts, torch.exp(-starts[:, 0].square() / (2 * scale**2)) * rows.diagonal()


def tweedie(potentials, t, x, scale=1.0, *, with_pull=True):
    """The score at x, by Tweedie's formula, from the exact velocity and delta."""
    starts, density = paths_through(potentials, t, x, scale)
    ends, weights = potentials.atoms + potentials.origin, density / density.sum()
    velocity = weights @ (ends - starts)
    delta = weights @ entropic_pull(potentials, starts, ends) if with_pull else velocity * 0
    point, time = torch.tensor([[x]], dtype=F64), torch.tensor([t], dtype=F64)
    return float(score_from_velocity(time, point, velocity[None], delta[None], scale=scale))


@pytest.mark.parametrize(
    ("epsilon", "t", "x", "score"),
    [
        (0.0, 0.3, 0.9, -1.224490),
        (0.0, 0.5, -0.7, 0.8),
        (0.0, 0.8, 0.98, -4.5),
        (0.5, 0.3, 0.4, 0.459583),
        (0.5, 0.5, -0.2, -5.404009),
        (0.5, 0.7, 0.1, -4.947161),
    ],
)
def test_tweedie_gives_the_score_of_two_atoms(epsilon, t, x, score):
    assert tweedie(two_atoms(epsilon), t, x) == pytest.approx(score, abs=1e-5)


@pytest.mark.parametrize(
    ("t", "x", "score"), [(0.3, 0.4, -0.673883), (0.5, -0.2, -1.198588), (0.7, 0.1, -2.524996)]
)
def test_without_its_correction_the_entropic_score_is_another(t, x, score):
    assert tweedie(two_atoms(0.5), t, x, with_pull=False) == pytest.approx(score, abs=1e-5)


@pytest.mark.parametrize("epsilon", [0.0, 0.4])
@given(t=st.floats(0.1, 0.8), x=st.floats(-1.5, 1.5), scale=st.floats(0.5, 2))
def test_tweedie_is_the_slope_of_the_log_density(epsilon, t, x, scale):
    potentials, step = random_potentials(4, 3, 1, epsilon), 1e-5
    below, here, above = (
        paths_through(potentials, t, x + shift, scale)[1] for shift in (-step, 0, step)
    )
    if not (here.sum() > 1e-6 and torch.equal(below > 0, above > 0)):
        return  # a border between atoms, where the density without entropy jumps
    slope = float((above.sum().log() - below.sum().log()) / (2 * step))
    assert tweedie(potentials, t, x, scale) == pytest.approx(slope, rel=1e-4, abs=1e-4)


def gaussian_flow(t, x, mean, std):
    """Log-density and velocity at t of independent ends N(0, 1) and N(mean, std^2)."""
    variance = (t * std) ** 2 + (1 - t) ** 2
    log_density = -0.5 * (x - t * mean) ** 2 / variance - 0.5 * variance.log()
    return log_density, mean + (t * std**2 - (1 - t)) / variance * (x - t * mean)


def rate_of(t, x, gamma):
    ends = (gaussian_flow(t, x, mean, std)[1] for mean, std in ((2.0, 0.3), (0.0, 1.0)))
    return guidance_rate(t, *(velocity[:, None] for velocity in ends), gamma)


def test_guidance_weights_grow_at_the_known_rate():
    t, x = torch.tensor([[0.4], [0.7]], dtype=F64)
    assert float(rate_of(t, x, 1.8)) == pytest.approx(5.621548, abs=1e-6)


@given(gamma=st.floats(1.1, 3), t=st.floats(0.1, 0.9))
def test_guided_trajectories_with_their_weights_keep_to_the_geometric_mixture(gamma, t):
    time = torch.full((9,), t, dtype=F64, requires_grad=True)
    x = torch.linspace(-2, 3, 9, dtype=F64, requires_grad=True)
    first, second = (gaussian_flow(time, x, *law) for law in ((2.0, 0.3), (0.0, 1.0)))
    log_density, velocity = (
        gamma * a + (1 - gamma) * b for a, b in zip(first, second, strict=True)
    )

    def slope(value, of):
        return torch.autograd.grad(value.sum(), of, retain_graph=True)[0]

    # What continuity leaves over must be the weights' rate, but for what norms the density.
    left = slope(log_density, time) + velocity * slope(log_density, x) + slope(velocity, x)
    rest = (left - rate_of(time, x, gamma)).detach()
    torch.testing.assert_close(rest, rest[:1].expand(9), rtol=1e-8, atol=1e-8)


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
            barycentre(potentials, x),
            potentials.semidual(x),
            torch.tensor([potentials.chi_squared(x), potentials.chi_squared(x, weights)]),
        )

    with monkeypatch.context() as patch:
        expected = answers(whole)
        patch.setattr(Potentials, "_tile_rows", 7)
        torch.testing.assert_close(answers(replace(whole, chunk=chunk)), expected)


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


def test_draws_follow_the_shares_of_the_row(generator):
    potentials, n = replace(random_potentials(2, 40, 2, 0.8), chunk=7), 100_000
    x = randn(1, 2, seed=9)
    shares = potentials.marginal(x)
    hits = torch.bincount(potentials.draw(x.expand(n, 2), generator), minlength=40) / n
    assert bool(((hits - shares).abs() < 4.5 * (shares * (1 - shares) / n).sqrt() + 1e-9).all())
    torch.testing.assert_close(
        barycentre(potentials, x)[0], shares @ (potentials.atoms + potentials.origin)
    )


def test_entropy_tells_even_from_starved():
    even, starved = torch.tensor([[0.5, 0.5], [1.0, 0.0]], dtype=F64)
    assert on_the_line(2).entropy_of(even) == pytest.approx(1)
    assert on_the_line(2).entropy_of(starved) == 0
    assert Potentials.of(randn(1, 1)).entropy_of(even[:1] * 2) == 1


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
    assert 0.5 < potentials.entropy_of(potentials.marginal(x)) <= 1
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
    ascent = Ascent(start, spread=1.0, batch_size=8, rate=3.0)
    iterates = []
    for _ in range(n_steps):
        ascent.step(noise(2).sample(8, generator).seen)
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
    with pytest.warns(CellflowWarning, match="epsilon over 0.* 20 of them cannot fill 30 atoms"):
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
        with pytest.raises(InputError, match="belong to other atoms: 6 with fingerprint"):
            SemidiscreteCoupling(noise(2), Population.of(other), (0.0, 1.0), potentials)
    heavier = Population.of(target.points, torch.arange(1.0, 7, dtype=F64))
    with pytest.raises(InputError, match="with other masses"):
        SemidiscreteCoupling(noise(2), heavier, (0.0, 1.0), potentials)


@pytest.mark.parametrize("epsilon", [0.0, 0.5])
def test_saved_potentials_come_back_the_same(epsilon, tmp_path, generator):
    path = tmp_path / "potentials.safetensors"
    atoms = randn(9, 2).float()
    saved = fit_potentials(Gaussian(torch.zeros(1, 2)), atoms, epsilon=epsilon, generator=generator)
    saved.save(path)
    loaded = Potentials.load(path)
    loaded.check_atoms(atoms, torch.ones(9))
    x = randn(50, 2).float()
    assert torch.equal(loaded.draw(x, seeded()), saved.draw(x, seeded()))
    values = ("epsilon", "fingerprint", "reached", "n_steps", "chunk")
    assert [getattr(loaded, name) for name in values] == [getattr(saved, name) for name in values]
    with pytest.raises(FileError, match="exists already"):
        saved.save(path)
    saved.save(path, overwrite=True)


def test_foreign_and_damaged_files_are_refused(tmp_path):
    path = tmp_path / "potentials.safetensors"
    with pytest.raises(FileError, match="cannot be read"):
        Potentials.load(path)
    path.write_text("no potentials")
    with pytest.raises(FileError, match="cannot be read as potentials"):
        Potentials.load(path)
    save_file({"atoms": torch.zeros(2, 2)}, path)
    with pytest.raises(FileError, match="holds no semidiscrete potentials"):
        Potentials.load(path)
    with pytest.raises(FileError, match="cannot be read"):
        Potentials.load(tmp_path)


@pytest.mark.parametrize("place", [-1, -200])
def test_a_changed_byte_is_noticed(place, tmp_path):
    path = tmp_path / "potentials.safetensors"
    Potentials.of(randn(30, 2)).save(path)
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(FileError, match="was altered"):
        Potentials.load(path)


def test_tensors_of_shapes_that_do_not_fit_are_refused(tmp_path):
    path = tmp_path / "potentials.safetensors"
    good = Potentials.of(randn(30, 2))
    bad = object.__new__(Potentials)
    vars(bad).update(vars(good), g=good.g[:-1])
    bad.save(path)
    with pytest.raises(FileError, match="its tensors are"):
        Potentials.load(path)


def test_a_fit_that_converges_does_not_warn(generator):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit_potentials(noise(2), randn(50, 2), generator=generator)


@pytest.mark.parametrize("epsilon", [0.0, 0.3])
def test_plan_of_a_finite_source_is_what_its_points_would_look_up(epsilon):
    """Up to shares of 1e-4, with rows that sum to the masses of the source, in any chunks."""
    weights = torch.rand(60, generator=seeded(1), dtype=F64) + 0.1
    source = Population.of(randn(60, 2, seed=2), weights)
    potentials = replace(Potentials.of(randn(40, 2, seed=3), epsilon=epsilon), g=randn(40, seed=4))
    plan = finite_plan(replace(potentials, chunk=7), source).matrix(60, 40)
    np.testing.assert_allclose(plan.sum(axis=1), source.masses.numpy(), atol=1e-12)
    rows = [potentials.marginal(x[None]) for x in source.points]
    expected = torch.stack(rows) * source.masses[:, None]
    np.testing.assert_allclose(plan, expected.numpy(), rtol=4e-3, atol=1e-4 / 10)
