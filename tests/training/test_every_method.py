"""Every method, end to end on populations whose course is known, and what is special of some."""

import math
import re

import numpy as np
import pytest
import torch

from cellflow import InputError, method, recipe
from cellflow.marginals import Marginals, Population, TimeAxis
from cellflow.methods.parts import COUPLINGS
from cellflow.methods.presets import PRESETS
from cellflow.training import fit_flow
from cellflow.training.builders import COUPLING_BUILDERS
from cellflow.training.context import Fit
from cellflow.training.time_course import check_side_columns, course_coupling
from tests.trainings import DEVICE

AXIS = TimeAxis("index", (0.0, 1.0, 2.0, 3.0))
#: The smallest fit that meets the bounds of these tests with room for another seed.
SHORT = recipe(
    "default", n_steps=60, learning_rate=1e-2, batch_size=128, net={"width": 32},
    coupling_batch_size=64,
)  # fmt: skip

#: From noise, so cells of the time before are not its source.
GENERATORS = {"fm"}
#: From noise only; `test_aot.py` fits them.
DENOISERS = {"edm", "aot"}
#: Soft marginals: mass that would go far is not moved, so the population is found too near.
SOFT = {"uot-fm", "unbalanced"}
#: Go on from a flow that was fitted before.
TUNING = {"oat-fm"}
#: Averages the ends, drawn apart, without keeping to the line between them.
CURVED = {"vp"}


def moving(n=150, times=(0.0, 1.0, 3.0), **columns):
    """Populations that move one unit of flow time along the first axis in each unit of time."""
    g = torch.Generator().manual_seed(1)
    cells = [torch.randn((n, 2), generator=g) * 0.3 for _ in times]
    for cell, time in zip(cells, times, strict=True):
        cell[:, 0] += time
    return Marginals(times, tuple(Population.of(cell, **columns) for cell in cells))


def fitted(marginals, chosen, **options):
    settings = {"recipe": SHORT, "seed": 0, "device": DEVICE, **options}
    return fit_flow(marginals, AXIS, method=chosen, **settings)


#: Those that another test file fits.
ELSEWHERE = GENERATORS | CURVED | DENOISERS | TUNING


@pytest.mark.parametrize("name", sorted(set(PRESETS) - ELSEWHERE))
def test_a_method_meets_a_held_out_time_of_a_moving_population(name):
    marginals = moving()
    chosen = method(name)
    if chosen.path.name == "metric":
        chosen = method(chosen, geopath_steps=50)
    flow = fitted(marginals, chosen)
    start = marginals.populations[1].points
    moved = flow.push(start, 1.0, 2.0, n_steps=20).mean(dim=0)
    assert (1.3 if name in SOFT else 1.85) < float(moved[0]) < 2.15
    assert float(moved[1]) == pytest.approx(0.0, abs=0.15)


@pytest.mark.parametrize("name", sorted(GENERATORS | CURVED))
def test_methods_that_pass_elsewhere_still_reach_the_next_time(name):
    marginals = moving()
    flow = fitted(marginals, method(name))
    start = marginals.populations[0].points
    if name == "fm":
        centre = torch.cat([population.points for population in marginals.populations])
        noise = torch.randn(start.shape, generator=torch.Generator().manual_seed(3))
        start = centre.mean(dim=0) + (centre - centre.mean(dim=0)).square().mean().sqrt() * noise
    moved = flow.push(start, 0.0, 1.0).mean(dim=0)
    assert float(moved[0]) == pytest.approx(1.0, abs=0.25)


@pytest.mark.parametrize("name", sorted(set(COUPLINGS) - {"wfr", "composition", "acceleration"}))
def test_every_coupling_of_cells_can_be_fitted_with(name):
    marginals = moving(n=60)
    flow = fitted(
        marginals,
        method("ot-cfm", coupling=name, **({"rank": 5} if name == "low-rank" else {})),
        recipe=recipe(SHORT, coupling_batch_size=32),
    )
    start = marginals.populations[1].points
    moved = float(flow.push(start, 1.0, 2.0)[:, 0].mean())
    assert (1.3 if name in SOFT else 1.75) < moved < 2.25


