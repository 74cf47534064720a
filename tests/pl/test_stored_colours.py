"""Colours in `uns` are read as scanpy reads them, and numbers are no groups."""

import warnings

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from matplotlib.colors import to_hex

import cellflow as cf
from cellflow import CellflowWarning, InputError
from cellflow.pl._colours import SAFE, category_colours, group_colours


def _cells(colours=None, values="aabbcc"):
    names = [f"cell{k}" for k in range(6)]
    adata = AnnData(obs=pd.DataFrame({"kind": pd.Categorical(list(values))}, index=names))
    if colours is not None:
        adata.uns["kind_colors"] = colours
    return adata


@pytest.mark.parametrize(
    ("colours", "expected"),
    [
        (["grey80", "firebrick3", "red"], ["#cccccc", "#cd2626", "#ff0000"]),
        (["grey50", "gray0", "grey100"], ["#7f7f7f", "#000000", "#ffffff"]),
        (np.array([b"#ABCDEF", b"gold2", b"C0"]), ["#abcdef", "#eec900", "#1f77b4"]),
        (np.eye(3), ["#ff0000", "#00ff00", "#0000ff"]),
        ({"c": "blue", "a": "snow4", "b": "lime"}, ["#8b8989", "#00ff00", "#0000ff"]),
        (["red", (0.0, 1.0, 0.0), "blue"], ["#ff0000", "#00ff00", "#0000ff"]),
        (["red", "lime", "blue", "nonsense"], ["#ff0000", "#00ff00", "#0000ff"]),
    ],
    ids=["R", "greys", "bytes", "rgb", "mapping", "mixed", "one too many"],
)
def test_stored_colours_are_drawn(colours, expected):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert group_colours(_cells(colours), "kind") == dict(zip("abc", expected, strict=True))


@pytest.mark.parametrize(
    ("colours", "said"),
    [
        (["firebrik", "red", "lime"], "has firebrik, which is not a colour"),
        ({"a": "red", "b": "lime"}, "has no colour for 'c'"),
        ([1.5, 2.5, 3.5], "has 1.5, which is not a colour"),
    ],
)
def test_colours_that_cannot_be_read_give_default_ones_with_a_warning(colours, said):
    with pytest.warns(CellflowWarning, match=said):
        found = group_colours(_cells(colours), "kind")
    assert list(found.values()) == list(SAFE[:3])


@pytest.mark.parametrize(
    "colours",
    [
        {"a": "red", "b": "lime", "c": "blue"},
        {"a": "red", "b": "lime", "c": "blue", "gone": "firebrik"},
        ["red", "lime", "blue", "firebrik"],
    ],
)
def test_groups_without_cells_need_no_colour(colours):
    adata = _cells(colours)
    adata.obs["kind"] = adata.obs["kind"].cat.add_categories("gone")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = group_colours(adata, "kind")
    assert [found[name] for name in "abc"] == ["#ff0000", "#00ff00", "#0000ff"]


def test_too_few_colours_give_default_ones():
    assert list(group_colours(_cells(["red"]), "kind").values()) == list(SAFE[:3])


def test_r_colours_are_those_of_scanpy():
    from scanpy.plotting import _utils

    known = getattr(_utils, "additional_colors", None)
    if known is None:
        pytest.skip("scanpy from 1.12 on has no table of the colours of R")
    for names in (list(known)[k : k + 2] for k in range(0, len(known), 2)):
        found = group_colours(_cells(names, "ababab"), "kind")
        assert list(found.values()) == [to_hex(known[name]) for name in names]


def test_clusters_that_are_floats_are_whole_groups():
    adata = _cells()
    adata.obs["cluster"] = [0.0, 1.0, np.nan, 1.0, 0.0, 2.0]
    assert list(group_colours(adata, "cluster")) == ["0", "1", "2"]


@pytest.mark.parametrize("colours", [group_colours, category_colours])
def test_measurements_are_not_groups(colours, course):
    course.obs["score"] = np.linspace(0, 3.5, 240)
    with pytest.raises(
        InputError, match=r"has 240 different numbers, from 0 to 3\.5, and no groups"
    ):
        colours(course, "score")


def test_figures_warn_of_a_colour_and_are_drawn(course):
    course.obs["kind"] = pd.Categorical(np.where(course.obs["day"] < 2, "early", "late"))
    course.obs["cellflow_growth"] = 0.1
    course.uns["kind_colors"] = ["grey80", "firebrik"]
    with pytest.warns(CellflowWarning, match="default colours"):
        ax = cf.pl.growth(course, color="kind", show=False)
    assert to_hex(ax.patches[0].get_facecolor()) == SAFE[0]
