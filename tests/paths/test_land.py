"""The LAND metric against its sum over cells, laws of its cells, and the width of its kernel."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cellflow._errors import InputError
from cellflow.paths.land import LandMetric, likelihood_width
from tests.seeds import seeded

SEEDS = st.integers(0, 2**31)


def normal(shape, generator):
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def direct_sum(x, samples, weights, gamma):
    """h by its definition, with an array of shape (n, m, d)."""
    squares = (x[:, None] - samples).square()
    near = weights[:, None] * torch.exp(-squares.sum(dim=2, keepdim=True) / (2 * gamma**2))
    return (squares * near).sum(dim=1)


def test_two_samples_by_hand():
    """At the origin, e^-2 + 0.001 and 4 e^-8 + 0.001."""
    samples = torch.tensor([[1.0, 0.0], [0.0, 2.0]], dtype=torch.float64)
    origin = torch.zeros((1, 2), dtype=torch.float64)
    inverse = LandMetric(samples, gamma=0.5, rho=1e-3, alpha=1.0)(origin) ** -1
    assert inverse[0].tolist() == pytest.approx([0.136335, 0.00234185], rel=1e-5)
    squared = LandMetric(samples, gamma=0.5, rho=1e-3, alpha=2.0)(origin)
    assert squared[0].tolist() == pytest.approx([53.8001, 182_340], rel=1e-5)


@given(seed=SEEDS, gamma=st.floats(0.1, 3), alpha=st.floats(0.5, 3), shift=st.floats(-50, 50))
def test_moments_give_the_sum_over_cells(seed, gamma, alpha, shift):
    generator = seeded(seed)
    x, samples = normal((7, 3), generator) + shift, normal((11, 3), generator) + shift
    weights = torch.rand(11, generator=generator, dtype=torch.float64)
    for given_weights in (None, weights):
        metric = LandMetric(samples, gamma, 0.01, alpha, given_weights)
        sums = direct_sum(x, samples, torch.ones(11) if given_weights is None else weights, gamma)
        torch.testing.assert_close(metric(x), (sums + 0.01) ** -alpha, rtol=1e-7, atol=0)


@given(seed=SEEDS, gamma=st.floats(0.2, 3), shift=st.floats(-50, 50))
def test_gradients_are_those_of_the_sum(seed, gamma, shift):
    generator = seeded(seed)
    x = (normal((5, 3), generator) + shift).requires_grad_()
    samples = normal((11, 3), generator) + shift
    sums = (direct_sum(x, samples, torch.ones(11), gamma) + 0.1).log().sum()
    (expected,) = torch.autograd.grad(sums, x)
    (slope,) = torch.autograd.grad(-LandMetric(samples, gamma, 0.1, 1.0)(x).log().sum(), x)
    torch.testing.assert_close(slope, expected, rtol=1e-6, atol=1e-6)


def test_single_precision_keeps_its_digits_far_from_the_origin(generator):
    samples, x = normal((500, 5), generator) + 100, 2 * normal((200, 5), generator) + 100
    exact = LandMetric(samples.float().double(), 0.25)(x.float().double())
    single = LandMetric(samples.float(), 0.25)(x.float())
    torch.testing.assert_close(single.double(), exact, rtol=5e-3, atol=0)


def test_all_cells_count_and_both_populations_alike(generator):
    source, target, x = (normal((n, 2), generator) for n in (9, 3, 6))
    metric = LandMetric.between(source, target, 0.5, rho=0.1, alpha=1.0)
    sums = [direct_sum(x, cells, torch.ones(len(cells)), 0.5) for cells in (source, target)]
    torch.testing.assert_close(1 / metric(x), sums[0] / 3 + sums[1] + 0.1)


@given(seed=SEEDS, copies=st.integers(2, 5))
def test_copies_of_cells_change_neither_metric_nor_width(seed, copies):
    generator = seeded(seed)
    source, target, x = (normal((n, 3), generator) for n in (30, 20, 8))
    many = [cells.repeat(copies, 1) for cells in (source, target)]
    metrics = [LandMetric.between(*ends, 0.5, n_cells=20)(x) for ends in ((source, target), many)]
    torch.testing.assert_close(metrics[1], metrics[0])
    # The larger population alone may be copied without a number of cells.
    alone = LandMetric.between(many[0], target, 0.5)(x)
    torch.testing.assert_close(alone, LandMetric.between(source, target, 0.5)(x))
    widths = [likelihood_width(*ends, generator) for ends in ((source, target), many)]
    assert widths[1] == pytest.approx(widths[0], rel=1e-9)


def test_a_metric_of_drawn_cells_is_steeper(generator):
    """(h + rho)^-2 is convex, so its mean over draws of a few cells lies above that of all."""
    source, target = normal((400, 3), generator), normal((400, 3), generator)
    x = normal((50, 3), generator)
    whole = LandMetric.between(source, target, 0.4)(x)
    drawn = torch.stack(
        [
            LandMetric.between(
                *(
                    cells[torch.randperm(400, generator=generator)[:40]]
                    for cells in (source, target)
                ),
                0.4,
                n_cells=400,
            )(x)
            for _ in range(30)
        ]
    ).mean(dim=0)
    assert float((drawn / whole).log().mean()) > 0.5


# --- the width ---


@pytest.mark.parametrize("scale", [0.01, 30.0])
def test_the_width_has_the_unit_of_the_points(scale, generator):
    source, target = normal((300, 2), generator), normal((200, 2), generator) + 1
    width = likelihood_width(source, target, seeded(1))
    scaled = likelihood_width(source * scale + 7, target * scale + 7, seeded(1))
    assert scaled == pytest.approx(width * scale, rel=1e-6)


def test_the_width_is_near_the_best_one_of_normal_cells(generator):
    """Silverman's (4 / (n (d + 2)))^(1 / (d + 4)) has the least squared error; here .28."""
    cells = normal((2000, 2), generator)
    silverman = (4 / (2000 * 4)) ** (1 / 6)
    width = likelihood_width(cells[:1000], cells[1000:], generator)
    assert abs(math.log2(width / silverman)) <= 0.5


