"""Steps of the dual ascent against the update written out for two atoms on a line."""

import math
from dataclasses import replace

import pytest
import torch

from cellflow.couplings import fit_potentials
from cellflow.couplings.dual_ascent import DualAscent
from cellflow.couplings.dual_potentials import Potentials
from cellflow.marginals import Population
from tests.seeds import randn, seeded

F64 = torch.float64
POINTS = torch.tensor([[-2.0], [0.5], [1.0], [3.0], [0.2]], dtype=F64)


def two_atoms(masses, epsilon=0.0):
    return Potentials.of(
        torch.tensor([[-1.0], [1.0]], dtype=F64), torch.tensor(masses, dtype=F64), epsilon
    )


def best_share(g, x, epsilon, masses):
    """Return the share of x that the second atom takes, and its score over that of the first."""
    lead = g[1] - g[0] + 2 * x
    if not epsilon:
        return float(lead > 0), lead
    odds = masses[1] / masses[0] * math.exp(lead / epsilon)
    return odds / (1 + odds), lead + epsilon * math.log(masses[1] / masses[0])


@pytest.mark.parametrize(
    ("spread", "epsilon", "rate"), [(0, 0, 0.1), (0.05, 0, 0.1), (40.0, 0, 0.1), (9, 3, 5)]
)
def test_steps_follow_the_update_and_the_entropy_its_halvings(spread, epsilon, rate):
    """The margin is that of steps 1, 2, 4 and 8; five points are 2.5 visits of each atom."""
    masses, g, margin, window = (0.25, 0.75), [0.0, 0.0], 0.0, 1
    ascent = DualAscent(two_atoms(masses, epsilon), spread, batch_size=5, learning_rate=rate)
    for k in range(1, 10):
        current = spread * 0.5 ** ((k - 1) / 2)
        current = current if current > max(epsilon, 0.1 * margin) else epsilon
        found = [best_share(g, float(x), current, masses) for x in POINTS]
        if k in {1, 2 * window}:
            margin, window = sum(abs(lead) for _, lead in found) / 5, k
        taken = sum(share for share, _ in found) / 5
        step = min(1, rate * 2.5 * (1 + 2.5 * k) ** -0.6) * (margin + current)
        g = [g[0] - step * ((1 - taken) / 0.25 - 1), g[1] - step * (taken / 0.75 - 1)]
        ascent.step(POINTS)
        assert ascent.iterate.epsilon == pytest.approx(current)
        assert ascent.iterate.g.tolist() == pytest.approx(g, rel=1e-9, abs=1e-9)
    assert ascent.average().epsilon == epsilon


def test_an_atom_that_is_seldom_visited_keeps_its_entropy_longer():
    """With a batch of 5 and 20 atoms, entropy has halved after 2 / 0.25 = 8 steps."""
    ascent = DualAscent(Potentials.of(randn(20, 1)), spread=100.0, batch_size=5, learning_rate=3)
    for _ in range(9):
        ascent.step(POINTS)
    assert ascent.iterate.epsilon == pytest.approx(50)


def test_the_first_iterate_takes_the_place_of_the_source_out_of_all_scores():
    """With x moved by s, <x, y_j> grows by <s, y_j>, so g_j begins lower by it."""
    place, y = torch.tensor([[3.0, -1.0]], dtype=F64), randn(30, 2, seed=5)
    source = Population.of(place)
    found = fit_potentials(source, y, epsilon=0.0, generator=seeded(), threshold=1e9)
    assert found.n_steps == 0
    torch.testing.assert_close(found.g, -(y - y.mean(dim=0)) @ (place[0] - y.mean(dim=0)))


@pytest.mark.parametrize("epsilon", [0.0, 0.4])
def test_the_semidual_is_written_out_for_two_atoms(epsilon):
    potentials = replace(two_atoms((0.25, 0.75), epsilon), g=torch.tensor([0.3, -0.1], dtype=F64))
    best = []
    for x in POINTS[:, 0].tolist():
        scores = [0.3 - x, -0.1 + x]
        if epsilon:
            terms = [b * math.exp(s / epsilon) for b, s in zip((0.25, 0.75), scores, strict=True)]
            best.append(epsilon * math.log(sum(terms)))
        else:
            best.append(max(scores))
    expected = 0.25 * 0.3 - 0.75 * 0.1 - sum(best) / 5
    assert float(potentials.semidual(POINTS)) == pytest.approx(expected)


def test_chi_squared_of_weighted_points_is_written_out():
    """The second atom takes weight 0.4 of masses 0.25 and 0.75."""
    weights = torch.tensor([0.6, 0.1, 0.1, 0.1, 0.1], dtype=F64)
    expected = 0.6**2 / 0.25 + 0.4**2 / 0.75 - 1
    assert two_atoms((0.25, 0.75)).chi_squared(POINTS, weights) == pytest.approx(expected)
    expected = (1 * 0 / 0.25 + 4 * 3 / 0.75) / (5 * 4) - 1
    assert two_atoms((0.25, 0.75)).chi_squared(POINTS) == pytest.approx(expected)
