"""Figures of velocities, gene trends and growth."""

import anndata
import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import to_hex

import cellflow as cf
from cellflow.pl._canvas import PALE
from cellflow.pl._colours import group_colours
from tests.linear_flows import linear_flow


@pytest.fixture
def arrows(course):
    """Cells whose arrows point along the first axis, three times as fast in one half."""
    flow = linear_flow(course, np.zeros((3, 3)), [1.0, 0, 0], (0, 1, 2, 4), rate=0.5)
    cf.tl.velocity(course, flow)
    cf.tl.growth(course, flow)
    course.obs["half"] = pd.Categorical(np.where(course.obs["day"] > 1, "late", "early"))
    course.obsm["velocity_pca"][course.obs["half"] == "late"] *= 3
    return course


def test_arrows_of_many_cells_are_those_of_some(arrows, monkeypatch):
    everyone = cf.pl.velocity_grid(arrows, basis="pca", show=False).collections[-1]
    monkeypatch.setattr("cellflow.pl._velocity._MOST", 120)
    some = cf.pl.velocity_grid(arrows, basis="pca", show=False).collections[-1]
    assert 0 < len(some.get_offsets()) < len(everyone.get_offsets())
    # All arrows point along the first axis, at most three times as fast in one half.
    assert (some.U > 0).all()
    np.testing.assert_allclose(some.V / some.U.max(), 0, atol=1e-6)
    assert some.U.max() / some.U.min() <= 3 * 1.001


def test_cells_are_coloured_by_a_gene_of_a_symbol(arrows, rng):
    """The dots of the lower and the higher half have the colours of their expression."""
    counts = rng.poisson(3, (240, 4)).astype(np.float32)
    symbols = pd.Categorical(["SOX2", "TWICE", "TWICE", "HES1"])
    var = pd.DataFrame({"feature_name": symbols}, index=[f"ENSG{k:011d}" for k in range(4)])
    cells = anndata.AnnData(counts, obs=arrows.obs, var=var, obsm=dict(arrows.obsm))
    expected = np.log1p(counts * np.median(counts.sum(1)) / counts.sum(1, keepdims=True))
    for color, column in {"HES1": 3, "ENSG00000000001": 1}.items():
        ax = cf.pl.velocity_quiver(cells, basis="pca", color=color, show=False)
        colours = ax.collections[0].get_facecolors()[:, :3]
        low, high = np.percentile(expected[:, column], (1, 99))
        scaled = np.clip((expected[:, column] - low) / (high - low), 0, 1)
        np.testing.assert_allclose(colours, mpl.colormaps["viridis"](scaled)[:, :3], atol=0.01)
        label = ax.figure.axes[-1].get_ylabel()
        name = {"HES1": "HES1"}.get(color, f"TWICE_{color}")
        assert label == f"{name}, logarithm of expression"
    few = cells[:, :2].copy()
    few.raw = cells
    ax = cf.pl.velocity_quiver(few, basis="pca", color="HES1", show=False)
    full = cf.pl.velocity_quiver(cells, basis="pca", color="HES1", show=False)
    np.testing.assert_array_equal(*(each.collections[0].get_facecolors() for each in (ax, full)))
    with pytest.raises(cf.InputError, match=r"'TWICE' is the symbol of 2 genes; .*: ENSG0"):
        cf.pl.velocity_grid(cells, basis="pca", color="TWICE", show=False)
    with pytest.raises(cf.InputError, match="unknown var column of gene symbols 'name'"):
        cf.pl.velocity_stream(cells, basis="pca", color="day", gene_symbols="name", show=False)
    with pytest.raises(cf.InputError, match=r"unknown obs column or gene 'HES2' .did you mean 'HE"):
        cf.pl.velocity_stream(cells, basis="pca", color="HES2", show=False)


@pytest.fixture
def trends():
    """Two genes, two groups, three times."""
    rows = [
        {"gene": g, "group": k, "time": t, "mean": t, "low": t - 1, "high": t + 1}
        for g in ("A", "B") for k in ("x", "y") for t in (0.0, 1.0, 2.0)
    ]  # fmt: skip
    return pd.DataFrame(rows).assign(observed=lambda table: table["time"] != 1)


