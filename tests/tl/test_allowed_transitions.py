"""Known transitions between groups in the costs of couplings."""

from dataclasses import replace

import anndata
import numpy as np
import pandas as pd
import pytest
import torch

import cellflow as cf
from cellflow._batch import Batch
from cellflow.couplings import LineageCost, exact_full_coupling
from cellflow.couplings.ground_costs import euclidean, squared_euclidean
from cellflow.io import KnownTransitions
from cellflow.marginals import Marginals, Population
from cellflow.objectives import VelocityRegression
from cellflow.training import transition_conflicts
from tests.flows import course_of

STEPS = {"recipe": cf.recipe("default", n_steps=5), "progress": False}


def table(*pairs, weight=None):
    frame = pd.DataFrame(pairs, columns=["source", "target"])
    return frame if weight is None else frame.assign(weight=weight)


@pytest.fixture
def crossing():
    """Two lineages of ten cells that change sides between two times; each is a type that changes.

    Transport without what is known leaves every cell on its side.
    """
    heights = np.linspace(0, 0.9, 10)
    sides = np.array([-1.0, 1.0, 1.0, -1.0])
    points = [[day, 3 * side + height] for day, pair in ((0, sides[:2]), (1, sides[2:]))
              for side in pair for height in heights]  # fmt: skip
    kinds = np.repeat(["a0", "b0", "a1", "b1"], 10)
    return course_of(points, np.repeat([0, 1], 20), kind=kinds, lineage=[k[0] for k in kinds])


TRUE = table(("a0", "a1"), ("b0", "b1"))


def fit(cells, allowed=TRUE, **options):
    known = {} if allowed is None else {"allowed_transitions": allowed, "group_key": "kind"}
    return cf.tl.fit(cells, use_rep="X_pca", **STEPS, **known, **options)


def true_mass(cells, flow, by="coupling"):
    """Share of the mass that stays in its lineage."""
    rows = cf.tl.transitions(cells, flow, "lineage", by=by)
    return rows["mass"][rows["source"] == rows["target"]].sum()


def test_penalties_add_to_squared_distances():
    x = Batch(torch.tensor([[0.0], [1.0]]), group=torch.tensor([0, 2]),
              penalties=torch.tensor([[0.0, 5.0, 0.0], [0.0, 0.0, 0.0]]))  # fmt: skip
    y = Batch(torch.tensor([[2.0], [3.0], [4.0]]), group=torch.tensor([0, 1, 2]),
              penalties=torch.zeros(3, 3))  # fmt: skip
    plain = [[4.0, 9.0, 16.0], [1.0, 4.0, 9.0]]
    expected = torch.tensor(plain) + torch.tensor([[0.0, 5.0, 0.0], [0.0, 0.0, 0.0]])
    assert torch.equal(squared_euclidean(x, y), expected)
    assert torch.equal(euclidean(x, y), expected.sqrt())
    assert torch.equal(LineageCost()(x, y), expected)
    assert torch.equal(squared_euclidean(replace(x, penalties=None), y), torch.tensor(plain))


def test_columns_hold_the_weights_of_a_table_and_free_cells_without_a_group():
    cells = course_of(np.zeros((4, 2)), [0, 0, 1, 1], kind=["a", None, "b", "c"])
    known = KnownTransitions.read(table(("a", "b"), ("b", "c"), weight=[0.25, 1]), "kind")
    group, penalties = replace(known, penalty=8.0).columns(cells)
    assert group.tolist() == [0, 3, 1, 2]
    assert penalties.tolist() == [[0, 6, 8, 0], [0, 0, 0, 0], [8, 0, 0, 0], [8, 8, 0, 0]]


@pytest.mark.parametrize("by", ["coupling", "bridge"])
def test_lineages_that_cross_are_swapped_without_a_table_and_not_with_it(crossing, by):
    assert true_mass(crossing, fit(crossing, None), by) < 0.05
    flow = fit(crossing)
    assert true_mass(crossing, flow, by) > 0.99
    cf.tl.fates(crossing, flow, "lineage", by=by)
    found = crossing.obsm["fate_probabilities"]
    assert (found[:10, 0] > 0.99).all()
    assert (found[10:20, 0] < 0.01).all()
    # Without a group, cells are as free as before.
    crossing.obs.loc[crossing.obs["lineage"] == "a", "kind"] = None
    free = fit(crossing, table(("b0", "b1")))
    assert true_mass(crossing, free, by) < 0.05


