"""Transitions between any two times, forward and backward, where they are known."""

import numpy as np
import pandas as pd
import pytest

import cellflow as cf
from tests.flows import course_of, flow_of, fork, forking, known_flow, to_the_right

ALL = pytest.mark.parametrize("by", ["bridge", "flow", "coupling"])
BOTH = pytest.mark.parametrize("by", ["flow", "coupling"])
PLANS = pytest.mark.parametrize("by", ["bridge", "coupling"])


def matrices(table, column="probability"):
    """The matrix of sources by targets of each pair of times."""
    return {
        pair: part.pivot(index="source", columns="target", values=column)
        for pair, part in table.groupby(["source_time", "target_time"])
    }


@pytest.fixture
def ladder():
    """Four rungs that move right, at four days, each cell a group; at each day another rung."""
    heights = np.tile(np.arange(4.0) * 3, 4)
    days = np.repeat([0, 1, 2, 3], 4)
    names = [f"{rung}{(rung + day) % 4}" for day in range(4) for rung in range(4)]
    return course_of(np.stack([days, heights], axis=1), days, rung=names)


@pytest.fixture
def mixed(rng):
    """Cells of three kinds at four times, in no order, and a flow that moves them right."""
    days = np.repeat([0.0, 1, 2, 4], 30)
    points = np.stack([days + 0.4 * rng.normal(size=120), rng.normal(size=120)], axis=1)
    cells = course_of(points, days, kind=rng.choice(["x", "y", "z"], 120))
    return cells, known_flow(cells, to_the_right)


@BOTH
@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_all_pairs_of_a_permutation(ladder, by, direction):
    """The rung of a cell is known at every time, so every pair of times is a permutation."""
    flow = known_flow(ladder, to_the_right)
    options = {"by": by, "n_neighbors": 1, "pairs": "all", "direction": direction}
    table = cf.tl.transitions(ladder, flow, "rung", **options)
    assert len(table) == 6 * 16
    found = table["probability" if direction == "forward" else "source_probability"]
    kept = table["source"].str[0] == table["target"].str[0]
    np.testing.assert_allclose(found, kept, atol=1e-12)
    assert table.groupby(["source_time", "target_time"])["mass"].sum().tolist() == pytest.approx(
        [1] * 6
    )


@PLANS
def test_distant_pairs_of_single_cells_are_products_of_consecutive_ones(rng, by):
    """Where each cell is a group of its own, nothing is lost between the intervals.

    Forward, products leave out how much more descendants some cells have than others of the same
    group, which those of column-stochastic matrices have no need to know.
    """
    days = np.repeat([0.0, 1, 2, 4], 8)
    names = [f"cell{k:02d}" for k in range(32)]
    cells = course_of(rng.normal(size=(32, 2)), days, name=names)
    flow = known_flow(cells, to_the_right)
    options = {"by": by, "pairs": "all", "direction": "backward"}
    found = matrices(cf.tl.transitions(cells, flow, "name", **options), "source_probability")
    first, second, last = (found[pair] for pair in ((0, 1), (1, 2), (2, 4)))
    np.testing.assert_allclose(found[0, 4], first @ second @ last, atol=1e-9)
    np.testing.assert_allclose(found[1, 4], second @ last, atol=1e-9)


@PLANS
def test_directions_agree_by_bayes_rule(mixed, by):
    """P(source | target) is proportional to P(target | source) times the source's descendants."""
    cells, flow = mixed
    forward = matrices(cf.tl.transitions(cells, flow, "kind", by=by, pairs="all"))
    table = cf.tl.transitions(cells, flow, "kind", by=by, pairs="all", direction="backward")
    backward, joint = matrices(table, "source_probability"), matrices(table, "mass")
    assert len(forward) == 6
    for pair, probability in forward.items():
        # Descendants of all sources, as shares of the later cells, are the prior of a source.
        prior = joint[pair].sum(axis=1)
        expected = probability.mul(prior, axis=0)
        np.testing.assert_allclose(backward[pair], expected / expected.sum(axis=0), atol=1e-9)


@ALL
def test_rows_or_columns_sum_to_one(mixed, by):
    cells, flow = mixed
    table = cf.tl.transitions(cells, flow, "kind", by=by, pairs="all")
    sums = table.groupby(["source_time", "target_time", "source"])["probability"].sum()
    assert sums.tolist() == pytest.approx([1] * 18)
    kinds = cells.obs.groupby(["day", "kind"]).size()
    assert all(kinds[row.source_time, row.source] == row.n_source for row in table.itertuples())
    back = cf.tl.transitions(cells, flow, "kind", by=by, pairs="all", direction="backward")
    sums = back.groupby(["source_time", "target_time", "target"])["source_probability"].sum()
    assert sums.tolist() == pytest.approx([1] * 18)
    assert all(kinds[row.target_time, row.target] == row.n_target for row in back.itertuples())
    for each in (table, back):
        masses = each.groupby(["source_time", "target_time"])["mass"].sum()
        assert masses.tolist() == pytest.approx([1] * 6)


