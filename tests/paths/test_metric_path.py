"""The bent path against finite differences, the net that bends it, and RBF metrics of cells."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cellflow._batch import Batch, Pairs
from cellflow._errors import InputError
from cellflow.nets import GeopathNet
from cellflow.paths import StraightPath, riemannian
from cellflow.paths.land import LandMetric
from cellflow.paths.metric_path import MetricPath
from cellflow.paths.riemannian import IntervalMetrics, RBFMetric, share_sparser
from tests.seeds import seeded

SEEDS = st.integers(0, 2**31)


def normal(shape, generator):
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def net_with_bends(generator, dim=3, *, time_features=2):
    """A net in double precision whose last layer is not zero."""
    net = GeopathNet(dim, width=16, depth=2, time_features=time_features, generator=generator)
    torch.nn.init.normal_(net.mlp.last.weight, generator=generator)
    return net.double()


def pairs_and_times(generator, n=9, dim=3, start=0.5, length=2.0):
    ends = [Batch(normal((n, dim), generator)) for _ in range(2)]
    pairs = Pairs.over((start, start + length), *ends)
    return pairs, start + length * torch.rand(n, generator=generator, dtype=torch.float64)


# --- the path ---


@given(seed=SEEDS, start=st.floats(-3, 3), length=st.floats(0.2, 5))
def test_the_velocity_is_the_derivative_of_the_position(seed, start, length):
    generator = seeded(seed)
    path = MetricPath(net_with_bends(generator), sigma=0)
    pairs, t = pairs_and_times(generator, start=start, length=length)
    step = 1e-5
    before, now, after = (path.sample(pairs, t + h, generator) for h in (-step, 0.0, step))
    torch.testing.assert_close((after.x - before.x) / (2 * step), now.u, rtol=1e-6, atol=1e-6)


@given(seed=SEEDS)
def test_the_ends_stay_where_they_are_however_much_the_path_bends(seed):
    generator = seeded(seed)
    pairs, _ = pairs_and_times(generator)
    path = MetricPath(net_with_bends(generator), sigma=0)
    torch.testing.assert_close(path.sample(pairs, pairs.t0, generator).x, pairs.x0)
    torch.testing.assert_close(path.sample(pairs, pairs.t1, generator).x, pairs.x1)


def test_half_of_the_bend_counts_midway_and_its_slope_at_the_start_is_two(generator):
    pairs, _ = pairs_and_times(generator, length=4.0)
    path = MetricPath(lambda t, x0, x1: torch.ones_like(x0), sigma=0)
    middle = path.sample(pairs, (pairs.t0 + pairs.t1) / 2, generator)
    torch.testing.assert_close(middle.x, (pairs.x0 + pairs.x1) / 2 + 0.5)
    torch.testing.assert_close(middle.u, (pairs.x1 - pairs.x0) / 4)
    start = path.sample(pairs, pairs.t0, generator)
    torch.testing.assert_close(start.u, (pairs.x1 - pairs.x0) / 4 + 2 / 4)


def test_an_untrained_net_gives_the_straight_path(generator):
    pairs, t = pairs_and_times(generator)
    net = GeopathNet(3, width=16, depth=2, generator=generator).double()
    for sigma in (0.0, 0.3):
        bent = MetricPath(net, sigma).sample(pairs, t, seeded(5))
        straight = StraightPath(sigma).sample(pairs, t, seeded(5))
        torch.testing.assert_close(bent.x, straight.x)
        torch.testing.assert_close(bent.u, straight.u)


def test_noise_has_constant_width_and_leaves_the_velocity(generator):
    pairs, t = pairs_and_times(generator, n=20_000)
    net = net_with_bends(generator).requires_grad_(requires_grad=False)
    still, noisy = (MetricPath(net, sigma).sample(pairs, t, generator) for sigma in (0.0, 0.4))
    assert float((noisy.x - still.x).std()) == pytest.approx(0.4, rel=0.02)
    torch.testing.assert_close(noisy.u, still.u)


def test_rows_do_not_see_each_other(generator):
    pairs, t = pairs_and_times(generator)
    path = MetricPath(net_with_bends(generator), sigma=0)
    together = path.sample(pairs, t, generator)
    for k in range(len(t)):
        alone = path.sample(pairs[k : k + 1], t[k : k + 1], generator)
        torch.testing.assert_close(alone.x, together.x[k : k + 1])
        torch.testing.assert_close(alone.u, together.u[k : k + 1])


def test_masses_grow_as_on_the_straight_path(generator):
    pairs, t = pairs_and_times(generator)
    masses = {"m0": torch.ones_like(t), "m1": 1 + torch.rand(len(t), generator=generator).double()}
    heavy = Pairs(**{**pairs.columns(), **masses})
    bent = MetricPath(net_with_bends(generator)).sample(heavy, t, generator)
    straight = StraightPath().sample(heavy, t, generator)
    torch.testing.assert_close(bent.growth, straight.growth)
    torch.testing.assert_close(bent.weight, straight.weight)


def test_gradients_reach_the_net_until_it_is_frozen(generator):
    pairs, t = pairs_and_times(generator)
    net = net_with_bends(generator)
    sample = MetricPath(net).sample(pairs, t, generator)
    (sample.x.square().sum() + sample.u.square().sum()).backward()
    assert all(float(weights.grad.abs().sum()) > 0 for weights in net.parameters())
    frozen = MetricPath(net.requires_grad_(requires_grad=False)).sample(pairs, t, generator)
    assert not frozen.x.requires_grad
    assert not frozen.u.requires_grad


def test_a_path_can_be_drawn_where_no_gradients_are_kept(generator):
    pairs, t = pairs_and_times(generator)
    path = MetricPath(net_with_bends(generator), sigma=0)
    with torch.no_grad():
        still = path.sample(pairs, t, generator)
    torch.testing.assert_close(still.u, path.sample(pairs, t, generator).u.detach())


@given(seed=SEEDS)
def test_paths_of_some_intervals_can_stay_straight(seed):
    generator = seeded(seed)
    early, t_early = pairs_and_times(generator, start=0.5)
    late, t_late = pairs_and_times(generator, start=2.5)
    pairs, t = Pairs.cat([early, late]), torch.cat([t_early, t_late])
    net = net_with_bends(generator)
    some = MetricPath(net, sigma=0, straight_starts=(2.5,)).sample(pairs, t, generator)
    bent = MetricPath(net, sigma=0).sample(pairs, t, generator)
    straight = StraightPath(0).sample(pairs, t, generator)
    for name in ("x", "u"):
        ours, curved, lines = (getattr(each, name) for each in (some, bent, straight))
        torch.testing.assert_close(ours[:9], curved[:9])
        torch.testing.assert_close(ours[9:], lines[9:])
        assert not torch.allclose(curved[9:], lines[9:])


# --- the net ---


@given(seed=SEEDS, scale=st.floats(0.01, 100), shift=st.floats(-100, 100))
def test_bends_scale_with_the_data(seed, scale, shift):
    generator = seeded(seed)
    pairs, t = pairs_and_times(generator)
    net = net_with_bends(generator)
    points = torch.cat([pairs.x0, pairs.x1])
    net.standardise(points)
    bend = net(t, pairs.x0, pairs.x1)
    net.standardise(points * scale + shift)
    moved = net(t, pairs.x0 * scale + shift, pairs.x1 * scale + shift)
    torch.testing.assert_close(moved, bend * scale, rtol=1e-4, atol=1e-4 * scale)


def test_the_bend_depends_on_time_and_on_both_ends(generator):
    pairs, t = pairs_and_times(generator)
    net = net_with_bends(generator)
    bend = net(t, pairs.x0, pairs.x1)
    for other in ((t + 1, pairs.x0, pairs.x1), (t, -pairs.x0, pairs.x1), (t, pairs.x0, -pairs.x1)):
        assert not torch.allclose(net(*other), bend)


# --- radial basis functions ---


def ring(generator, n=1000):
    angle = 2 * torch.pi * torch.rand(n, generator=generator, dtype=torch.float64)
    return torch.stack([angle.cos(), angle.sin()], dim=1) + 0.05 * normal((n, 2), generator)


def test_functions_sum_to_about_one_on_cells_and_to_nothing_elsewhere(generator):
    metric = RBFMetric.fit(ring(generator), generator, n_centres=40, contrast=9.0)
    on_cells, inside = metric(ring(generator)), metric(torch.zeros_like(ring(generator)))
    assert float(on_cells.median()) == pytest.approx(1 / (1 + metric.epsilon), rel=0.05)
    assert float(inside.mean()) == pytest.approx(1 / metric.epsilon, rel=0.05)
    assert float(inside.mean() / on_cells.median()) == pytest.approx(1 + 9, rel=0.15)
    torch.testing.assert_close(on_cells[:, 0], on_cells[:, 1])


@pytest.mark.parametrize(("kappa", "least"), [(0.3, 0.1), (0.1, 0.99)])
def test_epsilon_is_what_the_error_leaves_over_the_contrast(kappa, least, generator):
    """Two cells around one centre: h = W exp(-1 / (4 kappa^2)) at both, far from 1 for small kappa.

    The error counts up to 0.99.
    """
    cells = torch.tensor([[-3.0], [3.0]], dtype=torch.float64)
    metric = RBFMetric.fit(cells, generator, kappa=kappa, contrast=4.0)
    h = float(metric.weights[0]) * math.exp(-1 / (4 * kappa**2))
    error = min((1 - h) ** 2, 0.99)
    assert error >= least
    assert metric.epsilon == pytest.approx((1 - error) / 4)


@pytest.mark.parametrize("kappa", [0.3, 2.0])
def test_weights_are_those_of_adam_until_the_error_has_risen_for_five_passes(
    kappa, generator, monkeypatch
):
    """One weight W from 1/2, for two cells of one function value: 200 passes of one step each.

    For small kappa the best W is out of reach, for large it is passed.
    """
    monkeypatch.setattr(torch, "rand", lambda n, **options: torch.full((n,), 0.5).double())
    cells = torch.tensor([[-3.0], [3.0]], dtype=torch.float64)
    metric = RBFMetric.fit(cells, generator, kappa=kappa)
    value = math.exp(-1 / (4 * kappa**2))
    weight = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    optimiser, weights = torch.optim.Adam([weight], lr=1e-2), []
    for _ in range(200):
        optimiser.zero_grad()
        (1 - value * weight).square().backward()
        optimiser.step()
        weights.append(weight.item())
    errors = [(1 - value * each) ** 2 for each in weights]
    rising = [k for k in range(199) if errors[k + 1] > errors[k]]
    assert bool(rising) == (kappa == 2)
    last = rising[0] + 5 if rising else 199
    assert float(metric.weights[0]) == pytest.approx(weights[last])


def test_a_tenth_of_the_cells_validates_and_the_others_come_in_batches_of_128(
    generator, monkeypatch
):
    sizes = []

    def spy(function):
        return lambda rows, weights: sizes.append(len(rows)) or function(rows, weights)

    for name in ("_error", "_gradient"):
        monkeypatch.setattr(riemannian, name, spy(getattr(riemannian, name)))
    RBFMetric.fit(normal((301, 2), generator), generator, n_centres=1)
    assert sizes[:8] == [128, 128, 15, 30] * 2


def test_weights_are_fitted_to_a_bounded_number_of_cells(generator, monkeypatch):
    monkeypatch.setattr(riemannian, "_FITTED", 200)
    sizes, error = [], riemannian._error
    monkeypatch.setattr(
        riemannian, "_error", lambda rows, weights: sizes.append(len(rows)) or error(rows, weights)
    )
    RBFMetric.fit(normal((301, 2), generator), generator, n_centres=1)
    assert set(sizes) == {20}


def test_weights_lower_the_error_of_the_sum_and_stay_positive(generator):
    cells = ring(generator)
    metric = RBFMetric.fit(cells, generator, n_centres=40)
    untrained = torch.rand(len(metric.weights), generator=generator, dtype=torch.float64)

    def error(weights):
        h = 1 / RBFMetric(metric.centres, metric.widths, weights, 1e-9)(cells)[:, 0]
        return float((1 - h).square().mean())

    assert error(metric.weights) < min(0.05, error(untrained) / 4)
    assert (metric.weights >= 1e-4).all()


def test_clusters_that_lie_apart_get_a_centre_and_their_own_width(generator):
    spreads = torch.tensor([0.1, 0.4], dtype=torch.float64)
    cells = torch.cat(
        [20.0 * k + spread * normal((400, 3), generator) for k, spread in enumerate(spreads)]
    )
    metric = RBFMetric.fit(cells, generator, n_centres=2, kappa=1.5)
    order = metric.centres[:, 0].argsort()
    expected = torch.tensor([[0.0], [20.0]], dtype=torch.float64).expand(2, 3)
    torch.testing.assert_close(metric.centres[order], expected, rtol=0, atol=0.1)
    torch.testing.assert_close(metric.widths[order], 0.5 / (1.5 * spreads) ** 2, rtol=0.1, atol=0)


def test_no_place_is_drawn_twice_as_a_first_centre(generator):
    places = torch.tensor([[0.0], [1.0], [5.0]], dtype=torch.float64)
    cells = places.repeat_interleave(torch.tensor([98, 1, 1]), dim=0)
    centres = riemannian._kmeans_plus_plus(cells, 3, generator)
    assert sorted(centres[:, 0].tolist()) == [0, 1, 5]


@pytest.mark.parametrize("n", [2, 3, 12, 40])
def test_few_or_equal_cells_give_a_finite_metric(n, generator):
    for cells in (normal((n, 4), generator), torch.ones((n, 4), dtype=torch.float64)):
        metric = RBFMetric.fit(cells, generator)
        values = metric(torch.cat([cells, cells + 3]))
        assert torch.isfinite(values).all()
        assert (values > 0).all()


def test_same_seed_same_metric():
    cells = normal((200, 5), seeded())
    first, second = (RBFMetric.fit(cells, seeded(3))(cells) for _ in range(2))
    torch.testing.assert_close(first, second, rtol=0, atol=0)


# --- where cells are sparser ---


def test_middles_across_a_ring_are_sparser_and_those_along_it_are_not(
    generator,
):
    cells = ring(generator)
    metric = LandMetric(cells, 0.2)
    opposite = Pairs.over((0.0, 1.0), Batch(cells), Batch(-cells))
    assert share_sparser(metric, opposite) == 1
    order = torch.atan2(cells[:, 1], cells[:, 0]).argsort()
    apart = Pairs.over((0.0, 1.0), Batch(cells[order[:-9]]), Batch(cells[order[9:]]))
    assert share_sparser(metric, apart) < 1 / 3


def test_nothing_is_sparser_in_a_flat_metric(generator):
    pairs, _ = pairs_and_times(generator)
    assert share_sparser(torch.ones_like, pairs) == 0


# --- one metric for each interval ---


def test_each_row_is_measured_by_the_metric_of_its_interval(generator):
    metrics = [LandMetric(normal((6, 2), generator), 0.5) for _ in range(3)]
    starts = torch.tensor([0.0, 1.0, 3.0], dtype=torch.float64)
    x = normal((8, 2), generator)
    own = torch.tensor([2, 0, 1, 1, 0, 2, 2, 0])
    values = IntervalMetrics(starts, metrics)(x, starts[own])
    for k, metric in enumerate(metrics):
        torch.testing.assert_close(values[own == k], metric(x)[own == k])


def test_gradients_pass_through_the_metrics_of_intervals(generator):
    metric = LandMetric(normal((6, 2), generator), 0.5)
    x = normal((4, 2), generator).requires_grad_()
    several = IntervalMetrics(torch.tensor([0.0, 1.0]).double(), [metric, metric])
    t0 = torch.tensor([0.0, 1.0, 1.0, 0.0]).double()
    (several_slope,) = torch.autograd.grad(several(x, t0).log().sum(), x)
    (slope,) = torch.autograd.grad(metric(x).log().sum(), x)
    torch.testing.assert_close(several_slope, slope)


@pytest.mark.parametrize("name", ["n_centres", "kappa", "contrast"])
def test_numbers_of_an_rbf_metric_must_be_positive(name, generator):
    with pytest.raises(InputError, match=f"{name} must be positive"):
        RBFMetric.fit(torch.zeros((9, 2)), generator, **{name: 0})


def test_one_cell_makes_no_metric(generator):
    with pytest.raises(InputError, match="two or more cells, got 1"):
        RBFMetric.fit(torch.zeros((1, 2)), generator)


def test_intervals_without_a_metric_are_refused():
    with pytest.raises(InputError, match="2 intervals and 1 metrics"):
        IntervalMetrics(torch.tensor([0.0, 1.0]), [LandMetric(torch.zeros((2, 2)), 1.0)])
