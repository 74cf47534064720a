"""The time axis estimated from the cells."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from cellflow import InputError
from cellflow.marginals import ExtrapolatedTimeAxis, TimeAxis, fit_time_axis

lengths_of_intervals = st.just(0.0) | st.floats(1e-9, 9)
steps = st.lists(st.tuples(st.floats(0.1, 50), lengths_of_intervals), min_size=1, max_size=6)


def axis_of(steps, start=0.0, pace=1.0, unit=1.0):
    """Return the learned time axis for these intervals and transport lengths."""
    gaps, lengths = np.array(steps).T
    times = start + pace * np.concatenate([[0], np.cumsum(gaps)])
    come = unit * np.concatenate([[0], np.cumsum(lengths)])
    return TimeAxis("learned", tuple(times.tolist()), tuple(come.tolist()))


@given(steps=steps, where=st.lists(st.floats(0.01, 0.99), min_size=2, max_size=5))
def test_time_points_are_counted_and_time_runs_forward_between_them(steps, where):
    axis = axis_of(steps)
    assert [axis.to_flow(time) for time in axis.times] == list(range(len(axis.times)))
    for k in range(len(axis.times) - 1):
        low, high = axis.times[k : k + 2]
        flow = [axis.to_flow(low + share * (high - low)) for share in sorted(where)]
        assert all(k <= each <= k + 1 for each in flow)
        assert all(np.diff(flow) >= -1e-9)


@given(steps=steps, where=st.floats(0.01, 0.99), start=st.floats(-99, 99), pace=st.floats(0.1, 24))
def test_neither_the_zero_of_time_nor_units_matter(steps, where, start, pace):
    one, other = axis_of(steps), axis_of(steps, start, pace, unit=3.0)
    time = where * one.times[-1]
    assert other.to_flow(start + pace * time) == pytest.approx(one.to_flow(time), abs=1e-6)


@pytest.mark.parametrize(("lengths", "weight"), [((0.0, 3.0), 0.75), ((0.0, 0.0), 0.6)])
def test_with_two_times_or_cells_that_stand_still_it_is_logarithmic(lengths, weight):
    """It is the logarithm, with some weight on elapsed time."""
    axis = TimeAxis("learned", (2.0, 4.0), lengths)
    share = weight * math.log(1.5) / math.log(2) + (1 - weight) * 0.5
    assert axis.to_flow(3) == pytest.approx(share)


@given(steps=steps)
def test_the_clock_stands_still_nowhere(steps):
    """Velocities per elapsed time are those per flow time, times the rate of the clock."""
    axis = axis_of(steps)
    for time, gap in zip(axis.times, np.diff(axis.times, append=np.inf), strict=True):
        here = np.diff(axis.times).max() if math.isinf(gap) else gap
        assert axis.clock_rate(time) > 0.1 / max(here, np.diff(axis.times).max())


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
def test_a_course_tells_how_much_it_slows_down(exponent):
    """Lengths of a speed (1 + u)^(p - 1) give p, but for the pull towards 0."""
    times = np.array([0.0, 1.0, 3.0, 7.0, 15.0, 31.0, 63.0])
    lengths = np.log1p(times) if exponent == 0 else ((1 + times) ** exponent - 1) / exponent
    axis = TimeAxis("learned", tuple(times), tuple(7 * lengths))
    assert axis.exponent == pytest.approx(exponent, abs=0.05)
    if exponent == 1:
        assert axis.to_flow(5.0) == pytest.approx(2.5, abs=0.03)


@pytest.mark.parametrize("ratio", [0.01, 1.0, 1.6, 2.1, 9.0])
def test_the_exponent_is_the_least_squares_fit_with_its_prior(ratio):
    """Two intervals, of lengths 1 and `ratio` in any unit: one residual, halved between them."""
    axis = TimeAxis("learned", (0.0, 1.0, 3.0), (0.0, 0.2, 0.2 + 0.2 * ratio))

    def loss(p):
        u = np.array([0, 1, 3])
        steps = np.diff(((1 + u) ** p - 1) / p)
        return math.log(ratio * steps[0] / steps[1]) ** 2 / 2 / 0.3**2 + (p / 0.5) ** 2

    exact = minimize_scalar(loss, bounds=(1e-9, 1), method="bounded").x
    assert axis.exponent == pytest.approx(exact, abs=0.0051)
    assert TimeAxis("index", (0.0, 1.0, 3.0)).exponent == 1


def test_lengths_that_grow_as_the_logarithm_give_the_share_of_the_logarithm():
    """Slowed time and length agree then; elapsed time has a quarter of the weight."""
    axis = TimeAxis("learned", (0.0, 1.0, 3.0), (0.0, 1.0, 2.0))
    for time in (1.5, 2.0, 2.9):
        expected = 1 + 0.75 * math.log2((1 + time) / 2) + 0.25 * (time - 1) / 2
        assert axis.to_flow(time) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
def test_the_clock_goes_by_the_mean_of_both_sides_at_a_time_point(unit):
    axis = TimeAxis("index", tuple(unit * time for time in (0.0, 1.0, 3.0, 4.0)))
    rates = [axis.clock_rate(time) * unit for time in (*axis.times, 2 * unit)]
    assert rates == pytest.approx([1, 0.75, 0.75, 1, 0.5], rel=1e-6)


def test_beyond_its_times_a_clock_goes_on_as_in_the_nearest_interval():
    axis = ExtrapolatedTimeAxis("index", (1.0, 2.0, 4.0, 9.0, 10.0))
    times = [-1.0, 1.0, 3.0, 10.0, 12.0]
    assert [axis.to_flow(time) for time in times] == pytest.approx([-2, 0, 1.5, 4, 6], abs=1e-12)
    real = ExtrapolatedTimeAxis("real", (1.0, 2.0, 4.0))
    assert real.to_flow(7.0) == pytest.approx(4)
    learned = ExtrapolatedTimeAxis("learned", (0.0, 1.0, 3.0), (0.0, 1.0, 2.0))
    assert learned.to_flow(5.0) == pytest.approx(3)
    assert learned.to_flow(2.0) == TimeAxis("learned", learned.times, learned.lengths).to_flow(2.0)


def test_where_cells_move_less_at_first_time_runs_later():
    """Lengths are interpolated so that a fast neighbouring interval draws movement to its side."""
    slow = TimeAxis("learned", (0.0, 1.0, 2.0, 3.0), (0.0, 5.0, 5.5, 11.0)).to_flow(1.5)
    fast = TimeAxis("learned", (0.0, 1.0, 2.0, 3.0), (0.0, 0.5, 5.5, 6.0)).to_flow(1.5)
    before = TimeAxis("learned", (0.0, 1.0, 2.0, 3.0), (0.0, 5.0, 5.5, 5.6)).to_flow(1.5)
    after = TimeAxis("learned", (0.0, 1.0, 2.0, 3.0), (0.0, 0.1, 0.6, 5.6)).to_flow(1.5)
    assert after < min(slow, fast) < max(slow, fast) < before


def test_lengths_are_wasserstein_distances(generator):
    """The transport length of translated cells is the length of the translation."""
    cells = torch.randn((50, 3), generator=generator)
    steps = [torch.zeros(3), torch.tensor([300.0, 0, 400]), torch.tensor([300.0, 200, 400])]
    x = torch.cat([cells + step for step in steps])
    elapsed = np.repeat([0.0, 2.0, 6.0], 50)
    axis = fit_time_axis("learned", (0.0, 2.0, 5.0, 6.0), x, elapsed)
    assert axis.times == (0.0, 2.0, 6.0)
    assert axis.lengths == pytest.approx((0, 500, 700), rel=1e-4)
    assert fit_time_axis("real", (0.0, 2.0, 5.0, 6.0), x, elapsed) == TimeAxis(
        "real", (0.0, 2.0, 5.0, 6.0)
    )


def test_samples_of_one_population_are_hardly_apart(generator):
    """Their 2-Wasserstein distance is about 1; what sampling explains is not counted."""
    x = torch.randn((400, 3), generator=generator)
    axis = fit_time_axis("learned", (0.0, 1.0), x, np.repeat([0.0, 1.0], 200))
    assert axis.lengths[1] < 0.25


@pytest.mark.parametrize(("dim", "power"), [(1, 1), (2, 1), (4, 0.5)])
def test_the_noise_of_sampling_is_that_of_halves_times_a_power_of_two(dim, power):
    """Two points a time, of spread a and b and `step` apart: all distances are known."""
    for a, b, step in [(1.0, 3.0, 9.0), (2.0, 2.0, 0.1)]:
        x = torch.zeros((4, dim), dtype=torch.float64)
        x[:, 0] = torch.tensor([0, a, step, step + b])
        axis = fit_time_axis("learned", (0.0, 1.0), x, np.array([0.0, 0, 1, 1]))
        squared = (step**2 + (step + b - a) ** 2) / 2
        above = squared - (a**2 + b**2) / 2 * 2**-power
        assert axis.lengths[1] == pytest.approx(math.sqrt(max(above, 0.05 * squared)), rel=1e-5)


def test_the_larger_of_two_samples_is_cut_to_the_smaller():
    x = torch.tensor([[0.0], [2], [5], [5], [5], [5]], dtype=torch.float64)
    axis = fit_time_axis("learned", (0.0, 1.0), x, np.array([0.0, 0, 1, 1, 1, 1]))
    assert axis.lengths[1] == pytest.approx(math.sqrt((25 + 9) / 2 - 4 / 2 / 2), rel=1e-5)


@pytest.mark.parametrize(("kind", "lengths"), [("learned", ()), ("real", (0.0, 1.0))])
def test_lengths_belong_to_the_learned_clock(kind, lengths):
    with pytest.raises(InputError, match="time axis of 2 times cannot have"):
        TimeAxis(kind, (0.0, 1.0), lengths)


@pytest.mark.parametrize(
    "axis",
    [
        TimeAxis("real", (0.0, 1.0, 3.0)),
        TimeAxis("index", (0.0, 1.0, 3.0)),
        TimeAxis("learned", (0.0, 1.0, 3.0), (0.0, 2.0, 3.0)),
    ],
)
def test_pace_is_the_derivative_of_the_clock(axis):
    low, high = axis.to_flow(2.2 - 1e-5), axis.to_flow(2.2 + 1e-5)
    assert axis.clock_rate(2.2) == pytest.approx((high - low) / 2e-5, rel=1e-4)
    before, after = (axis.clock_rate(t) for t in (1 - 1e-4, 1 + 1e-4))
    assert axis.clock_rate(1.0) == pytest.approx((before + after) / 2, rel=1e-2)


@pytest.mark.parametrize(
    ("times", "n"), [((0.0, 0.2, 0.4, 0.8, 1.2), 40), ((0.0, 3.3, 6.6, 9.9), 25)]
)
def test_times_that_are_time_points_but_for_rounding_have_their_place(times, n):
    """These grids have times next to a time point, where shares round to 0 or 1."""
    axis = TimeAxis("learned", times, tuple(float(k) for k in range(len(times))))
    places = [axis.to_flow(time) for time in np.linspace(times[0], times[-1], n)]
    assert np.isfinite(places).all()
    assert (np.diff(places) > 0).all()


def test_intervals_that_vanish_beside_the_first_are_refused():
    with pytest.raises(InputError, match="intervals too different for a learned clock"):
        TimeAxis("learned", (-(2.0**62), 0.0, 1.0, 2.0), (0.0, 1.0, 2.0, 3.0))
    assert TimeAxis("index", (-(2.0**62), 0.0, 1.0, 2.0)).to_flow(1.5) == 2.5