@ALL
def test_chosen_pairs_are_those_of_all(mixed, by):
    cells, flow = mixed
    whole = cf.tl.transitions(cells, flow, "kind", by=by, pairs="all")
    some = cf.tl.transitions(cells, flow, "kind", by=by, pairs=[(1, 4), (0, "2"), (1, 4)])
    names = ["source_time", "target_time", "source", "target"]
    expected = whole.set_index(names).loc[some.set_index(names).index]
    assert [*some[names[:2]].drop_duplicates().itertuples(index=False, name=None)] == [
        (1, 4),
        (0, 2),
    ]
    np.testing.assert_allclose(some["probability"], expected["probability"])


def test_a_flow_back_in_time_finds_where_it_forks():
    """All cells of both branches stem from the same group, which becomes both in equal parts."""
    cells = fork()
    flow = known_flow(cells, forking)
    options = {"by": "flow", "n_neighbors": 1, "pairs": [(1, 2)]}
    table = cf.tl.transitions(cells, flow, "fate", direction="backward", **options)
    assert table["source_probability"].tolist() == [1, 1]
    assert table["mass"].tolist() == [0.5, 0.5]
    table = cf.tl.transitions(cells, flow, "fate", **options)
    assert table["probability"].tolist() == [0.5, 0.5]


def test_groups_of_labels_that_begin_later_have_no_ancestors(ladder, capsys):
    ladder.obs["donor"] = ["a"] * 4 + ["a", "a", "b", "b"] * 3
    ladder.obs["rung"] = [name[0] for name in ladder.obs["rung"]]
    nets = known_flow(ladder, to_the_right).nets
    flow = flow_of(ladder, nets, label_key="donor")
    table = cf.tl.transitions(
        ladder, flow, "rung", by="coupling", pairs=[(0, 3)], direction="backward"
    )
    assert set(table["target"]) == {"0", "1"}
    assert table["mass"].sum() == pytest.approx(1)
    assert "no ancestors are known of: 2, 3" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pairs": "al"}, "unknown pairs 'al' .did you mean 'all'.*or pairs of times"),
        ({"pairs": []}, "pairs is empty"),
        ({"pairs": [(2, 0)]}, "the earlier one, got 2 and 0; direction='backward'"),
        ({"pairs": [(0, 0)]}, "the earlier one, got 0 and 0"),
        ({"pairs": [(0, 1, 2)]}, "a pair is an earlier and a later time.*got .0, 1, 2."),
        ({"pairs": ["0"]}, "a pair is an earlier and a later time.*got '0'"),
        ({"pairs": [(0, 9)]}, "no cells were measured at time 9"),
        ({"direction": "back"}, "unknown direction 'back' .did you mean 'backward'"),
    ],
)
def test_bad_pairs_are_named(mixed, options, message):
    with pytest.raises(cf.InputError, match=message):
        cf.tl.transitions(*mixed, "kind", **options)


def test_figures_draw_the_chosen_pair_and_the_sankey_only_neighbours(mixed):
    cells, flow = mixed
    table = cf.tl.transitions(cells, flow, "kind", by="flow", pairs="all")
    ax = cf.pl.transitions(cells, table, pair=(1, 2), show=False)
    chosen = matrices(table)[1, 2]
    np.testing.assert_allclose(ax.images[0].get_array(), chosen)
    assert ax.get_title(loc="left") == "Descendants: rows sum to one"
    assert [text.get_text() for text in ax.get_yticklabels()] == ["x", "y", "z"]
    farthest = cf.pl.transitions(cells, table, show=False)
    np.testing.assert_allclose(farthest.images[0].get_array(), matrices(table)[0, 4])
    assert farthest.get_xlabel() == "to, at day 4"
    back = cf.tl.transitions(cells, flow, "kind", by="flow", direction="backward")
    ax = cf.pl.transitions(cells, back, pair=(0, 1), ax=ax, show=False)
    assert ax.get_title(loc="left") == "Ancestors: columns sum to one"
    ordinary = cf.tl.transitions(cells, flow, "kind", by="flow")
    few, many = (cf.pl.sankey(cells, each, show=False) for each in (ordinary, table))
    assert len(few.patches) == len(many.patches)
    with pytest.raises(cf.InputError, match=r"no pair of times 1 to 9; valid: 0 to 1, 0 to 2"):
        cf.pl.transitions(cells, table, pair=(1, 9))
    with pytest.raises(cf.InputError, match="missing columns: probability"):
        cf.pl.transitions(cells, table.drop(columns="probability"))
    with pytest.raises(cf.InputError, match="no transitions to draw"):
        cf.pl.transitions(cells, pd.DataFrame(columns=table.columns).assign(groups="kind"))
