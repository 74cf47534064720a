"""The composition coupling: densities of both times, masses of pairs, and what moves."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cellflow import InputError, method
from cellflow.couplings import composition_coupling, log_density_ratio
from cellflow.couplings.composition import default_share
from cellflow.marginals import Population
from cellflow.transport import exact_plan
from tests.seeds import seeded

seeds = st.integers(0, 2**31)
shares = st.sampled_from([None, 0.0, 0.4, 1.0])


def populations(seed=0, n=30, m=30, shift=0.5):
    g = seeded(seed)
    x = torch.randn((n, 2), generator=g, dtype=torch.float64)
    y = torch.randn((m, 2), generator=g, dtype=torch.float64) + shift
    return Population.of(x), Population.of(y)


def coupled(source, target, seed=0, **settings):
    return composition_coupling(source, target, generator=seeded(seed), **settings)


def masses_of(coupling):
    """Return the masses of all entries at both ends, in units of source cells."""
    scale = len(coupling.source.cells) * coupling.plan.mass
    return scale * coupling.m0.numpy(), scale * coupling.m1.numpy()


def two_states(n, m):
    """Return populations in two states far apart, with n and m cells of each at the two times."""
    places = torch.tensor([[0.0, 0.0], [100.0, 0.0]], dtype=torch.float64)
    g = seeded(3)
    return [
        Population.of(
            places.repeat_interleave(torch.tensor(counts), 0)
            + torch.randn((sum(counts), 2), generator=g, dtype=torch.float64)
        )
        for counts in (n, m)
    ]


@given(
    seed=seeds, n=st.integers(1, 40), m=st.integers(1, 40), size=st.integers(10, 50), share=shares
)
def test_both_populations_are_met_with_all_their_mass(seed, n, m, size, share):
    coupling = coupled(*populations(seed, n, m), share=share, block_size=size)
    start, end = masses_of(coupling)
    np.testing.assert_allclose(np.bincount(coupling.plan.rows, start, n), 1, rtol=1e-9)
    np.testing.assert_allclose(np.bincount(coupling.plan.columns, end, m), 1, rtol=1e-9)


def test_total_mass_is_kept_if_numbers_of_cells_are_not_evidence():
    start, end = masses_of(coupled(*populations(1, 20, 60), growth=(1.0, 1.0)))
    assert start.sum() == pytest.approx(20)
    assert end.sum() == pytest.approx(20)


def test_without_a_change_of_composition_pairs_are_those_of_exact_transport():
    source, target = populations(2)
    coupling = coupled(source, target, share=0.0)
    cost = torch.cdist(source.points, target.points).square().numpy()
    np.testing.assert_allclose(coupling.plan.matrix(30, 30), exact_plan(cost).matrix(30, 30))
    np.testing.assert_allclose(coupling.m1, 1)


def test_states_that_change_in_frequency_stay_where_they_are():
    """Exact transport moves a third of the cells 100 away; in place, none moves that far."""
    source, target = two_states((200, 100), (100, 200))
    moved = {}
    for share in (0.0, 1.0):
        coupling = coupled(source, target, share=share)
        step = target.points[coupling.plan.columns] - source.points[coupling.plan.rows]
        far = (step.norm(dim=1) > 50).numpy()
        moved[share] = masses_of(coupling)[0][far].sum() / 300
    assert moved[0.0] == pytest.approx(1 / 3, abs=1e-6)
    assert moved[1.0] < 0.05


def test_frequencies_move_log_linearly_in_place():
    """Odds of 2 become odds of 1/2: half way they are 1, and after a quarter the root of 2."""
    source, target = two_states((400, 200), (200, 400))
    coupling = coupled(source, target, share=1.0)
    start, end = masses_of(coupling)
    first = source.points[coupling.plan.rows, 0] < 50
    for s in (0.25, 0.5):
        mass = start ** (1 - s) * end**s
        odds = mass[first.numpy()].sum() / mass[~first.numpy()].sum()
        assert odds == pytest.approx(2 ** (1 - 2 * s), rel=0.06)


def test_the_ratio_of_two_normal_densities_is_linear():
    """With means 0 and 1 and variance 1 it is x - 1 / 2, apart from smoothing."""
    g = np.random.default_rng(0)
    x, y = g.normal(size=(1500, 1)), g.normal(size=(1500, 1)) + 1
    before, after = log_density_ratio(x, y, np.ones(1500), np.ones(1500), n_neighbors=100)
    values, truth = np.concatenate([before, after]), np.concatenate([x, y])[:, 0] - 0.5
    middle = np.abs(truth) < 1
    slope, offset = np.polyfit(truth[middle], values[middle], 1)
    assert slope == pytest.approx(1, abs=0.15)
    assert offset == pytest.approx(0, abs=0.1)


@given(seed=seeds, n=st.integers(2, 20), m=st.integers(2, 20))
def test_densities_depend_on_neither_the_scale_of_masses_nor_the_order_of_times(seed, n, m):
    source, target = populations(seed, n, m)
    x, y = source.points.numpy(), target.points.numpy()
    a, b = np.ones(n), np.ones(m)
    one = log_density_ratio(x, y, a, b)
    np.testing.assert_allclose(one[0], log_density_ratio(x, y, 3 * a, b / 7)[0], atol=1e-12)
    swapped = log_density_ratio(y, x, b, a)
    np.testing.assert_allclose(one[0], -swapped[1], atol=1e-12)
    np.testing.assert_allclose(one[1], -swapped[0], atol=1e-12)


def test_cells_at_one_place_have_no_ratio():
    before, after = log_density_ratio(
        np.zeros((20, 2)), np.zeros((20, 2)), np.ones(20), np.ones(20)
    )
    np.testing.assert_allclose(before, 0, atol=0.2)
    np.testing.assert_allclose(after, 0, atol=0.2)


@pytest.mark.parametrize("n_neighbors", [1, 2, 3, 15])
def test_the_ratio_of_densities_is_written_out_for_few_cells(n_neighbors):
    """Cells at 0, 1, 5 and 2, 9, with masses."""
    places, a, b = [0.0, 1, 5, 2, 9], [1.0, 2, 3], [1.0, 4]
    mass = [x * 3 / 6 for x in a] + [x * 2 / 5 for x in b]
    expected = []
    for i, place in enumerate(places):
        steps = {j: abs(place - other) for j, other in enumerate(places) if j != i}
        width = sorted(steps.values())[min(n_neighbors, 4) - 1]
        kernel = {j: mass[j] * math.exp(-((step / width) ** 2) / 2) for j, step in steps.items()}
        totals = [max(3 - mass[i] * (i < 3), 1), max(2 - mass[i] * (i >= 3), 1)]
        logs = []
        for side, members in enumerate((range(3), range(3, 5))):
            density = sum(kernel[j] for j in members if j != i)
            logs.append(math.log((density + totals[side] / sum(totals)) / totals[side]))
        expected.append(logs[1] - logs[0])
    x, y = np.array(places[:3])[:, None], np.array(places[3:])[:, None]
    found = log_density_ratio(x, y, np.array(a), np.array(b), n_neighbors=n_neighbors)
    np.testing.assert_allclose(np.concatenate(found), expected, rtol=1e-9)


def test_the_neighbour_that_sets_the_width_is_the_15th():
    source, target = populations(5)
    clouds = source.points.numpy(), target.points.numpy(), np.ones(30), np.ones(30)
    np.testing.assert_array_equal(
        log_density_ratio(*clouds), log_density_ratio(*clouds, n_neighbors=15)
    )


def test_the_masses_that_move_are_those_half_way():
    """The plan of the changed share is that of masses a exp(r0 / 2) and b exp(-r1 / 2)."""
    source, target = populations(3, 12, 12)
    x, y, one = source.points.numpy(), target.points.numpy(), np.ones(12)
    r0, r1 = log_density_ratio(x, y, one, one)
    cost = torch.cdist(source.points, target.points).square().numpy()
    whole = exact_plan(cost, one / 12, one / 12).matrix(12, 12)
    changed = exact_plan(cost, np.exp(r0 / 2), np.exp(-r1 / 2)).matrix(12, 12)
    start = 0.6 * whole * 12 + 0.4 * changed / changed.sum(axis=1, keepdims=True)
    end = 0.6 * whole * 12 + 0.4 * changed / changed.sum(axis=0)
    coupling = coupled(source, target, share=0.4)
    found = [np.zeros((12, 12)), np.zeros((12, 12))]
    for matrix, mass in zip(found, masses_of(coupling), strict=True):
        np.add.at(matrix, (coupling.plan.rows, coupling.plan.columns), mass)
    np.testing.assert_allclose(found[0], start, atol=1e-7)
    np.testing.assert_allclose(found[1], end, atol=1e-7)


def test_few_cells_change_less_in_place():
    assert default_share(100, 100) == pytest.approx(0.3)
    assert default_share(100, 300) == pytest.approx(0.36)
    assert default_share(34, 431) < 0.25 < 0.59 < default_share(8000, 8000)


def test_growth_rates_take_the_place_of_densities():
    source, target = populations(4)
    rate = torch.linspace(-1, 1, 30, dtype=torch.float64)
    grown = Population.of(source.points, torch.exp(rate), rate=rate)
    coupling = coupled(grown, target, growth=(1.0, 1.0))
    rows = torch.from_numpy(coupling.plan.rows)
    np.testing.assert_allclose(coupling.m0, torch.exp(-rate[rows]))
    np.testing.assert_allclose(coupling.m1, 1)
    cost = torch.cdist(source.points, target.points).square().numpy()
    plan = exact_plan(cost, grown.masses.numpy())
    np.testing.assert_allclose(coupling.plan.matrix(30, 30), plan.matrix(30, 30), atol=1e-12)


def test_a_coupling_that_changes_mass_needs_an_objective_that_learns_growth():
    with pytest.raises(InputError, match="does not learn; take objective growth"):
        method("ot-cfm", coupling="composition")
    with pytest.raises(InputError, match=r"share=1\.5"):
        method("default", share=1.5)