@pytest.mark.parametrize(
    "coupling", ["ot", "exact-full", "auto", "blockwise", "entropic", "unbalanced", "partial"]
)
def test_couplings_use_the_table(crossing, coupling, monkeypatch):
    """The pairs that nets are trained on: those of the true lineages change sides."""
    changed, whole = [], VelocityRegression.loss

    def loss(self, net, pairs, generator):
        changed.append(float(((pairs.x0[:, 1] > 0) != (pairs.x1[:, 1] > 0)).float().mean()))
        return whole(self, net, pairs, generator)

    monkeypatch.setattr(VelocityRegression, "loss", loss)
    for known, expected in ((None, 0), (TRUE, 1)):
        changed.clear()
        fit(crossing, known, method=cf.method("ot-cfm", coupling=coupling))
        assert np.mean(changed) == pytest.approx(expected, abs=0.12)


def test_couplings_that_do_not_use_the_table_are_refused(crossing):
    for name in ("wfr-fm", "i-cfm", cf.method("ot-cfm", coupling="low-rank")):
        with pytest.raises(cf.InputError, match="does not use known transitions: leave allowed_"):
            fit(crossing, method=name)


def test_conflicts_say_what_is_paid_and_what_transport_would_do(crossing):
    flow = fit(crossing)
    conflicts = crossing.uns["cellflow"]["fit"]["transition_conflicts"]
    assert conflicts["unaware"] == pytest.approx([1])
    assert conflicts["paying"] == pytest.approx([0])
    # Along the first axis and back to the same heights, against across by 6.
    assert conflicts["excess"] == pytest.approx([37])
    cautions = crossing.uns["cellflow"]["fit"]["cautions"]
    assert "the table of transitions decides" in cautions[-1]
    assert "without it 100% of the mass would take others, at 3% of the cost" in cautions[-1]
    # Half of the cells have no allowed source.
    fit(crossing, table(("a0", "a1")))
    assert crossing.uns["cellflow"]["fit"]["transition_conflicts"]["paying"] == pytest.approx([0.5])
    assert "50% of the mass takes transitions that are not among" in " ".join(
        crossing.uns["cellflow"]["fit"]["cautions"]
    )
    # A table that agrees with transport says nothing.
    fit(crossing, table(("a0", "b1"), ("b0", "a1")))
    assert "cautions" not in crossing.uns["cellflow"]["fit"]
    assert flow.record.transition_penalty > 0


def test_conflicts_count_labels_and_weights():
    def side(x, group, penalties=None, label=(0, 0, 1, 1)):
        penalties = np.zeros((4, 3)) if penalties is None else penalties
        return Population.of(torch.tensor(x)[:, None], group=torch.tensor(group),
                             penalties=torch.tensor(penalties, dtype=torch.float32),
                             label=torch.tensor(label))  # fmt: skip

    # Cells of label 0 pay half of the penalty, those of label 1 nothing.
    before = side([0.0, 1, 0, 1], [0, 0, 1, 1], [[0, 4, 0], [0, 4, 0], [8, 0, 0], [8, 0, 0]])
    after = side([0.0, 1, 0, 1], [1, 1, 1, 1])
    (found,) = transition_conflicts(Marginals((0.0, 1.0), (before, after)), 0)
    assert (found.unaware, found.paying) == pytest.approx((0.25, 0.25))


def test_flows_remember_their_table(crossing, tmp_path):
    allowed = table(("a0", "a1"), ("b0", "b1"), weight=[1, 0.5])
    allowed.to_csv(tmp_path / "known.csv", index=False)
    flow = fit(crossing, tmp_path / "known.csv")
    assert flow.inputs.allowed_transitions == (("a0", "a1", 1.0), ("b0", "b1", 0.5))
    flow.save(tmp_path / "flow")
    again = cf.Flow.load(tmp_path / "flow")
    assert again.inputs == flow.inputs
    assert again.record == flow.record
    assert true_mass(crossing, again) == true_mass(crossing, flow) == pytest.approx(1)
    crossing.write_h5ad(tmp_path / "cells.h5ad")
    read = anndata.read_h5ad(tmp_path / "cells.h5ad").uns["cellflow"]["fit"]
    assert read["transition_conflicts"]["unaware"] == pytest.approx([1])


