"""Regression on accelerations: the closed form of its target, and where it drives a velocity."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from cellflow._batch import Pairs
from cellflow._errors import InputError
from cellflow.nets import Fields
from cellflow.objectives import AccelerationRegression, VelocityRegression
from cellflow.paths import HermitePath, StraightPath
from tests.gaussians import independent_velocity
from tests.seeds import seeded

ALPHAS = [2 / 3, 4 / 5, 12 / 13]
SEEDS = st.integers(0, 2**31)


class Rows(nn.Module):
    """A net that gives each row its own velocity."""

    def __init__(self, v):
        super().__init__()
        self.v = nn.Parameter(v)

    def forward(self, t, x, condition=None):
        return self.v


class Scaled(nn.Module):
    """A known velocity times a number."""

    def __init__(self, field, factor=1.0):
        super().__init__()
        self.field, self.factor = field, nn.Parameter(torch.tensor(factor, dtype=torch.float64))

    def forward(self, t, x, condition=None):
        return self.factor * self.field(t, x)


def pairs_of(seed, n=6, dim=3, *, start=0.5, length=2.0):
    """Random ends and end velocities over one interval."""
    x0, x1, v0, v1 = torch.randn((4, n, dim), generator=seeded(seed), dtype=torch.float64)
    t0 = torch.full((n,), start, dtype=torch.float64)
    return Pairs(x0, x1, t0, t0 + length, v0=v0, v1=v1)


def target(pairs, alpha):
    """v* in closed form."""
    u = (pairs.x1 - pairs.x0) / (pairs.t1 - pairs.t0)[:, None]
    return (2 * alpha * u + (4 - 5 * alpha) * (pairs.v0 + pairs.v1) / 2) / (4 - 3 * alpha)


def gradient(alpha, v, pairs):
    net = Rows(v)
    loss = AccelerationRegression(StraightPath(0.0), alpha).loss(
        Fields({"velocity": net}), pairs, seeded(1)
    )
    return torch.autograd.grad(loss, net.v)[0]


@given(seed=SEEDS, alpha=st.floats(0.01, 1), length=st.floats(0.2, 5))
def test_both_forms_of_the_loss_have_the_same_gradient(seed, alpha, length):
    pairs = pairs_of(seed, length=length)
    v = torch.randn((6, 3), generator=seeded(seed + 1), dtype=torch.float64)
    expected = 2 * (2 - 1.5 * alpha) * (v - target(pairs, alpha)) / v.numel()
    torch.testing.assert_close(gradient(alpha, v, pairs), expected)


@pytest.mark.parametrize("alpha", ALPHAS)
def test_the_least_loss_is_that_of_the_target(alpha):
    """Found by Newton's method, one step of which minimises a quadratic."""
    pairs = pairs_of(0)
    v = torch.zeros((6, 3), dtype=torch.float64)
    slope = gradient(alpha, v, pairs)
    curvature = gradient(alpha, v + 1, pairs) - slope
    torch.testing.assert_close(v - slope / curvature, target(pairs, alpha), atol=1e-7, rtol=0)


@pytest.mark.parametrize(
    ("alpha", "shares"), [(2 / 3, (2 / 3, 1 / 3)), (4 / 5, (1, 0)), (12 / 13, (1.5, -0.5))]
)
def test_the_published_weights_mix_displacement_and_end_velocities_as_known(alpha, shares):
    pairs = pairs_of(0)
    u, mean = (pairs.x1 - pairs.x0) / 2, (pairs.v0 + pairs.v1) / 2
    slope = gradient(alpha, shares[0] * u + shares[1] * mean, pairs)
    torch.testing.assert_close(slope, torch.zeros_like(slope))


@given(seed=SEEDS, alpha=st.floats(0.01, 1), length=st.floats(0.2, 5))
def test_movement_along_straight_lines_costs_nothing(seed, alpha, length):
    pairs = pairs_of(seed, length=length)
    u = (pairs.x1 - pairs.x0) / length
    straight = Pairs(pairs.x0, pairs.x1, pairs.t0, pairs.t1, v0=u, v1=u)
    net = Fields({"velocity": Rows(u)})
    loss = AccelerationRegression(StraightPath(0.0), alpha).loss(net, straight, seeded(1))
    assert float(loss.detach()) < 1e-25
    torch.testing.assert_close(target(straight, alpha), u)


@pytest.mark.parametrize("alpha", ALPHAS)
def test_where_nothing_moves_yet_the_target_is_a_share_of_the_displacement(alpha):
    pairs = pairs_of(0, length=1.0)
    still = Pairs(
        pairs.x0, pairs.x1, pairs.t0, pairs.t1,
        v0=torch.zeros_like(pairs.x0), v1=torch.zeros_like(pairs.x0),
    )  # fmt: skip
    expected = 2 * alpha / (4 - 3 * alpha) * (pairs.x1 - pairs.x0)
    torch.testing.assert_close(target(still, alpha), expected)
    slope = gradient(alpha, expected, still)
    torch.testing.assert_close(slope, torch.zeros_like(slope))