def test_more_cells_have_a_smaller_width(generator):
    few, many = (
        likelihood_width(normal((n, 3), generator), normal((n, 3), generator), generator)
        for n in (30, 2000)
    )
    assert many < few


@pytest.mark.parametrize("seed", range(4))
def test_the_width_is_the_best_of_21_by_the_log_density_at_other_cells(seed):
    """Both populations weigh one half, however many cells they have."""
    source, target = normal((3, 2), seeded(seed)), 3 * normal((40, 2), seeded(seed + 9))
    cells = torch.cat([source, target])
    squares = (cells[:, None] - cells).square().sum(dim=2)
    masses = torch.tensor([0.5 / 3] * 3 + [0.5 / 40] * 40, dtype=torch.float64)
    others = masses * (1 - torch.eye(43, dtype=torch.float64))
    spread = float((cells - cells.mean(dim=0)).square().mean().sqrt())
    found = {}
    for k in range(21):
        width = spread * 2 ** (-k / 4)
        kernels = torch.exp(-squares / (2 * width**2)) / width**2
        found[width] = float((others * kernels).sum(dim=1).log().mean())
    expected = max(found, key=found.__getitem__)
    assert likelihood_width(source, target, seeded()) == pytest.approx(expected, rel=1e-9)


def test_cells_at_one_point_have_a_width(generator):
    cells = torch.ones((5, 2))
    assert 0 < likelihood_width(cells, cells, generator) < math.inf


@pytest.mark.parametrize("name", ["gamma", "rho", "alpha"])
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan")])
def test_numbers_must_be_positive(name, value):
    numbers = {"gamma": 1.0, "rho": 1.0, "alpha": 1.0, name: value}
    with pytest.raises(InputError, match=f"{name} must be positive"):
        LandMetric(torch.zeros((2, 2)), **numbers)
