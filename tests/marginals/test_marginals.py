"""Populations, noise, the time axis and the marginals of a time course."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cellflow import InputError
from cellflow._batch import Batch, FiniteMarginal, Marginal
from cellflow.marginals import Gaussian, Marginals, Population, TimeAxis


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
    with pytest.raises(
        InputError, match="time 8 is outside the range 2 to 7 of the flow; choose a time within it"
    ):
        TimeAxis("real", (2.0, 7.0)).to_flow(8)


@pytest.mark.parametrize("times", [(1.0,), (1.0, 1.0), (2.0, 1.0)])
def test_times_must_increase(times):
    with pytest.raises(InputError, match="increasing times"):
        TimeAxis("real", times)


def test_unknown_axis_is_refused():
    with pytest.raises(InputError, match="unknown time axis 'log'; valid: learned, real, index"):
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


def test_populations_and_noise_are_marginals_and_only_populations_have_points():
    noise, points = Gaussian(torch.zeros(1, 2)), Population.of(torch.zeros(3, 2))
    assert isinstance(noise, Marginal)
    assert isinstance(points, Marginal)
    assert isinstance(points, FiniteMarginal)
    assert not isinstance(noise, FiniteMarginal)


# Noise


def test_noise_has_the_law_that_it_says(generator):
    noise = Gaussian(torch.tensor([[1.0, -2.0]], dtype=torch.float64), 3.0)
    drawn = noise.sample(40_000, generator)
    assert drawn.columns().keys() == {"x"}
    assert drawn.x.dtype == torch.float64
    torch.testing.assert_close(drawn.x.mean(dim=0), noise.centre[0], atol=0.06, rtol=0)
    covariance = 9 * torch.eye(2, dtype=torch.float64)
    torch.testing.assert_close(drawn.x.T.cov(), covariance, atol=0.25, rtol=0)
    assert (noise.dim, noise.label, noise.rate) == (2, None, None)
    moved = noise.to("cpu")
    assert (moved.centre.equal(noise.centre), moved.scale) == (True, noise.scale)


def test_noise_can_only_be_the_first_of_two():
    noise, points = Gaussian(torch.zeros(1, 2)), Population.of(torch.zeros(3, 2))
    course = Marginals((0.0, 1.0), (noise, points))
    assert course.finite == [points]
    assert course.dim == 2
    assert course.condition_dim == 0
    for wrong in (
        (points, noise),
        (noise, noise),
        (noise, points, points),
        (points, noise, points),
    ):
        with pytest.raises(InputError, match="noise can only be the first of two populations"):
            Marginals(tuple(map(float, range(len(wrong)))), wrong)


def test_a_course_from_noise_has_the_covariates_of_its_points():
    points = Population.of(torch.zeros(3, 2), condition=torch.eye(3))
    assert Marginals((0.0, 1.0), (Gaussian(torch.zeros(1, 2)), points)).condition_dim == 3


# Points that are stored otherwise than they are drawn


def read(rows, generator):
    """Map bytes to -1..1; with a generator, flip the sign of half of the rows."""
    x = rows.x / 127.5 - 1
    if generator is not None:
        device = generator.device
        turned = torch.rand(len(x), generator=generator, device=device) < 0.5
        x = torch.where(turned[:, None], -x, x)
    return replace(rows, x=x)


@pytest.fixture
def stored() -> Population:
    """Return ten rows of bytes with columns that identify the row."""
    x = torch.arange(200, 230, dtype=torch.uint8).reshape(10, 3)
    rows = Batch(x, label=torch.arange(10), condition=torch.arange(10.0)[:, None])
    return Population(rows, transform=read)


def test_stored_rows_are_read_when_they_are_drawn_and_changed_at_random_then_only(
    stored, generator
):
    points = stored.stored.x / 127.5 - 1
    assert torch.equal(stored.cells.x, points)
    assert torch.equal(stored.points, points)
    assert torch.equal(stored.cells.label, torch.arange(10))
    seen = set()
    for _ in range(20):
        drawn = stored.sample(10, generator)
        assert torch.equal(drawn.label.sort().values, torch.arange(10))
        assert torch.equal(drawn.condition[:, 0], drawn.label.float())
        signs = (drawn.x / points[drawn.label])[:, 0].round()
        torch.testing.assert_close(drawn.x, signs[:, None] * points[drawn.label])
        seen |= set(zip(drawn.label.tolist(), signs.tolist(), strict=True))
    assert len(seen) == 20
    assert stored.stored.x.dtype == torch.uint8


@given(n=st.integers(1, 30), weighted=st.booleans())
def test_what_is_drawn_is_the_same_with_and_without_a_reading(stored, n, weighted):
    """Without random changes, a seed draws the same rows with and without a transform."""
    still = replace(stored, transform=lambda rows, _generator: read(rows, None))
    if weighted:
        still = replace(still, weights=torch.arange(1.0, 11))
    plain = replace(still, stored=still.cells, transform=None)
    found, expected = (each.sample(n, torch.Generator().manual_seed(n)) for each in (still, plain))
    assert found.columns().keys() == expected.columns().keys()
    for name, column in expected.columns().items():
        assert torch.equal(getattr(found, name), column)


def test_the_same_seed_draws_and_changes_the_same(stored):
    first, again, other = (
        stored.sample(7, torch.Generator().manual_seed(seed)).x for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_bytes_have_masses_that_are_numbers(stored):
    assert torch.equal(stored.masses, torch.full((10,), 0.1))
    assert stored.masses.dtype == torch.float32
    heavy = stored.scale_masses(torch.arange(10.0))
    torch.testing.assert_close(heavy.masses, torch.arange(10.0) / 45)
    assert heavy.transform is read


def test_rows_of_what_is_stored_and_its_place_keep_the_reading(stored, generator):
    rows = torch.tensor([7, 2])
    part = replace(stored, weights=torch.arange(1.0, 11))[rows]
    assert len(part) == 2
    assert part.stored.x.dtype == torch.uint8
    assert torch.equal(part.points, stored.points[rows])
    assert torch.equal(part.label, rows)
    torch.testing.assert_close(part.masses, torch.tensor([8.0, 3.0]) / 11)
    assert set(part.sample(50, generator).label.tolist()) == {2, 7}
    moved = part.to("cpu")
    assert moved.transform is read
    assert torch.equal(moved.points, part.points)
    assert torch.equal(moved.weights, part.weights)


def test_bytes_have_as_many_dimensions_as_their_points(stored):
    assert stored.dim == stored.points.shape[1] == 3
    assert stored.is_transformed
    assert not Population.of(stored.points).is_transformed


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("weighted", [False, True])
def test_points_come_where_the_generator_is_wherever_they_are_kept(stored, weighted):
    if weighted:
        stored = replace(stored, weights=torch.arange(1.0, 11))
    for kept in (stored, stored.to("cuda")):
        drawn = kept.sample(50, torch.Generator("cuda").manual_seed(0))
        assert {column.device.type for column in drawn.columns().values()} == {"cuda"}
        expected = stored.points.to("cuda")[drawn.label]
        torch.testing.assert_close(drawn.x.abs(), expected.abs())


def test_chosen_rows_are_read_and_nothing_changed_at_random(stored):
    rows = torch.tensor([3, 3, 0])
    assert torch.equal(stored.take(rows).x, stored.points[rows])
    assert torch.equal(stored.take(rows).label, rows)


def test_populations_of_different_dimensions_are_refused():
    with pytest.raises(InputError, match=r"equal numbers of dimensions, got \[2, 3\]"):
        Marginals((0.0, 1.0), (Gaussian(torch.zeros(1, 2)), Population.of(torch.ones(4, 3))))