def test_acceleration_coupling_asks_the_flow_fitted_before():
    marginals = moving(n=60)
    with pytest.raises(InputError, match="give it as prior"):
        fitted(marginals, method("ot-cfm", coupling="acceleration"))
    first = fitted(marginals, method("i-cfm"))
    flow = fitted(marginals, method("ot-cfm", coupling="acceleration"), prior=first)
    start = marginals.populations[1].points
    assert float(flow.push(start, 1.0, 2.0)[:, 0].mean()) == pytest.approx(2.0, abs=0.15)


def test_a_prior_of_another_kind_is_refused_with_the_reason():
    marginals = moving(n=20)
    quick = {"recipe": recipe("default", n_steps=2, net={"width": 4})}
    first = fitted(marginals, method("i-cfm"), **quick)
    chosen = method("ot-cfm", coupling="acceleration")
    with pytest.raises(InputError, match="'ot' does not use a prior; acceleration does"):
        fitted(marginals, method("ot-cfm"), prior=first, **quick)
    wide = Marginals(
        marginals.times,
        tuple(Population.of(each.points.repeat(1, 2)) for each in marginals.populations),
    )
    with pytest.raises(InputError, match="prior has dimensions 2, this fit 4"):
        fitted(wide, chosen, prior=first, **quick)
    other = fit_flow(
        marginals, TimeAxis("real", (0.0, 1.0, 3.0)), method=method("i-cfm"), seed=0, device=DEVICE,
        **quick,
    )  # fmt: skip
    with pytest.raises(InputError, match="prior has time axis"):
        fitted(marginals, chosen, prior=other, **quick)


def test_mean_flow_takes_a_step_for_each_interval_that_it_passes():
    """A population that turns a corner at time 1: one step over it would cut the corner."""
    g = torch.Generator().manual_seed(0)
    cells = torch.randn((150, 2), generator=g) * 0.2
    stops = torch.tensor([[0.0, 0.0], [3.0, 0.0], [3.0, 3.0]])
    marginals = Marginals((0.0, 1.0, 2.0), tuple(Population.of(cells + stop) for stop in stops))
    flow = fit_flow(
        marginals, TimeAxis("index", (0.0, 1.0, 2.0)), seed=0, device=DEVICE,
        method=method("mean-flow"), recipe=recipe(SHORT, n_steps=200),
    )  # fmt: skip
    way = flow.trajectory(cells, [0.0, 0.5, 2.0])
    assert way.nfe == 3
    torch.testing.assert_close(way.x[1].mean(dim=0), torch.tensor([1.5, 0.0]), atol=0.2, rtol=0)
    torch.testing.assert_close(way.end.mean(dim=0), stops[2], atol=0.4, rtol=0)
    back = flow.push(cells + stops[2], 2.0, 0.0)
    torch.testing.assert_close(back.mean(dim=0), stops[0], atol=0.4, rtol=0)


def test_mean_flow_needs_one_evaluation_and_goes_back_as_well():
    marginals = moving()
    flow = fitted(
        marginals,
        method("ot-cfm", objective="mean-flow"),
        recipe=recipe(SHORT, n_steps=120),
    )
    start = marginals.populations[1].points
    there = flow.trajectory(start, [1.0, 2.0])
    assert there.nfe == 1
    assert float(there.end[:, 0].mean()) == pytest.approx(2.0, abs=0.1)
    back = flow.push(marginals.populations[2].points, 3.0, 2.0)
    assert float(back[:, 0].mean()) == pytest.approx(2.0, abs=0.1)


def test_only_flows_with_a_score_are_simulated_with_noise(generator):
    marginals = moving()
    flow = fitted(marginals, method("sf2m", sigma=0.5))
    start = marginals.populations[0].points
    ends = [flow.simulate(start, [0.0, 1.0], generator, n_steps=20).end for _ in range(2)]
    assert not torch.equal(*ends)
    for end in ends:
        assert float(end[:, 0].mean()) == pytest.approx(1.0, abs=0.15)
        assert float(end.std(dim=0).mean()) == pytest.approx(0.3, abs=0.1)
    back = flow.simulate(marginals.populations[1].points, [1.0, 0.0], generator, n_steps=20).end
    assert float(back[:, 0].mean()) == pytest.approx(0.0, abs=0.15)
    with pytest.raises(InputError, match=r"has no score.*'velocity-score'"):
        fitted(marginals, method("ot-cfm")).simulate(start, [0.0, 1.0], generator)


