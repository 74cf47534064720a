"""Populations, the clock, and a course of them."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cellflow import InputError
from cellflow.marginals import Marginals, Population, TimeAxis


def test_real_axis_keeps_proportions_with_mean_interval_one():
    axis = TimeAxis("real", (2.0, 3.0, 4.0, 7.0))
    assert axis.positions == pytest.approx([0, 0.6, 1.2, 3.0])


def test_index_axis_counts_and_interpolates_between():
    axis = TimeAxis("index", (2.0, 3.0, 4.0, 7.0))
    assert axis.positions == pytest.approx([0, 1, 2, 3])
    assert axis.to_flow(5.5) == pytest.approx(2.5)


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=6, unique=True), st.floats(0, 1))
def test_every_clock_is_increasing_from_zero_to_the_number_of_intervals(times, where):
    times = sorted({round(time, 3) for time in times})
    if len(times) < 2:
        return
    for kind in ("real", "index"):
        axis = TimeAxis(kind, tuple(times))
        assert axis.to_flow(times[0]) == pytest.approx(0)
        assert axis.to_flow(times[-1]) == pytest.approx(len(times) - 1)
        inside = times[0] + where * (times[-1] - times[0])
        assert 0 <= axis.to_flow(min(inside, times[-1])) <= len(times) - 1


def test_a_time_outside_the_range_is_refused():
    with pytest.raises(InputError, match="time 8 is outside the range 2 to 7"):
        TimeAxis("real", (2.0, 7.0)).to_flow(8)


@pytest.mark.parametrize("times", [(1.0,), (1.0, 1.0), (2.0, 1.0)])
def test_times_must_increase(times):
    with pytest.raises(InputError, match="increasing times"):
        TimeAxis("real", times)


def test_unknown_axis_is_refused():
    with pytest.raises(InputError, match="unknown time axis 'log'; valid: real, index"):
        TimeAxis("log", (0.0, 1.0))


def test_population_gives_distinct_points_while_there_are_enough(generator):
    population = Population.of(torch.arange(10.0)[:, None])
    assert len(torch.unique(population.sample(10, generator).x)) == 10
    assert population.sample(25, generator).x.shape == (25, 1)


def test_a_course_needs_as_many_populations_as_times_in_order():
    one = Population.of(torch.zeros(2, 1))
    with pytest.raises(InputError, match="2 times and 1 populations"):
        Marginals((0.0, 1.0), (one,))
    with pytest.raises(InputError, match="times must increase"):
        Marginals((1.0, 1.0), (one, one))
