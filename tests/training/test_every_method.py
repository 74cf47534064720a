"""Every method, end to end on populations whose course is known, and what is special of some."""

import math

import pytest
import torch

from cellflow import InputError, method, recipe
from cellflow.marginals import Marginals, Population, TimeAxis
from cellflow.methods.parts import COUPLINGS
from cellflow.methods.presets import PRESETS
from cellflow.training import fit_flow
from cellflow.training.build import Build
from cellflow.training.couplings import course_coupling

CPU = torch.device("cpu")
AXIS = TimeAxis("index", (0.0, 1.0, 2.0, 3.0))
SHORT = recipe("default", n_steps=300, width=32, coupling_batch_size=64)

#: From noise, so cells of the time before are not its source.
GENERATORS = {"fm"}
#: Soft marginals: mass that would go far is not moved, so the population is found too near.
SOFT = {"uot-fm", "unbalanced"}
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
    settings = {"recipe": SHORT, "seed": 0, "device": CPU, **options}
    return fit_flow(marginals, AXIS, method=chosen, **settings)


@pytest.mark.parametrize("name", sorted(set(PRESETS) - GENERATORS - CURVED))
def test_a_method_meets_a_held_out_time_of_a_moving_population(name):
    marginals = moving()
    flow = fitted(marginals, method(name))
    start = marginals.populations[1].points
    moved = flow.push(start, 1.0, 2.0).mean(dim=0)
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


@pytest.mark.parametrize("name", sorted(set(COUPLINGS) - {"wfr", "acceleration"}))
def test_every_coupling_of_cells_can_be_fitted_with(name):
    marginals = moving(n=60)
    flow = fitted(
        marginals,
        method("ot-cfm", coupling=name, rank=5),
        recipe=recipe("default", n_steps=200, width=32, coupling_batch_size=32),
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


def test_mean_flow_needs_one_evaluation_and_goes_back_as_well():
    marginals = moving()
    flow = fitted(
        marginals,
        method("ot-cfm", objective="mean-flow"),
        recipe=recipe("default", n_steps=600, width=32),
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
        recipe=SHORT, seed=0, device=CPU,
    )  # fmt: skip
    gained = flow.log_growth(first, 0.0, 1.0)
    assert float(gained[:100].mean()) == pytest.approx(0.0, abs=0.12)
    assert float(gained[100:].mean()) == pytest.approx(math.log(2), abs=0.12)
    back = flow.log_growth(second, 1.0, 0.0)
    assert float(back[100:].mean()) == pytest.approx(-math.log(2), abs=0.12)


def test_known_growth_moves_the_source_to_what_it_becomes():
    """Left cells multiply by e in each unit of time, right ones stay; the targets show it."""
    g = torch.Generator().manual_seed(0)
    left, right = torch.randn((2, 120, 2), generator=g) * 0.2 + torch.tensor([[[-3.0]], [[3.0]]])
    rate = torch.cat([torch.ones(120), torch.zeros(120)])
    more = torch.randn((326, 2), generator=g) * 0.2 - 3
    source = Population.of(torch.cat([left, right]), rate=rate)
    target = Population.of(torch.cat([more, right]), rate=torch.zeros(446))
    marginals = Marginals((0.0, 1.0), (source, target))
    chosen = method("ot-cfm", objective="growth", growth="gene-sets")
    build = Build(chosen, SHORT, torch.zeros(2), 1.0, torch.Generator().manual_seed(0))
    pairs = course_coupling(build, marginals).sample(4000, build.generator)
    crossing = (pairs.x0[:, 0] * pairs.x1[:, 0] < 0).double().mean()
    assert float(crossing) < 0.08
    flow = fit_flow(
        marginals, TimeAxis("index", (0.0, 1.0)), method=chosen, recipe=SHORT, seed=0, device=CPU
    )
    gained = flow.log_growth(source.points, 0.0, 1.0)
    assert float(gained[:120].mean()) == pytest.approx(1.0, abs=0.12)
    assert float(gained[120:].mean()) == pytest.approx(0.0, abs=0.12)


def test_labels_keep_groups_apart_even_where_transport_would_mix_them(generator):
    """Two groups that change places: within labels every pair crosses."""
    line = torch.linspace(-1, 1, 40)[:, None]
    label = (line[:, 0] > 0).long()
    marginals = Marginals(
        (0.0, 1.0), (Population.of(line, label=label), Population.of(-line, label=label))
    )
    build = Build(method("ot-cfm"), SHORT, torch.zeros(1), 1.0, generator)
    pairs = course_coupling(build, marginals).sample(200, generator)
    assert (pairs.x0 * pairs.x1 < 0).all()


def test_labels_without_a_common_value_are_refused(generator):
    line = torch.linspace(-1, 1, 8)[:, None]
    ends = (Population.of(line, label=torch.full((8,), k)) for k in (0, 1))
    build = Build(method("ot-cfm"), SHORT, torch.zeros(1), 1.0, generator)
    with pytest.raises(InputError, match="no label has cells at both ends"):
        course_coupling(build, Marginals((0.0, 1.0), tuple(ends)))


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
        seed=0, device=CPU,
    )  # fmt: skip
    for sign in (1.0, -1.0):
        moved = flow.push(start, 0.0, 1.0, condition=torch.full((200, 1), sign)) - start
        assert float(moved[:, 0].mean()) == pytest.approx(sign, abs=0.1)