@pytest.mark.parametrize("name", ["velocity_stream", "velocity_grid", "velocity_quiver", "growth"])
def test_figures_take_axes_and_give_them_back(name, arrows, tmp_path):
    options = {} if name == "growth" else {"basis": "pca"}
    draw = getattr(cf.pl, name)
    ax = plt.figure().add_subplot()
    assert draw(arrows, color="half", ax=ax, show=False, **options) is ax
    own = draw(arrows, show=False, **options)
    cf.pl.save(own, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 5_000


def test_arrows_on_a_grid_are_those_of_the_cells_nearby(arrows):
    quiver = cf.pl.velocity_grid(arrows, basis="pca", show=False).collections[-1]
    at, along = quiver.get_offsets(), quiver.U
    assert np.abs(quiver.V).max() < 1e-6 * along.max()
    late, early = at[:, 0] > 2.5, at[:, 0] < 0.5
    assert along[late].mean() / along[early].mean() == pytest.approx(3, rel=0.1)
    ends = at[:, 0] + along
    mesh = np.diff(np.unique(np.round(at[:, 0], 6))).min()
    assert (along <= mesh + 1e-6).all()
    assert ends.max() <= at[:, 0].max() + mesh


def test_colours_of_scanpy_are_honoured_and_else_safe(arrows):
    plain = cf.pl.velocity_quiver(arrows, basis="pca", color="half", show=False)
    assert [to_hex(dots.get_facecolor()[0]) for dots in plain.collections[:2]] == [
        "#0072b2", "#e69f00",
    ]  # fmt: skip
    arrows.uns["half_colors"] = ["#111111", "#eeeeee"]
    told = cf.pl.velocity_quiver(arrows, basis="pca", color="half", show=False)
    found = [to_hex(dots.get_facecolor()[0]) for dots in told.collections[:2]]
    assert found == ["#111111", "#eeeeee"]
    assert [text.get_text() for text in told.get_legend().get_texts()] == ["early", "late"]


def test_cells_without_a_value_are_pale(arrows):
    arrows.obs["half"] = arrows.obs["half"].where(arrows.obs["day"] < 4)
    arrows.obs["score"] = pd.array([1.5, None] * 120, dtype="Float64")
    for color, n in (("half", 60), ("score", 120)):
        ax = cf.pl.velocity_quiver(arrows, basis="pca", color=color, show=False)
        pale, *others = ax.collections[:-1]
        assert len(pale.get_offsets()) == n
        assert to_hex(pale.get_facecolor()[0]) == PALE
        assert sum(len(dots.get_offsets()) for dots in others) == 240 - n


def test_groups_without_an_order_of_their_own_are_in_that_of_their_values(arrows):
    arrows.obs["cluster"] = np.arange(240) % 12
    colours = group_colours(arrows, "cluster")
    assert list(colours) == [str(k) for k in range(12)]


def test_growth_has_a_box_for_each_group_that_a_time_has(arrows):
    ax = cf.pl.growth(arrows, color="half", show=False)
    assert len(ax.patches) == 4
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["0", "1", "2", "4"]


def test_trends_have_a_panel_a_gene_and_a_line_a_group(trends):
    panels = cf.pl.gene_trends(trends, unit="days", show=False)
    assert [panel.get_title() for panel in panels] == ["A", "B"]
    lines = [line for line in panels[0].lines if line.get_linestyle() == "-"]
    np.testing.assert_allclose(lines[0].get_ydata(), [0, 1, 2])
    dots = [line for line in panels[0].lines if line.get_marker() == "o"]
    np.testing.assert_allclose(dots[0].get_xdata(), [0, 2])
    ax = plt.figure().add_subplot()
    assert cf.pl.gene_trends(trends, genes="B", ax=ax, show=False) == [ax]


def test_what_cannot_be_drawn_is_named(arrows, trends):
    with pytest.raises(cf.InputError, match=r"no obsm key 'umap'; there are: X_pca"):
        cf.pl.velocity_stream(arrows, show=False)
    arrows.obsm["X_umap"] = arrows.obsm["X_pca"]
    with pytest.raises(
        cf.InputError, match=r"no obsm key 'velocity_umap'; run cellflow\.tl\.velocity"
    ):
        cf.pl.velocity_grid(arrows, show=False)
    with pytest.raises(cf.InputError, match="unknown obs column or gene 'colour'"):
        cf.pl.velocity_quiver(arrows, basis="pca", color="colour", show=False)
    with pytest.raises(cf.InputError, match="no obs column 'rate'"):
        cf.pl.growth(arrows, key="rate", show=False)
    arrows.obs["none"] = np.nan
    for draw, options in ((cf.pl.growth, {}), (cf.pl.velocity_quiver, {"basis": "pca"})):
        with pytest.raises(cf.InputError, match=r"obs\['none'\] has no value for any cell"):
            draw(arrows, color="none", show=False, **options)
    with pytest.raises(cf.InputError, match=r"unknown obs column 'hlaf' .did you mean 'half'"):
        cf.pl.gene_trends(trends, adata=arrows, color="hlaf", show=False)
    with pytest.raises(cf.InputError, match="no genes to draw"):
        cf.pl.gene_trends(trends, genes=[], show=False)
    with pytest.raises(cf.InputError, match="unknown gene 'Z'"):
        cf.pl.gene_trends(trends, genes="Z", show=False)
    with pytest.raises(cf.InputError, match="one Axes per gene: 2, got 1"):
        cf.pl.gene_trends(trends, ax=plt.figure().add_subplot(), show=False)
    with pytest.raises(cf.InputError, match="missing columns: mean"):
        cf.pl.gene_trends(trends.drop(columns="mean"), show=False)


def test_trends_have_the_colours_of_other_figures_the_unit_and_the_scale(trends):
    table = trends.assign(unit="hour", scale="log1p", color=trends["group"].map(COLOURS))
    panels = cf.pl.gene_trends(table, show=False)
    assert panels[0].get_xlabel() == "time (hours)"
    assert panels[0].get_ylabel() == "expression (log1p)"
    lines = {line.get_label(): line.get_color() for line in panels[0].lines}
    assert (lines["x"], lines["y"]) == ("#cccccc", "#0000ff")
    assert cf.pl.gene_trends(table, unit="days", show=False)[0].get_xlabel() == "time (days)"


#: Names of R and of matplotlib, as `uns` may have them.
COLOURS = {"x": "grey80", "y": "blue"}


@pytest.mark.parametrize("draw", [cf.pl.growth, cf.pl.velocity_quiver])
def test_long_names_of_groups_leave_room_for_the_cells(arrows, draw):
    names = {"left": "common myeloid progenitor, CD34+ and Kit=high, of the bone marrow"}
    arrows.obs["long"] = arrows.obs["half"].astype(str).replace(names) + " " + "of a kind" * 3
    options = {} if draw is cf.pl.growth else {"basis": "pca"}
    ax = draw(arrows, color="long", show=False, **options)
    ax.figure.canvas.draw()
    assert max(len(line) for text in ax.get_legend().get_texts()
               for line in text.get_text().split("\n")) <= 22  # fmt: skip
    assert ax.bbox.width > 0.45 * ax.figure.bbox.width
