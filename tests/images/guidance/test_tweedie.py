"""Scores of flows, and weights of guided trajectories, against closed forms and densities."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cellflow.images.guidance.autoguidance import guidance_rate
from cellflow.images.guidance.tweedie import entropic_pull, score_from_velocity
from tests.atoms import random_potentials, two_atoms

F64 = torch.float64


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