def test_entropic_coupling_takes_its_epsilon_from_sigma_and_the_length(generator):
    """2 sigma^2 T: with sigma^2 T = 1 unit Gaussians in the plane are 4 - 4 * .618 apart."""
    spans = [(0.0, 0.1), (0.0, 4.0)]
    build = Build(method("sb-cfm"), SHORT, torch.zeros(2), 1.0, generator)
    lengths = []
    for span in spans:
        cells = [torch.randn((64, 2), generator=generator) for _ in span]
        pairs = course_coupling(build, Marginals(span, tuple(map(Population.of, cells)))).sample(
            3000, generator
        )
        lengths.append(float((pairs.x1 - pairs.x0).square().sum(dim=1).mean()))
    assert lengths[0] < 0.4
    assert lengths[1] == pytest.approx(4 - 4 * 0.618, abs=0.2)


def test_early_stopping_takes_the_weights_of_the_lowest_loss_on_unseen_cells():
    marginals = moving(n=40)
    greedy = recipe("default", n_steps=3000, width=64, train_fraction=0.5, patience=3)
    flow = fitted(marginals, method("i-cfm"), recipe=greedy)
    check = flow.history["check"]
    assert len(check) == len(flow.history["step"])
    assert check.index(min(check)) == len(check) - 1 - 3
    assert flow.history["step"][-1] < 3000


def test_clipping_bounds_the_first_step():
    marginals = moving(n=40)
    nets = [
        fitted(
            marginals,
            method("i-cfm"),
            recipe=recipe("default", n_steps=1, clip=clip, ema_decay=0.0, schedule="constant"),
        ).nets.state_dict()
        for clip in (None, 1e-12)
    ]
    name = "nets.velocity.last.weight"
    assert not torch.equal(nets[0][name], nets[1][name])


def test_potentials_are_kept_and_used_again(tmp_path, monkeypatch):
    marginals = moving(n=60)
    chosen = method("sd-fm", potentials=str(tmp_path / "kept"))
    first = fitted(marginals, chosen)
    assert len(list((tmp_path / "kept").iterdir())) == 2
    monkeypatch.setattr(
        "cellflow.training.couplings.fit_potentials", lambda *_, **__: pytest.fail("made anew")
    )
    again = fitted(marginals, chosen)
    start = marginals.populations[0].points
    torch.testing.assert_close(again.push(start, 0, 1), first.push(start, 0, 1), atol=0.1, rtol=0)
