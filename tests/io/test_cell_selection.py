"""Which cells are meant."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cellflow as cf
from cellflow.io import describe_cells, groups_of, select_cells
from tests.flows import course_of


@pytest.fixture
def cells():
    kinds = pd.Categorical(["a", "b", "a, b", None, "a"], ["b", "a", "a, b", "unused"])
    points = np.zeros((5, 2))
    return course_of(
        points, [0, 0, 1, 1, 2], kind=kinds, dose=[1, 2, 2, 3, 3], dead=[True] + 4 * [False]
    )


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [
        (None, [0, 1, 2, 3, 4]),
        ("kind=a", [0, 4]),
        ("kind=a,b", [0, 1, 4]),
        ("kind=a, b", [2]),
        ("day=1", [2, 3]),
        ("day = 1.0", [2, 3]),
        ("day==1", [2, 3]),
        ("day!=1", [0, 1, 4]),
        ("day != 1 & kind=a,b", [0, 1, 4]),
        ("kind!=a,b & kind!=nan", [2]),
        ("kind=nan", [3]),
        ("kind!=nan", [0, 1, 2, 4]),
        ("dose=1,3", [0, 3, 4]),
        ("dead=True", [0]),
        ("kind=a & day=2", [4]),
        ("c3", [3]),
        (["c3", "c1"], [1, 3]),
        (np.array([True, False, False, False, True]), [0, 4]),
    ],
)
def test_cells_are_chosen_by_values_names_and_masks(cells, wanted, chosen):
    assert np.flatnonzero(select_cells(cells, wanted)).tolist() == chosen


def test_a_mask_may_be_a_column(cells):
    assert np.flatnonzero(select_cells(cells, cells.obs["dose"] > 2)).tolist() == [3, 4]
    shuffled = (cells.obs["dose"] > 2)[::-1]
    with pytest.raises(cf.InputError, match="index of a mask"):
        select_cells(cells, shuffled)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("kind=c", r"no value 'c'; there are: b, a, \"a, b\"$"),
        ("day=7", r"no value '7'; there are: 0.0, 1.0, 2.0"),
        ("dose=1,4", r"obs\['dose'\] has no value '4'; there are: 1, 2, 3"),
        ("dose=x", r"no value 'x'"),
        ("day<=1", "'day<=1' is not a condition; give the values to select"),
        ("kind!=c", "no value 'c'"),
        ("kid=a", "unknown obs column 'kid' .did you mean 'kind'"),
        ("c9", "'c9' is not the name of a cell; select cells by a boolean mask"),
        ("kind=a & day", "no value 'a & day'"),
        ("kind=a & day=0 & dose", r"obs\['day'\] has no value '0 & dose'; there are: 0.0"),
        ("kind=a & kid=b", "unknown obs column 'kid'.*are quoted, as in 'column=\"a & b=c\""),
        ("kind=b & day=2", "no cells are selected by 'kind=b & day=2'"),
        (["c0", "c9"], "no cells have these names: c9"),
        (np.array([True]), r"a mask must have one entry for each of the 5 cells, got shape \(1,\)"),
        (np.zeros(5, dtype=bool), "no cells are selected"),
        ([0, 1], "select cells by a boolean mask"),
    ],
)
def test_mistakes_name_what_is_valid(cells, wanted, message):
    with pytest.raises(cf.InputError, match=message):
        select_cells(cells, wanted)


def test_numbers_in_single_precision_are_those_that_people_write(cells):
    cells.obs["dose"] = np.array([0.1, 0.3, 0.1, 1, 1e-3], dtype=np.float32)
    assert np.flatnonzero(select_cells(cells, "dose=0.1,.001")).tolist() == [0, 2, 4]


@pytest.fixture
def labelled():
    """Cells with labels such as those of CELLxGENE."""
    labels = [
        "CD8-positive, alpha-beta T cell",
        "T & NK cell",
        "CD8-positive",
        "R&D",
        "a=b",
        'the "new" one',
        "Crohn's disease",
    ]
    types = pd.Categorical([label for label in labels for _ in range(2)], labels)
    days = [0, 1] * len(labels)
    return course_of(
        np.zeros((len(days), 2)), days, cell_type=types, **{"my type": types, "x=y": types}
    )


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [
        ('cell_type="T & NK cell" & day=0', [2]),
        ("cell_type='T & NK cell' & day=0", [2]),
        ("cell_type=T & NK cell & day=0", [2]),
        ("day=1&cell_type=R&D", [7]),
        ("cell_type=CD8-positive, alpha-beta T cell", [0, 1]),
        ('cell_type="CD8-positive, alpha-beta T cell",R&D & day=1', [1, 7]),
        ("cell_type=CD8-positive, alpha-beta T cell,R&D & day=1", [1, 7]),
        ('cell_type="CD8-positive","a=b"', [4, 5, 8, 9]),
        ("cell_type=a=b & day=0", [8]),
        ('cell_type="the ""new"" one"', [10, 11]),
        ("cell_type='the \"new\" one'", [10, 11]),
        ("cell_type='Crohn''s disease' & day=0", [12]),
        ("cell_type=Crohn's disease & day=0", [12]),
        ('"my type"="R&D"', [6, 7]),
        ("my type=R&D", [6, 7]),
        ('"x=y"="a=b"', [8, 9]),
        ('"c3"', [3]),
    ],
)
def test_values_with_signs_are_quoted_or_plain(labelled, wanted, chosen):
    assert np.flatnonzero(select_cells(labelled, wanted)).tolist() == chosen


def test_messages_show_values_ready_to_paste(labelled):
    with pytest.raises(cf.InputError, match=r'did you mean "T & NK cell"\?') as raised:
        select_cells(labelled, "cell_type=T & NK cel")
    listed = str(raised.value).split("there are: ")[1]
    assert select_cells(labelled, f"cell_type={listed}").all()


def test_lists_that_can_be_read_in_several_ways_are_refused(cells):
    assert select_cells(cells, "kind=b,a").sum() == 3
    with pytest.raises(cf.InputError, match=r'can be read as .*"a, b".* or .*; quote the values'):
        select_cells(cells, "kind=b,a, b")


def test_selections_are_described():
    assert describe_cells(None) == "all"
    assert describe_cells('a="b & c"') == 'a="b & c"'
    assert describe_cells(["c0", "c1", "c2"]) == "3 given"
    assert describe_cells(np.array([True, False, True])) == "2 given"


@given(
    st.lists(
        st.sampled_from(["cell_type", "day", "R&D", "a=b", "0", "nan", *"=&,'\" !<"]), max_size=8
    ).map("".join)
)
def test_any_text_selects_cells_or_is_refused(labelled, text):
    try:
        chosen = select_cells(labelled, text)
    except cf.InputError:
        return
    assert chosen.any()
    assert chosen.dtype == bool


def test_groups_keep_their_order_and_gaps(cells):
    groups = groups_of(cells, "kind")
    assert groups.cat.categories.tolist() == ["b", "a", "a, b"]
    assert groups.isna().tolist() == [False, False, False, True, False]
    assert groups_of(cells, "dose").cat.categories.tolist() == ["1", "2", "3"]
    cells.obs["mixed"] = np.array(["x", 1, 1, "x", True], dtype=object)
    assert groups_of(cells, "mixed").notna().all()
    cells.obs["none"] = pd.Series(np.nan, cells.obs_names)
    with pytest.raises(cf.InputError, match="no value for any cell"):
        groups_of(cells, "none")


def test_replicates_of_a_time_are_suggested(cells):
    cells.obs["origin"] = ["D0_rep1", "D0_rep2", "D0_rep1", "D2_rep1", "D2_rep1"]
    with pytest.raises(cf.InputError, match=r"mean origin=D0_rep1,D0_rep2\?\); there are"):
        select_cells(cells, "origin=D0")
    cf.pp.time_points(cells, "origin")
    with pytest.raises(cf.InputError, match=r"mean cellflow_time=0 or origin=D0_rep1,D0_rep2\?"):
        select_cells(cells, "origin=D0")
    assert select_cells(cells, "cellflow_time=0").tolist() == [True] * 3 + [False] * 2
