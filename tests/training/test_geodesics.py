"""The path of metric flow matching as a fit trains it: where it bends, and what decides that."""

import math
from dataclasses import replace

import pytest
import torch

from cellflow import method, recipe
from cellflow.marginals import Marginals, Population
from cellflow.paths import StraightPath
from cellflow.training import geodesics
from cellflow.training.context import Fit
from cellflow.training.geodesics import metric_path
from cellflow.training.time_course import course_coupling
from tests.seeds import seeded


def arc(start, stop, generator, n=200):
    angle = math.pi * (start + (stop - start) * torch.rand(n, generator=generator))
    points = torch.stack([angle.cos(), angle.sin()], dim=1)
    return points + 0.05 * torch.randn((n, 2), generator=generator)


def course(generator, label=None):
    """A quarter of a circle to the next, across the void, and then no movement."""
    clouds = [arc(*ends, generator) for ends in ((0, 0.5), (0.5, 1), (0.5, 1))]
    return Marginals((0.0, 1.0, 2.0), tuple(Population.of(x, label=label) for x in clouds))


def bend(marginals, **settings):
    chosen = method("ot-mfm", **{"geopath_learning_rate": 5e-3, "geopath_steps": 80, **settings})
    small = recipe("default", batch_size=64, net={"width": 16, "depth": 2})
    fit = Fit(marginals, chosen, small, torch.zeros(2), 1.0, seeded())
    path = metric_path(fit, chosen.path, lambda some: course_coupling(replace(fit, marginals=some)))
    pairs = [each.sample(300, seeded(1)) for each in course_coupling(fit).components]
    return replace(path, sigma=0.0), pairs


def draw(path, pairs):
    """Positions and velocities half way."""
    return path.sample(pairs, pairs.t0 + 0.5, seeded())


def test_paths_bend_where_straight_ones_leave_the_cells(generator):
    path, intervals = bend(course(generator))
    assert path.straight_starts == (1.0,)
    lines = StraightPath(0.0)
    torch.testing.assert_close(draw(path, intervals[1]).x, draw(lines, intervals[1]).x)
    torch.testing.assert_close(draw(path, intervals[1]).u, draw(lines, intervals[1]).u)
    radii = [draw(each, intervals[0]).x.norm(dim=1) for each in (path, lines)]
    away = [float((radius - 1).abs().mean()) for radius in radii]
    assert away[0] < 0.7 * away[1]


def test_all_paths_bend_as_published_if_asked(generator):
    path, intervals = bend(course(generator), land_bends="all")
    assert path.straight_starts == ()
    assert not torch.allclose(draw(path, intervals[1]).x, draw(StraightPath(0.0), intervals[1]).x)


def test_paths_are_straight_if_no_bend_has_less_energy_on_unseen_cells(generator):
    """A rate that is far too high makes every bend worse than none."""
    path, intervals = bend(course(generator), geopath_steps=2, geopath_learning_rate=1e3)
    for pairs in intervals:
        torch.testing.assert_close(draw(path, pairs).x, draw(StraightPath(0.0), pairs).x)


def test_the_net_is_trained_on_most_cells_and_chosen_by_the_others(generator, monkeypatch):
    seen = []
    split = geodesics.split_marginals
    monkeypatch.setattr(
        geodesics, "split_marginals", lambda *args: seen.append(split(*args)) or seen[-1]
    )
    bend(course(generator), geopath_steps=1)
    ((training, unseen),) = seen
    assert [len(each) for each in training.finite] == [180] * 3
    assert [len(each) for each in unseen.finite] == [20] * 3


@pytest.mark.parametrize("rare", [1, 2])
def test_a_group_of_few_cells_is_not_lost(rare, generator):
    """A tenth of one or two cells may be none of them; then all are trained on."""
    label = (torch.arange(200) < rare).long()
    path, _ = bend(course(generator, label), geopath_steps=1)
    assert path.straight_starts in ((), (1.0,))


def test_the_rate_of_the_flow_does_not_matter(generator):
    marginals = course(generator)

    def bent(rate):
        chosen = method("ot-mfm", geopath_steps=20)
        small = recipe("default", batch_size=64, net={"width": 16}, learning_rate=rate)
        fit = Fit(marginals, chosen, small, torch.zeros(2), 1.0, seeded())
        path = metric_path(
            fit, chosen.path, lambda some: course_coupling(replace(fit, marginals=some))
        )
        return draw(path, course_coupling(fit).components[0].sample(50, seeded(1))).u

    torch.testing.assert_close(bent(1.0), bent(1e-5), rtol=0, atol=0)


@pytest.mark.parametrize(("given", "steps"), [(None, 15), (7, 7)])
def test_more_cells_are_trained_on_for_more_steps(given, steps, generator, monkeypatch):
    """Ten passes through 9 of 10 of 100 pairs of cells, 64 a step."""
    seen, trainer = [], geodesics.Trainer

    def trained(net, coupling, energy, recipe, *args, **options):
        seen.append(recipe.n_steps)
        return trainer(net, coupling, energy, recipe, *args, **options)

    monkeypatch.setattr(geodesics, "Trainer", trained)
    whole = course(generator)
    few = replace(whole, populations=(whole.finite[0][torch.arange(100)], *whole.finite[1:]))
    bend(few, geopath_steps=given)
    assert seen == [steps]


def test_the_metric_is_in_the_units_of_a_fit():
    """Of 8 x it is that of x times 64^-alpha: the inverse of a squared length to the power."""
    chosen, values = method("ot-mfm", land_gamma=0.5), []
    x, y = torch.randn((2, 20, 2), generator=seeded())
    for unit in (1.0, 8.0):
        ends = Population.of(unit * x), Population.of(unit * y)
        marginals = Marginals((0.0, 1.0), ends)
        fit = Fit(marginals, chosen, recipe("default"), torch.zeros(2), unit, seeded(), unit**2)
        metric = geodesics._metric_between(fit, chosen.path, *ends)
        values.append(metric(unit * (x + 2)) * unit ** (2 * chosen.path.land_alpha))
    torch.testing.assert_close(*values, rtol=1e-3, atol=0)