def test_learned_growth_follows_the_numbers_of_cells():
    """Twice as many cells on the right at the second time: mass there doubles on the way."""
    g = torch.Generator().manual_seed(0)
    left, right = (torch.randn((n, 2), generator=g) * 0.2 + x for n, x in ((100, -3), (100, 3)))
    grown = torch.randn((200, 2), generator=g) * 0.2 + 3
    first, second = torch.cat([left, right]), torch.cat([left, grown])
    marginals = Marginals((0.0, 1.0), (Population.of(first), Population.of(second)))
    flow = fit_flow(
        marginals, TimeAxis("index", (0.0, 1.0)), method=method("wfr-fm", delta=0.5),
        recipe=SHORT, seed=0, device=DEVICE,
    )  # fmt: skip
    gained = flow.trajectory(first, [0.0, 1.0]).log_mass[-1]
    assert float(gained[:100].mean()) == pytest.approx(0.0, abs=0.12)
    assert float(gained[100:].mean()) == pytest.approx(math.log(2), abs=0.12)
    back = flow.trajectory(second, [1.0, 0.0]).log_mass[-1]
    assert float(back[100:].mean()) == pytest.approx(-math.log(2), abs=0.12)


@pytest.mark.parametrize(
    ("evidence", "growth"), [("relative", 1.0), ("counts", 1.5), ("rising", 1.5), ("rates", 2.0)]
)
@pytest.mark.parametrize("labelled", [True, False])
def test_a_population_grows_by_its_evidence_alone(evidence, growth, labelled, generator):
    """100 cells, then 150, each with a rate that doubles it; the cells stay where they are."""
    first = torch.randn((100, 2), generator=generator)
    second = torch.cat([first, first[:50]])
    labels = [torch.arange(len(x)) % 2 if labelled else None for x in (first, second)]
    rate = torch.full((100,), math.log(2)) if evidence == "rates" else None
    marginals = Marginals(
        (0.0, 1.0),
        (
            Population.of(first, label=labels[0], rate=rate),
            Population.of(second, label=labels[1], rate=None if rate is None else torch.zeros(150)),
        ),
    )
    chosen = method("default", growth=evidence)
    fit = Fit(marginals, chosen, SHORT, torch.zeros(2), 1.0, generator, wfr_length_scale=1.0)
    pairs = course_coupling(fit).sample(4000, generator)
    assert float(pairs.m1.mean() / pairs.m0.mean()) == pytest.approx(growth, rel=0.03)


#: Those of cells, and settings that are given in units of the points.
UNITS = {
    **{name: {} for name in sorted(set(PRESETS) - DENOISERS - TUNING - {"ot-mfm"})},
    "ot-mfm": {"geopath_steps": 3, "land_bends": "all", "land_gamma": 0.5},
    "wfr-fm of delta": {"delta": 1.0},
    "uot-fm of epsilon": {"epsilon": 0.3},
}


@pytest.mark.parametrize("name", UNITS)
def test_neither_the_unit_of_points_nor_their_origin_matters(name):
    """What is learned of 8 x + 16 is what is learned of x, in other units."""
    chosen = method(name.split(" of ")[0], **UNITS[name])
    short = recipe(
        "default", n_steps=4, learning_rate=0.03, batch_size=32, net={"width": 8},
        coupling_batch_size=32,
    )  # fmt: skip
    found = []
    for unit, origin in ((1.0, 0.0), (8.0, 16.0)):
        cells = [unit * each.points + origin for each in moving(n=40).populations]
        marginals = Marginals((0.0, 1.0, 3.0), tuple(map(Population.of, cells)))
        flow = fitted(marginals, chosen, recipe=short)
        moved = flow.trajectory(cells[1], [1.0, 2.0], n_steps=2)
        numbers = {
            "end": (moved.end - origin) / unit,
            "log_mass": moved.log_mass[-1],
            "diffusion": torch.tensor(flow.record.diffusion) / unit,
            "delta": torch.tensor(flow.record.wfr_length_scale or 0.0) / unit,
        }
        if "score" in flow.nets.roles:
            numbers["score"] = flow.nets.score(torch.ones(40), cells[1]).detach() / unit
        found.append(numbers)
    torch.testing.assert_close(*found, rtol=0, atol=2e-3)


