"""Plans, neighbours and baselines keep the conditions that a flow was fitted with."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import cellflow as cf
from cellflow.evaluation import external
from cellflow.evaluation.evaluation import Evaluation
from cellflow.evaluation.held_out import make_held_out
from cellflow.evaluation.held_out_parts import HeldOutPart
from cellflow.evaluation.named_methods import ExternalMethod
from cellflow.io import Conditions
from cellflow.nets import Fields
from cellflow.tl._plan_transitions import BridgeTransitions, CouplingTransitions
from cellflow.tl._time_course import TimeCourse
from tests.flows import course_of, flow_of

DOSES = {"few": np.repeat([0.0, 1.0], 20), "many": np.linspace(0, 1, 40)}


def crossing(doses, rng):
    """Each dose passes all others: a cell of dose c is at 3 (1 - 2 c) (1 - t) on days 0, 1, 2."""
    dose, day = np.tile(doses, 3), np.repeat([0.0, 1.0, 2.0], len(doses))
    points = rng.normal(size=(len(day), 2)) * 0.01
    points[:, 0] += 3 * (1 - 2 * dose) * (1 - day)
    return course_of(points, day, dose=dose)


def still(adata, speed=0.0):
    """A flow of one velocity for all, so that cells near to where one arrives have other doses."""
    nets = Fields.make(("velocity",), (2,), condition_dim=1, width=4, depth=1)
    with torch.no_grad():
        for weights in nets.parameters():
            weights.zero_()
        list(nets.parameters())[-1].copy_(torch.tensor([speed, 0.0]))
    flow = flow_of(adata, nets)
    points, day = adata.obsm["X_pca"], adata.obs["day"].to_numpy()
    conditions = Conditions.fit(adata.obs, ["dose"], day).weigh(points, day, 800.0)
    settings = {**flow.context.settings, "conditions": [dict(c) for c in conditions.columns]}
    return replace(flow, context=replace(flow.context, settings=settings))


PLANS = {"plans": CouplingTransitions, "bridge": BridgeTransitions}


def between_ends(adata, kind):
    """Return doses of the first day, and the mean dose of their partners on the last."""
    flow, dose = still(adata), adata.obs["dose"].to_numpy()
    day = adata.obs["day"].to_numpy()
    if kind in PLANS:
        course = TimeCourse.read(adata, flow, None)
        first, last = (course.rows_at(time) for time in (0.0, 2.0))
        (matrix,) = PLANS[kind](course, 0).descend([first], last, np.eye(len(last)))
    else:
        couplings = cf.tl.to_cellrank(adata, flow, epsilon=0)
        matrix = np.linalg.multi_dot([each.X.toarray() for each in couplings.values()])
    return dose[day == 0], matrix @ dose[day == 2] / matrix.sum(axis=1)


@pytest.mark.parametrize("kind", [*PLANS, "to_cellrank"])
@pytest.mark.parametrize("doses", ["few", "many"])
def test_plans_pair_cells_of_a_dose(kind, doses, rng):
    own, found = between_ends(crossing(DOSES[doses], rng), kind)
    np.testing.assert_allclose(found, own, atol=0 if doses == "few" else 0.11)


def test_distance_from_data_is_that_from_cells_of_like_doses(rng):
    """All cells of day 1 are moved to where the largest dose is on day 2, and dose 0 never is."""
    adata = crossing(DOSES["many"], rng)
    adata = adata[adata.obs["day"] > 0].copy()
    with pytest.warns(cf.CellflowWarning, match="the flow extrapolates there"):
        cf.tl.uncertainty(adata, still(adata, 3.0), time=2.0, n_neighbors=1)
    moved = adata.obs[adata.obs["day"] == 1].sort_values("dose")["cellflow_distance"].to_numpy()
    assert moved[-1] < 2 < 3 < moved[0]


@pytest.mark.parametrize("keys", [{"condition_keys": ["dose"]}, {"label_key": "name"}])
@pytest.mark.parametrize("doses", ["few", "many"])
@pytest.mark.parametrize("max_cells", [None, 24])
def test_the_midpoint_pairs_cells_of_a_dose(doses, keys, max_cells, rng):
    """Half way all cells meet; cells that are coupled across doses stay where they are."""
    adata = crossing(DOSES[doses], rng)
    adata.obs["name"] = adata.obs["dose"].astype(str)

    def score(**options):
        settings = {"use_rep": "X_pca", "whiten": False, "max_cells": max_cells, **options}
        evaluation = Evaluation(adata, make_held_out(settings))
        fold = evaluation.make_fold(HeldOutPart(1.0))
        return fold.score_baselines(evaluation.baseline_axis).scores["midpoint"].w1

    assert score(**keys) < 0.25
    assert score() > 1.0


def test_peers_that_pair_without_conditions_say_so(monkeypatch, caplog, rng):
    adata = crossing(DOSES["few"], rng)
    settings = {"use_rep": "X_pca", "whiten": False, "condition_keys": ["dose"]}
    evaluation = Evaluation(adata, make_held_out(settings))
    monkeypatch.setattr(external, "check_installed", lambda method: None)
    monkeypatch.setattr(external, "_train", lambda *each: lambda t, x: torch.zeros_like(x))
    with caplog.at_level("INFO", "cellflow"):
        fold, axis = evaluation.make_fold(HeldOutPart(1.0)), evaluation.baseline_axis
        external.predict_external(ExternalMethod("peer", "torchcfm:ot-cfm"), fold, axis, 0)
    assert "torchcfm:ot-cfm pairs cells without their condition, label" in caplog.text
