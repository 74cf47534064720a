"""The figure of a benchmark."""

import pytest
from matplotlib import pyplot as plt

import cellflow as cf


@pytest.fixture(scope="module")
def table(course_of_all, quick):
    course = course_of_all.copy()
    return cf.tl.benchmark(
        {"a": course, "b": course, "c": course, "d": course}, methods=["ot-cfm"], recipe=quick,
        use_rep="X_pca", max_cells=20, progress=False, each={"b": {"times": 1}},
    )  # fmt: skip


def test_a_panel_for_each_data_set(table, tmp_path):
    ax = cf.pl.benchmark(table, show=False)
    panels = ax.figure.axes
    assert [panel.get_title(loc="left").split("\n")[0] for panel in panels] == ["a", "b", "c", "d"]
    names = [label.get_text() for label in panels[1].get_yticklabels()]
    assert set(names) == set(table["method"])
    cf.pl.save(ax, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 5_000


def test_the_midpoint_is_one_and_the_best_on_top(table):
    ax = plt.figure().add_subplot()
    part = table[table["data"] == "b"]
    assert cf.pl.benchmark(part, ax=ax, show=False) is ax
    names = [label.get_text() for label in ax.get_yticklabels()]
    means = part.groupby("method")["w1"].mean().sort_values(ascending=False)
    assert names == means.index.tolist()
    dots = {tuple(point) for each in ax.collections for point in each.get_offsets().tolist()}
    assert (1.0, names.index("midpoint")) in dots
    with pytest.raises(cf.InputError, match="one ax can show one data set, got a, b"):
        cf.pl.benchmark(table, ax=ax, show=False)


def test_what_is_no_table_is_refused(table):
    with pytest.raises(cf.InputError, match="missing columns: protocol"):
        cf.pl.benchmark(table.drop(columns="protocol"), show=False)
    with pytest.raises(cf.InputError, match="no scores to draw"):
        cf.pl.benchmark(table.assign(w1=float("nan")), show=False)