@pytest.mark.parametrize(
    "chosen",
    [
        method("ot-cfm", objective="growth"),
        method("wfr-fm", growth="rates", delta=0.5),
        method(growth="rates"),
    ],
    ids=["ot", "wfr", "composition"],
)
def test_known_growth_moves_the_source_to_what_it_becomes(chosen):
    """Left cells multiply by e in each unit of time, right ones stay; the targets show it."""
    g = torch.Generator().manual_seed(0)
    left, right = torch.randn((2, 120, 2), generator=g) * 0.2 + torch.tensor([[[-3.0]], [[3.0]]])
    rate = torch.cat([torch.ones(120), torch.zeros(120)])
    more = torch.randn((326, 2), generator=g) * 0.2 - 3
    source = Population.of(torch.cat([left, right]), rate=rate)
    target = Population.of(torch.cat([more, right]), rate=torch.zeros(446))
    marginals = Marginals((0.0, 1.0), (source, target))
    fit = Fit(marginals, chosen, SHORT, torch.zeros(2), 1.0, torch.Generator().manual_seed(0))
    pairs = course_coupling(fit).sample(4000, fit.generator)
    crossing = (pairs.x0[:, 0] * pairs.x1[:, 0] < 0).double().mean()
    assert float(crossing) < 0.08
    flow = fit_flow(
        marginals, TimeAxis("index", (0.0, 1.0)), method=chosen, recipe=SHORT, seed=0, device=DEVICE
    )
    gained = flow.trajectory(source.points, [0.0, 1.0]).log_mass[-1]
    assert float(gained[:120].mean()) == pytest.approx(1.0, abs=0.12)
    assert float(gained[120:].mean()) == pytest.approx(0.0, abs=0.12)


def test_labels_keep_groups_apart_even_where_transport_would_mix_them(generator):
    """Two groups that change places: within labels every pair crosses."""
    line = torch.linspace(-1, 1, 40)[:, None]
    label = (line[:, 0] > 0).long()
    marginals = Marginals(
        (0.0, 1.0), (Population.of(line, label=label), Population.of(-line, label=label))
    )
    fit = Fit(marginals, method("ot-cfm"), SHORT, torch.zeros(1), 1.0, generator)
    pairs = course_coupling(fit).sample(200, generator)
    assert (pairs.x0 * pairs.x1 < 0).all()


@pytest.mark.parametrize("known", [True, False])
def test_labels_change_nothing_about_how_mass_grows(known, generator):
    """300 + 100 cells become 300 + 900: a quarter is of the second kind at first, then 3 / 4."""
    far = torch.tensor([[0.0, 0.0], [20.0, 0.0]])
    sizes = [(300, 100), (300, 900)]
    ends = []
    for counts in sizes:
        label = torch.repeat_interleave(torch.arange(2), torch.tensor(counts))
        x = torch.randn((len(label), 2), generator=generator) * 0.2 + far[label]
        rate = label * math.log(9) if known else None
        ends.append(Population.of(x, label=label, rate=rate))
    chosen = method("ot-cfm", objective="growth") if known else method("wfr-fm", delta=2.0)
    marginals = Marginals((0.0, 1.0), tuple(ends))
    fit = Fit(marginals, chosen, SHORT, torch.zeros(2), 1.0, generator, wfr_length_scale=2.0)
    pairs = course_coupling(fit).sample(8000, generator)
    second = (pairs.x0[:, 0] > 10).float()
    for mass, share in ((pairs.m0, 0.25), (pairs.m1, 0.75)):
        assert float((second * mass).sum() / mass.sum()) == pytest.approx(share, abs=0.03)


