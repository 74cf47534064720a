"""Pairs keep numeric conditions, by every coupling, within values or by distance in costs."""

import numpy as np
import pytest
import torch

import cellflow as cf
from cellflow import InputError, method, recipe
from cellflow._batch import Batch
from cellflow.couplings import LineageCost
from cellflow.flow import Flow
from cellflow.io import SideColumns, condition_weight, populations
from cellflow.marginals import Marginals, Population, TimeAxis
from cellflow.methods.parts import COUPLINGS
from cellflow.nets import Fields
from cellflow.training.context import Fit
from cellflow.training.time_course import course_coupling, wfr_length_scale
from tests.flows import course_of

N = 240
SHORT = recipe("default", coupling_batch_size=120)
AXIS = TimeAxis("index", (0.0, 1.0))

#: Couplings that pair cells by costs, each with what it needs on few cells.
BY_COST = {
    **{name: {} for name in ["ot", "entropic", "unbalanced", "partial", "exact-full", "auto"]},
    "blockwise": {"block_size": 120},
    "low-rank": {"rank": 40},
    "semidiscrete": {"semidiscrete_steps": 1500},
    "wfr": {"path": "wfr", "objective": "growth"},
    "composition": {"objective": "growth"},
    "acceleration": {},
}


def dosed_course(rng, doses, n=N):
    """Cells that move by twice their dose along the first axis; dose 0 does not move.

    Doses of the second time are turned round, so that what lies nearest has another dose.
    """
    dose = rng.choice(doses, size=(2, n)) if len(doses) < n else np.stack([doses, doses])
    points = rng.normal(size=(2, n, 2)) * 0.3
    points[1, :, 0] += 2 * dose[1]
    points[0, :, 0] += 2 - 2 * dose[0]
    return course_of(points.reshape(-1, 2), np.repeat([0, 1], n), dose=dose.ravel())


def still_flow():
    nets = Fields.make(("velocity",), (2,), condition_dim=1, width=4, depth=1)
    return Flow(nets, AXIS, method("ot-cfm"), SHORT)


def pairs_of(adata, chosen, generator, n=400):
    """Pairs of a method, whose covariates are the standardised ranks of the dose."""
    elapsed, points = adata.obs["day"].to_numpy(), adata.obsm["X_pca"]
    cells, _ = SideColumns().encode(adata, points, elapsed, ["dose"], condition_weight(chosen))
    marginals = populations(cells, elapsed, (0.0, 1.0), AXIS)
    prior = still_flow() if chosen.coupling.needs_prior else None
    fit = Fit(marginals, chosen, SHORT, torch.zeros(2), 1.0, generator, prior=prior)
    fit = Fit(**{**vars(fit), "wfr_length_scale": wfr_length_scale(fit)})
    return course_coupling(fit).sample(n, generator)


def make(coupling):
    settings = dict(BY_COST.get(coupling, {}))
    if coupling == "entropic":
        settings["sigma"] = 0.1
    return method("ot-cfm", coupling=coupling, **settings)


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("coupling", sorted(COUPLINGS))
def test_pairs_of_few_doses_have_the_same_dose(coupling, rng, generator):
    pairs = pairs_of(dosed_course(rng, [0.0, 0.1, 1.0]), make(coupling), generator)
    assert torch.equal(pairs.c0, pairs.c1)
    assert len(pairs.c0.unique()) == 3


@pytest.mark.parametrize("coupling", sorted(BY_COST))
def test_pairs_of_many_doses_have_doses_nearby(coupling, rng, generator):
    """Ranks of random pairs differ by 1/3 on average, and here by more without the condition."""
    adata, chosen = dosed_course(rng, np.linspace(0, 1, N)), make(coupling)
    spread = 12**-0.5
    apart = [
        float((pairs.c0 - pairs.c1).abs().mean()) * spread
        for pairs in (
            pairs_of(adata, chosen, generator),
            pairs_of(adata, method(chosen, condition_weight=0.0), generator),
        )
    ]
    assert apart[0] < 0.06
    assert apart[1] > 0.25


def test_every_coupling_keeps_conditions_or_refuses_them():
    assert {name for name, each in COUPLINGS.items() if each.sees_conditions} == set(BY_COST)
    assert set(COUPLINGS) - set(BY_COST) == {"independent"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"coupling": "independent"}, "would learn one course.*take a coupling of.*ot"),
        ({"coupling": "semidiscrete", "cost_dim": 1}, "cost_dim=1 leaves a numeric condition out"),
    ],
)
def test_couplings_that_would_mix_many_doses_are_refused(changes, message, rng, generator):
    with pytest.raises(InputError, match=message):
        pairs_of(dosed_course(rng, np.linspace(0, 1, N)), method("ot-cfm", **changes), generator)


def test_noise_takes_the_dose_of_its_target(rng, generator):
    pairs = pairs_of(dosed_course(rng, np.linspace(0, 1, N)), method("fm"), generator)
    assert torch.equal(pairs.c0, pairs.c1)


def test_the_length_scale_of_growth_is_that_of_pairs_within_labels():
    """Two doses change places: nothing seems to move if doses are mixed, and each moves by 4."""
    x = torch.tensor([[0.0], [4.0]]).repeat_interleave(30, dim=0)
    label = torch.tensor([0, 1]).repeat_interleave(30)
    ends = Population.of(x, label=label), Population.of(4 - x, label=label)
    marginals = Marginals((0.0, 1.0), ends)
    fit = Fit(marginals, method("wfr-fm"), SHORT, torch.zeros(1), 1.0, torch.Generator())
    assert wfr_length_scale(fit) == pytest.approx(4.0)


def test_clones_do_not_make_up_for_another_dose(generator):
    """Free transport within a clone, and still each cell goes to its own dose."""
    x = torch.zeros((6, 2))
    doses = torch.arange(6.0)[:, None]
    clones = torch.zeros((6, 1), dtype=torch.long)
    cells = Batch(x, condition_features=doses, clones=clones)
    cost = LineageCost(strength=1.0)(cells, cells)
    torch.testing.assert_close(cost, (doses - doses.T) ** 2)


@pytest.mark.parametrize("doses", [[0.0, 0.5, 1.0], np.linspace(0, 1, N)], ids=["few", "many"])
def test_a_flow_moves_each_dose_at_its_own_speed(doses, rng):
    """The drift is linear in the dose, 0 stays; without the condition all would move by 1."""
    dose = rng.choice(doses, size=(2, N)) if len(doses) < N else np.stack([doses, doses])
    points = rng.normal(size=(2, N, 2)) * 0.3
    points[1, :, 0] += 2 * dose[1]
    adata = course_of(points.reshape(-1, 2), np.repeat([0, 1], N), dose=dose.ravel())
    short = recipe("default", n_steps=300, net={"width": 24}, coupling_batch_size=120)
    options = {"recipe": short, "use_rep": "X_pca", "method": "ot-cfm", "progress": False}
    flow = cf.tl.fit(adata, condition_keys="dose", **options)
    moved = cf.tl.push(adata, flow, "day=0", 1.0)
    start = adata[adata.obs["day"] == 0]
    shift = (moved.obsm["X_cellflow"] - start.obsm["X_pca"])[:, 0]
    fitted = np.polyfit(start.obs["dose"], shift, 1)
    assert fitted == pytest.approx([2, 0], abs=0.25)