# Pairs drawn apart, of data of mean zero, and the velocity that is known for them.

SPREAD = 2.0


def ideal(t, x):
    return independent_velocity(t[:, None], x, 0.0, SPREAD)


def converged(alpha, factor, n=400_000):
    """The factor that the loss drives the ideal velocity to, for end velocities of this factor."""
    x0, x1 = torch.randn((2, n, 1), generator=seeded(3), dtype=torch.float64)
    t0 = torch.zeros(n, dtype=torch.float64)
    ends = {"v0": -factor * x0, "v1": factor * SPREAD * x1}
    pairs = Pairs(x0, SPREAD * x1, t0, t0 + 1, **ends)
    objective = AccelerationRegression(StraightPath(0.0), alpha)

    def slope(at):
        net = Scaled(ideal, at)
        loss = objective.loss(Fields({"velocity": net}), pairs, seeded(1))
        return float(torch.autograd.grad(loss, net.factor)[0])

    return slope(0.0) / (slope(0.0) - slope(1.0))


@pytest.mark.parametrize(("alpha", "expected"), zip(ALPHAS, (5 / 6, 1, 5 / 4), strict=True))
def test_one_round_scales_an_ideal_velocity_by_a_known_factor(alpha, expected):
    assert converged(alpha, 1.0) == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize(("alpha", "expected"), zip(ALPHAS, (0.8, 1, 1.2), strict=True))
def test_rounds_end_at_a_known_factor_and_four_fifths_alone_keeps_the_velocity(alpha, expected):
    """4 alpha / (4 - alpha): what is learned is what the end velocities are taken from."""
    factor = 1.0
    for _ in range(12):
        factor = converged(alpha, factor, n=100_000)
    assert factor == pytest.approx(expected, abs=0.015)
    assert expected == pytest.approx(4 * alpha / (4 - alpha))


def exact_moments(n=4000):
    """Normal pairs drawn apart whose sample moments are those of the law, to the bit or so."""
    x = torch.randn((n, 2), generator=seeded(4), dtype=torch.float64)
    x = x - x.mean(dim=0)
    x = x @ torch.linalg.inv(torch.linalg.cholesky(x.T @ x / n)).T
    return x[:, :1], SPREAD * x[:, 1:]


def end_spread(law, steps=2000):
    """Integrate the slope d log s / dt of the best linear velocity on x_t from a unit spread."""
    times = (torch.arange(steps, dtype=torch.float64) + 0.5) / steps
    slopes = []
    for time in times:
        x, u = law(time)
        slopes.append((x * u).mean() / x.square().mean())
    return float(torch.stack(slopes).mean().exp())


@pytest.mark.parametrize("factor", [0.3, 1.0, 1.7])
def test_the_hermite_path_keeps_the_marginals_whatever_the_end_velocities(factor):
    x0, x1 = exact_moments()
    t0 = torch.zeros(len(x0), dtype=torch.float64)
    pairs = Pairs(x0, x1, t0, t0 + 1, v0=-factor * x0, v1=factor * x1)

    def hermite(time):
        sample = HermitePath().sample(pairs, t0 + time, seeded(0))
        return sample.x, sample.u

    assert end_spread(hermite) == pytest.approx(SPREAD, rel=1e-5)


@pytest.mark.parametrize("alpha", ALPHAS)
def test_of_linear_targets_that_of_four_fifths_alone_keeps_the_marginals(alpha):
    x0, x1 = exact_moments()
    t0 = torch.zeros(len(x0), dtype=torch.float64)
    pairs = Pairs(x0, x1, t0, t0 + 1, v0=-x0, v1=x1)
    found = end_spread(lambda time: ((1 - time) * x0 + time * x1, target(pairs, alpha)))
    expected = SPREAD ** {2 / 3: 5 / 6, 4 / 5: 1, 12 / 13: 5 / 4}[alpha]
    assert found == pytest.approx(expected, rel=1e-5)


def test_the_hermite_target_is_learned_by_plain_regression(generator):
    """Its derivative costs nothing."""
    pairs = pairs_of(0)
    t = seeded(1)
    share = torch.rand(6, generator=t, dtype=torch.float64)
    u = HermitePath().sample(pairs, pairs.t0 + share * 2, generator).u
    net = Fields({"velocity": Rows(u)})
    assert float(VelocityRegression(HermitePath()).loss(net, pairs, seeded(1)).detach()) < 1e-25


def test_pairs_without_end_velocities_are_refused(generator):
    pairs = pairs_of(0)
    bare = Pairs(pairs.x0, pairs.x1, pairs.t0, pairs.t1)
    with pytest.raises(InputError, match="needs pairs of coupling 'acceleration'"):
        AccelerationRegression(StraightPath()).loss(
            Fields({"velocity": Rows(pairs.x0)}), bare, generator
        )
    with pytest.raises(InputError, match="needs pairs of coupling 'acceleration'"):
        HermitePath().sample(bare, bare.t0, generator)