@pytest.mark.parametrize("given", ["clones", "features", "transitions"])
def test_methods_that_are_named_use_what_another_does_not(given):
    refused = {"clones": False, "features": False, "transitions": False, given: True}
    with pytest.raises(InputError, match="'independent' does not use") as caught:
        check_side_columns(method("i-cfm"), **refused)
    methods, couplings = re.findall(r"(?:take method|or coupling) ([^()]+) \(", str(caught.value))
    assert "default" in methods.split(", ")
    assert "ot" in couplings.split(", ")
    for name in methods.split(", "):
        check_side_columns(method(name), **refused)
    for name in couplings.split(", "):
        check_side_columns(method("ot-cfm", coupling=name), **refused)


@pytest.mark.parametrize(
    ("columns", "changes", "message"),
    [
        ({"clones": torch.zeros((8, 1), dtype=torch.long)}, {"coupling": "low-rank"}, "clones"),
        ({"features": torch.zeros(8, 3)}, {"coupling": "independent"}, "cost_rep"),
        ({"features": torch.zeros(8, 3)}, {"coupling": "entropic"}, "give epsilon"),
    ],
)
def test_what_a_coupling_would_not_see_is_refused(columns, changes, message, generator):
    line = torch.linspace(-1, 1, 8)[:, None]
    ends = (Population.of(line, **columns), Population.of(line + 1, **columns))
    marginals = Marginals((0.0, 1.0), ends)
    fit = Fit(marginals, method("ot-cfm", **changes), SHORT, torch.zeros(1), 1.0, generator)
    with pytest.raises(InputError, match=message):
        course_coupling(fit)


@pytest.mark.parametrize("changes", [{"coupling": "entropic"}, {"coupling": "low-rank", "rank": 5}])
def test_epsilon_is_in_units_of_the_coordinates_that_costs_are_taken_on(changes):
    """Features in other units leave the pairs as they are."""
    g = torch.Generator().manual_seed(0)
    x, y = torch.randn((2, 64, 2), generator=g)
    served = []
    for unit in (1.0, 1 / 64, 64.0):
        ends = (Population.of(x, features=x * unit), Population.of(y, features=y * unit))
        chosen = method("ot-cfm", epsilon=0.3, **changes)
        marginals, generator = Marginals((0.0, 1.0), ends), torch.Generator().manual_seed(1)
        fit = Fit(marginals, chosen, SHORT, torch.zeros(2), 1.0, generator)
        served.append(course_coupling(fit).sample(640, generator))
    for other in served[1:]:
        assert float((other.x1 == served[0].x1).all(dim=1).float().mean()) > 0.99


@pytest.mark.parametrize(
    ("changes", "epsilon"),
    [
        ({"coupling": "entropic", "epsilon": 0.3}, 0.3 * 7),
        ({"coupling": "entropic", "path": "bridge", "sigma": 0.4}, 2 * (0.4 * 3) ** 2 * 2),
        ({"coupling": "unbalanced", "epsilon": 0.3}, 0.3 * 7),
        ({"coupling": "unbalanced"}, 0.01 * 5),
    ],
)
def test_plans_fall_exponentially_with_the_cost_over_epsilon(changes, epsilon, generator):
    """log P + C / epsilon has one term for each row and one for each column.

    Epsilon is in units of costs, 7, or 2 sigma^2 T, or a hundredth of the mean cost.
    """
    chosen = method("ot-cfm", **changes)
    sides = [Population.of(torch.zeros(n, 2)) for n in (6, 5)]
    fit = Fit(Marginals((1.0, 3.0), tuple(sides)), chosen, SHORT, torch.zeros(2), 3.0, generator, 7)
    coupling = COUPLING_BUILDERS[chosen.coupling.name](fit, chosen.coupling, *sides, (1.0, 3.0))
    cost = torch.rand((6, 5), generator=generator, dtype=torch.float64)
    cost = (5 + 0.1 * (cost - cost.mean())).numpy()
    rest = np.log(coupling.solver(cost).matrix(6, 5)) + cost / epsilon
    rest = rest - rest.mean(axis=0)
    np.testing.assert_allclose(rest, rest[:, :1].repeat(5, axis=1), atol=1e-6)