def test_the_penalty_is_in_units_of_the_variance_of_a_time(crossing):
    crossing.obsm["X_pca"] = crossing.obsm["X_pca"] - crossing.obsm["X_pca"].mean(axis=0)
    spread = np.concatenate(
        [part - part.mean(axis=0) for part in np.split(crossing.obsm["X_pca"], 2)]
    )
    flow = fit(crossing, method=cf.method("default", transition_penalty=2.5))
    expected = 2.5 * np.square(spread).sum() / 40
    assert flow.record.transition_penalty == pytest.approx(expected, rel=1e-4)
    none = fit(crossing, method=cf.method("default", transition_penalty=0))
    assert true_mass(crossing, none) < 0.05


def test_held_out_scores_take_the_table_of_the_flow(rng):
    """At the time between, cells of a lineage are half way if the table is used."""
    days = np.repeat([0.0, 1, 2], 40)
    lineage = np.tile(np.repeat(["a", "b"], 20), 3)
    y = np.where(lineage == "a", 3.0, -3.0) * (1 - days)
    points = np.stack([days, y], axis=1) + 0.1 * rng.normal(size=(120, 2))
    kinds = [f"{name}{day:g}" for name, day in zip(lineage, days, strict=True)]
    cells = course_of(points, days, kind=kinds)
    allowed = table(("a0", "a1"), ("a1", "a2"), ("b0", "b1"), ("b1", "b2"), ("a0", "a2"),
                    ("b0", "b2"))  # fmt: skip
    options = {"use_rep": "X_pca", "whiten": False, "n_dims": 2,
               "recipe": cf.recipe("default", n_steps=150), "progress": False}  # fmt: skip
    scores = {}
    for name, known in (("without", {}), ("with", {"allowed_transitions": allowed, "group_key":
                                                   "kind"})):  # fmt: skip
        scores[name] = float(cf.tl.holdout(cells, **options, **known)["w1"].iloc[0])
    assert scores["with"] < 0.6 * scores["without"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"allowed_transitions": TRUE}, "group_key .--group-key., the obs column"),
        ({"group_key": "kind"}, "allowed_transitions .--allowed-transitions. and group_key"),
        ({"allowed_transitions": TRUE, "group_key": "type"}, "unknown obs column 'type'"),
        ({"allowed_transitions": TRUE[:0], "group_key": "kind"}, "is empty"),
        ({"allowed_transitions": TRUE.drop(columns="target"), "group_key": "kind"},
         "not a table of allowed transitions.*missing columns: target"),
        ({"allowed_transitions": table(("a", "b")), "group_key": "kind"},
         "no row of allowed_transitions has two groups of obs.'kind'.: it names a, b; the groups"),
        ({"allowed_transitions": pd.concat([TRUE, TRUE]), "group_key": "kind"},
         "are there twice: a0 to a1, b0 to b1"),
        ({"allowed_transitions": TRUE.assign(weight=2.0), "group_key": "kind"},
         "from 0 .not allowed. to 1, got .*2.0.* for a0 to a1"),
        ({"allowed_transitions": TRUE.assign(weight="x"), "group_key": "kind"},
         "from 0 .not allowed. to 1, got 'x' for a0 to a1"),
        ({"allowed_transitions": table(("a0", None)), "group_key": "kind"},
         "rows without a source or a target"),
        ({"allowed_transitions": "none.csv", "group_key": "kind"}, "none.csv does not exist"),
    ],
)  # fmt: skip
def test_bad_tables_are_named(crossing, options, message):
    with pytest.raises((cf.InputError, cf.FileError), match=message):
        cf.tl.fit(crossing, use_rep="X_pca", **STEPS, **options)


def test_names_that_do_not_match_are_logged(crossing, capsys):
    fit(crossing, table(("a0", "a1"), ("b0", "c1")))
    said = capsys.readouterr().err
    assert "known transitions: 1 of 12 pairs of groups of kind are allowed" in said
    assert "allowed to become no other group: a1, b1" in said
    assert "groups of allowed_transitions without cells: c1" in said


def test_exact_plans_without_a_cost_matrix_are_not_used_with_a_table(crossing):
    group, penalties = torch.zeros(20, dtype=torch.int64), torch.zeros(20, 2)
    x = torch.as_tensor(crossing.obsm["X_pca"][:20], dtype=torch.float32)
    cells = Batch(x, group=group, penalties=penalties)
    with pytest.raises(cf.InputError, match="use coupling 'blockwise'"):
        exact_full_coupling(Population(cells), Population(cells), max_memory=1e-9)