def test_labels_without_a_common_value_are_refused(generator):
    line = torch.linspace(-1, 1, 8)[:, None]
    ends = (Population.of(line, label=torch.full((8,), k)) for k in (0, 1))
    marginals = Marginals((0.0, 1.0), tuple(ends))
    fit = Fit(marginals, method("ot-cfm"), SHORT, torch.zeros(1), 1.0, generator)
    with pytest.raises(InputError, match="no label has cells at both ends"):
        course_coupling(fit)


def test_conditions_give_each_group_its_own_velocity():
    g = torch.Generator().manual_seed(0)
    start = torch.randn((200, 2), generator=g) * 0.2
    side = torch.cat([torch.ones(100), -torch.ones(100)])
    stop = start + torch.stack([side, torch.zeros(200)], dim=1)
    columns = {"condition": side[:, None], "label": (side > 0).long()}
    marginals = Marginals(
        (0.0, 1.0), (Population.of(start, **columns), Population.of(stop, **columns))
    )
    flow = fit_flow(
        marginals, TimeAxis("index", (0.0, 1.0)), method=method("ot-cfm"), recipe=SHORT,
        seed=0, device=DEVICE,
    )  # fmt: skip
    for sign in (1.0, -1.0):
        moved = flow.push(start, 0.0, 1.0, condition=torch.full((200, 1), sign)) - start
        assert float(moved[:, 0].mean()) == pytest.approx(sign, abs=0.1)


def test_entropic_coupling_takes_its_epsilon_from_sigma_and_the_length(generator):
    """2 sigma^2 T: with sigma^2 T = 1 unit Gaussians in the plane are 4 - 4 * .618 apart."""
    spans = [(0.0, 0.1), (0.0, 4.0)]
    lengths = []
    for span in spans:
        cells = [torch.randn((64, 2), generator=generator) for _ in span]
        marginals = Marginals(span, tuple(map(Population.of, cells)))
        fit = Fit(marginals, method("sb-cfm"), SHORT, torch.zeros(2), 1.0, generator)
        pairs = course_coupling(fit).sample(3000, generator)
        lengths.append(float((pairs.x1 - pairs.x0).square().sum(dim=1).mean()))
    assert lengths[0] < 0.4
    assert lengths[1] == pytest.approx(4 - 4 * 0.618, abs=0.2)


def test_early_stopping_takes_the_weights_of_the_lowest_loss_on_unseen_cells():
    marginals = moving(n=40)
    greedy = recipe("default", n_steps=3000, net={"width": 64}, train_fraction=0.5, patience=3)
    flow = fitted(marginals, method("i-cfm"), recipe=greedy)
    check = flow.history["check"]
    assert len(check) == len(flow.history["step"])
    assert check.index(min(check)) == len(check) - 1 - 3
    assert flow.history["step"][-1] < 3000


def test_kept_potentials_give_the_same_flow_as_new_ones(tmp_path, monkeypatch):
    marginals = moving(n=60)
    chosen = method("sd-fm", potentials=str(tmp_path / "kept"))
    quick = recipe("default", n_steps=20, net={"width": 8})
    flows = [fitted(marginals, method("sd-fm"), recipe=quick)]
    flows.append(fitted(marginals, chosen, recipe=quick))
    assert len(list((tmp_path / "kept").iterdir())) == 2
    monkeypatch.setattr(
        "cellflow.training.potentials.fit_potentials", lambda *_, **__: pytest.fail("made anew")
    )
    flows.append(fitted(marginals, chosen, recipe=quick))
    assert len({flow.fingerprint for flow in flows}) == 1


def test_a_flow_asks_for_as_many_covariates_as_it_was_fitted_with():
    flow = fitted(
        moving(n=20), method("i-cfm"), recipe=recipe("default", n_steps=2, net={"width": 4})
    )
    with pytest.raises(InputError, match="requires 0 covariates a cell as condition, got 3"):
        flow.push(torch.zeros(5, 2), 0.0, 1.0, condition=torch.zeros(5, 3))
