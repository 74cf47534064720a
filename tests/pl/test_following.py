"""Figures of cells that are followed: fates, transitions, paths, motion."""

import itertools

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.animation import writers
from matplotlib.colors import to_rgba
from matplotlib.patches import PathPatch, Rectangle
from PIL import Image

import cellflow as cf
from cellflow.pl._plane import Plane
from cellflow.representation import RepresentationSettings, fit_representation
from tests.flows import course_of, fork, forking, known_flow


@pytest.fixture
def cells():
    """The fork with fates, an embedding that is the points mirrored, and colours of scanpy."""
    adata = fork()
    adata.obsm["X_umap"] = adata.obsm["X_pca"] * [1, -1]
    adata.uns["fate_colors"] = np.array(["#111111", "#222222", "#aa0000", "#0000bb"], dtype=object)
    cf.tl.fates(adata, known_flow(adata, forking), "fate", by="flow", n_neighbors=4)
    return adata


@pytest.fixture
def flow(cells):
    return known_flow(cells, forking)


@pytest.fixture
def paths(cells, flow):
    return cf.tl.trajectories(cells, flow, times=4, n_cells=None)


@pytest.fixture
def table(cells, flow):
    return cf.tl.transitions(cells, flow, "fate", by="flow", n_neighbors=4)


def test_fates_have_a_panel_each_and_one_of_the_entropy(cells, tmp_path):
    ax = cf.pl.fates(cells, show=False)
    panels = [panel for panel in ax.figure.axes if panel.get_title()]
    assert [panel.get_title() for panel in panels] == ["up", "down", "entropy"]
    assert [panel.texts[0].get_color() for panel in panels[:2]] == ["#aa0000", "#0000bb"]
    unknown, known = ax.collections[:2]
    assert (len(unknown.get_offsets()), len(known.get_offsets())) == (0, 25)
    assert sorted(known.get_array()) == [0] * 12 + [0.5] + [1] * 12
    assert known.get_array()[-1] == 1, "likely cells are drawn last"
    assert "nearly certain by construction" in ax.figure.get_suptitle()
    assert ax.get_xlabel() == "UMAP 1"
    cf.pl.save(ax, tmp_path / "fates.png")
    assert (tmp_path / "fates.png").stat().st_size > 5_000


LONG = {
    "start": "common myeloid progenitor, CD34+ & Kit=high",
    "way": "haematopoietic cell on its way",
    "up": "CD8-positive, alpha-beta T cell",
    "down": "B & plasma=mature cell",
}


def _boxes(ax, texts):
    """Return where texts are drawn, and the whole figure."""
    ax.figure.canvas.draw()
    return [text.get_window_extent() for text in texts], ax.figure.bbox


@pytest.fixture
def long(cells):
    """The fork with long names of groups."""
    cells.obs["fate"] = cells.obs["fate"].cat.rename_categories(LONG)
    return cells


def test_long_names_of_fates_leave_room_for_the_colour(long, flow):
    cf.tl.fates(long, flow, "fate", by="flow", n_neighbors=4)
    first = cf.pl.fates(long, show=False)
    for panel in first.figure.axes[:2]:
        (title, dot), _ = _boxes(panel, [panel.title, panel.texts[0]])
        assert dot.x1 < title.x0
        assert dot.x0 > panel.bbox.x0 - 0.1 * panel.bbox.width
        assert title.x1 < panel.bbox.x1 + 0.1 * panel.bbox.width


def test_long_names_of_a_sankey_stay_before_the_next_group(long, flow):
    table = cf.tl.transitions(long, flow, "fate", by="flow", n_neighbors=4)
    ax = cf.pl.sankey(long, table, show=False)
    names = [text for text in ax.texts if text.get_text().replace("\n", " ") in LONG.values()]
    assert len(names) >= 4
    boxes, figure = _boxes(ax, [*names, ax._left_title])
    columns = ax.transData.transform([(time, 0) for time in range(3)])[:, 0]
    for box in boxes:
        assert figure.x0 <= box.x0
        assert box.x1 <= figure.x1
    for text, box in zip(names, boxes, strict=False):
        if text.get_ha() == "left":
            assert all(box.x1 < place for place in columns if place > box.x0)


def test_titles_beside_a_legend_of_long_names_are_whole(long, flow):
    ax = cf.pl.trajectories(long, flow, groups="fate", groups_at="end", show=False)
    (title,), figure = _boxes(ax, [ax.title])
    assert figure.x0 <= title.x0
    assert title.x1 <= figure.x1


def test_the_known_share_at_many_times_fits_on_the_figure(cells, flow):
    cf.tl.fates(cells, flow, "fate")
    entry = cells.uns["cellflow"]["fate_probabilities"]
    entry |= {"unit": "hour", "start_times": np.arange(14.0), "known": np.linspace(0, 1, 14)}
    figure = cf.pl.fates(cells, show=False).figure
    figure.canvas.draw()
    title = figure._suptitle.get_window_extent()
    assert "8% at 1 h" in figure.get_suptitle()
    assert title.x0 >= 0
    assert title.x1 <= figure.bbox.x1


def test_titles_have_times_with_their_unit(cells, flow):
    cf.pp.time_points(cells, "day", unit="hour")
    cf.tl.fates(cells, flow, "fate", by="flow", n_neighbors=4)
    assert cf.pl.fates(cells, show=False).figure.get_suptitle().startswith("Fates at 2 h, by")
    assert cf.pl.trajectories(cells, flow, show=False).get_title() == "Paths of 9 cells from 0 h"


def test_panels_of_fates_in_several_rows_have_one_pair_of_names(cells):
    names = ["up", "down"] * 3
    ax = cf.pl.fates(cells, fates=names, show=False)
    panels = [panel for panel in ax.figure.axes if panel.get_title()]
    assert [bool(panel.get_xlabel()) for panel in panels] == [False] * 3 + [True, False, False]
    plt.close(ax.figure)


def test_one_fate_takes_axes(cells):
    cells.obsm["fate_probabilities"][17:] = np.nan
    ax = plt.figure().add_subplot()
    assert cf.pl.fates(cells, fates="up", basis="pca", ax=ax, show=False) is ax
    np.testing.assert_allclose(ax.collections[0].get_offsets(), cells.obsm["X_pca"][17:])
    assert cf.pl.fates(cells, fates=["entropy"], ax=ax, show=False) is ax


def test_what_fates_cannot_draw_is_named(cells):
    with pytest.raises(cf.InputError, match=r"one ax can show one fate, got up, down, entropy"):
        cf.pl.fates(cells, ax=plt.figure().add_subplot())
    with pytest.raises(cf.InputError, match=r"unknown fate 'upp' .did you mean 'up'"):
        cf.pl.fates(cells, fates="upp")
    with pytest.raises(cf.InputError, match=r"no obsm key 'tsne'; there are: X_pca, X_umap"):
        cf.pl.fates(cells, basis="tsne")
    with pytest.raises(cf.InputError, match="dimensions 0 to 1"):
        cf.pl.fates(cells, components=(0, 2))
    with pytest.raises(cf.InputError, match="no fates under 'fate'; run"):
        cf.pl.fates(fork())


def bands(ax):
    return [patch for patch in ax.patches if isinstance(patch, PathPatch)]


def test_sankey_draws_groups_and_bands_in_their_colours(cells, table, tmp_path):
    ax = cf.pl.sankey(cells, table, show=False)
    nodes = [patch for patch in ax.patches if isinstance(patch, Rectangle)]
    assert [node.get_facecolor()[:3] for node in nodes] == [
        to_rgba(colour)[:3] for colour in ("#111111", "#222222", "#aa0000", "#0000bb")
    ]
    assert [node.get_height() for node in nodes] == pytest.approx([1, 1, 0.5, 0.5])
    assert len(bands(ax)) == 3
    assert not [text for text in ax.texts if "hidden" in text.get_text()]
    cf.pl.save(ax, tmp_path / "sankey.png")
    assert (tmp_path / "sankey.png").stat().st_size > 5_000


def test_sankey_says_how_much_it_hides(cells, table):
    rare = table.copy()
    rare.loc[table["target"] == "up", "mass"] = 0.03
    rare.loc[table["target"] == "down", "mass"] = 0.97
    ax = cf.pl.sankey(cells, rare, threshold=0.05, show=False)
    assert len(bands(ax)) == 2
    notes = [text.get_text() for text in ax.texts if "hidden" in text.get_text()]
    assert notes == ["3.0% hidden"]
    assert "bands below 5.0% of the cells of a time point are hidden" in ax.get_title(loc="left")
    assert len(bands(cf.pl.sankey(cells, rare, threshold=0, show=False))) == 3
    ax = plt.figure().add_subplot()
    assert cf.pl.sankey(cells, table, ax=ax, show=False) is ax


def test_names_of_many_thin_groups_do_not_lie_on_each_other(cells):
    names = [f"type {k}" for k in range(30)]
    mass = np.where(np.arange(30) % 3 == 0, 1 / 15, 1 / 60)
    rows = pd.DataFrame({"groups": "fate", "source_time": 2.0, "target_time": 4.0,
                         "source": names, "target": names, "mass": mass})  # fmt: skip
    ax = cf.pl.sankey(cells, rows, show=False)
    boxes = [text.get_window_extent() for text in ax.texts if text.get_text().startswith("type")]
    assert len(boxes) == 60
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))
    # Groups below the threshold are drawn without names.
    rare = cf.pl.sankey(cells, rows, threshold=0.02, show=False)
    assert sum(text.get_text().startswith("type") for text in rare.texts) == 20


def test_what_sankey_cannot_draw_is_named(cells, table):
    with pytest.raises(cf.InputError, match="missing columns: mass"):
        cf.pl.sankey(cells, table.drop(columns="mass"))
    with pytest.raises(cf.InputError, match="threshold must be a fraction"):
        cf.pl.sankey(cells, table, threshold=2)
    with pytest.raises(cf.InputError, match="no transitions to draw"):
        cf.pl.sankey(cells, table[:0])
    with pytest.raises(cf.InputError, match="unknown obs column 'fates'"):
        cf.pl.sankey(cells, table.assign(groups="fates"))


def test_transitions_are_of_the_pair_that_its_labels_name(cells, flow):
    table = cf.tl.transitions(cells, flow, "fate", by="flow", n_neighbors=4, pairs="all")
    labels = {0: "Day 0", 1: "Day 1", 2: "Day 2"}
    named = cells.copy()
    named.obs["when"] = named.obs.pop("day").map(labels).astype(str)

    def names(adata, **options):
        ax = cf.pl.transitions(adata, table, show=False, **options)
        return ax.get_ylabel(), ax.get_xlabel()

    assert names(cells) == ("from, at day 0", "to, at day 2")
    assert names(cells, pair=(1, 2)) == ("from, at day 1", "to, at day 2")
    given = {"time_key": "when"}
    assert names(named, **given) == ("from, at Day 0", "to, at Day 2")
    for pair in (("Day 0", "Day 1"), (0, 1), ("0", "1"), ["day 0", 1.0]):
        assert names(named, pair=pair, **given) == ("from, at Day 0", "to, at Day 1")
    bare = named[:, :].copy()
    del bare.obs["when"]
    assert names(bare, pair=("0", 1)) == ("from, at time 0", "to, at time 1")
    for adata, pair, message in (
        (cells, (2, 0), "no pair of times 2 to 0; give the earlier time first; valid: 0 to 1"),
        (cells, (0, 3), "no pair of times 0 to 3; valid: 0 to 1"),
        (cells, "0,1", "a pair is an earlier and a later time"),
        (bare, ("Day 0", 1), "'Day 0' is not a number, and no column"),
    ):
        with pytest.raises(cf.InputError, match=message):
            cf.pl.transitions(adata, table, pair=pair, show=False)
    plt.close("all")


def test_paths_are_drawn_in_an_embedding_by_group(cells, paths):
    ax = cf.pl.trajectories(cells, paths, basis="umap", groups="fate", show=False)
    lines = ax.collections[1:-1]
    assert len(lines) == 9
    assert lines[0].get_colors()[0][:3] == pytest.approx(to_rgba("#111111")[:3])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["start"]
    assert ax.get_title() == "Paths of 9 cells from time 0"
    drawn = cf.pl.trajectories(cells, paths, n_cells=2, show=False)
    assert len(drawn.collections[-1].get_offsets()) == 2
    np.testing.assert_allclose(drawn.collections[-1].get_offsets()[:, 0], 0, atol=1e-6)


def test_paths_are_coloured_by_the_group_where_they_end(cells, flow, paths):
    ax = cf.pl.trajectories(cells, paths, groups="fate", groups_at="end", show=False)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["up", "down"]
    assert ax.get_legend().get_title().get_text() == "fate at the end"
    assert "one end for each cell, which is not its probability" in ax.get_title().replace(
        "\n", " "
    )
    colours = {"up": "#aa0000", "down": "#0000bb"}
    for line in ax.collections[1:-1]:
        end = line.get_segments()[-1][-1, 1]
        expected = colours["up" if end > 0 else "down"]
        if abs(end) > 0.1:
            assert line.get_colors()[0][:3] == pytest.approx(to_rgba(expected)[:3])
    film = cf.pl.animate(cells, paths, groups="fate", groups_at="end", show=False)
    film._func(0.0)
    found = film._fig.axes[0].collections[-1].get_facecolors()[:, :3]
    film._draw_was_started = True
    assert {tuple(row) for row in found.round(3)} == {
        tuple(np.round(to_rgba(colour)[:3], 3)) for colour in colours.values()
    }
    back = cf.tl.trajectories(cells, flow, times=3, backward=True)
    ax = cf.pl.trajectories(cells, back, groups="fate", groups_at="end", show=False)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["start"]


def test_an_end_among_cells_without_a_group_has_none(cells, paths):
    late = cells.obs["fate"].isin(["up", "down"])
    cells.obs["known"] = cells.obs["fate"].astype(object).where(~late, np.nan)
    ax = cf.pl.trajectories(cells, paths, groups="known", groups_at="end", show=False)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["no value"]
    with pytest.raises(cf.InputError, match=r"groups_at='end' requires groups \(--groups\)"):
        cf.pl.trajectories(cells, paths, groups_at="end", show=False)
    with pytest.raises(cf.InputError, match="unknown groups_at 'ends'"):
        cf.pl.animate(cells, paths, groups="fate", groups_at="ends", show=False)


def test_the_figure_tells_paths_beyond_the_data(cells, quick):
    flow = cf.tl.fit(cells, use_rep="X_pca", method="ot-cfm", recipe=quick, progress=False)
    with pytest.warns(cf.CellflowWarning):
        far = cf.tl.trajectories(cells, flow, times=[0, 1, 3], extrapolate=True)
    assert "outside the times" in cf.pl.trajectories(cells, far, show=False).get_title()
    film = cf.pl.animate(cells, far, show=False)
    film._func(3.0)
    assert film._fig.axes[0].get_title(loc="left") == "time 3, beyond the data"
    film._draw_was_started = True


def test_predicted_cells_are_drawn_in_an_embedding_that_says_how(cells, flow):
    note = "means of their nearest measured cells"
    predicted = cf.tl.interpolate(cells, flow, 0.5)
    exact = cf.pl.interpolation(cells, predicted, basis="umap", show=False)
    mirrored = predicted.obsm["X_cellflow"] * [1, -1]
    np.testing.assert_allclose(exact.collections[-1].get_offsets(), mirrored, atol=1e-5)
    assert exact.get_xlabel() == "UMAP 1"
    assert not any(note in text.get_text() for text in exact.texts)
    cells.obsm["X_umap"] = cells.obsm["X_umap"] ** 3
    placed = cf.pl.interpolation(cells, predicted, basis="X_umap", show=False)
    assert any(note in text.get_text() for text in placed.texts)
    assert np.abs(placed.collections[-1].get_offsets()).max() <= cells.obsm["X_umap"].max()
    with pytest.raises(cf.InputError, match="no obsm key 'tsne'"):
        cf.pl.interpolation(cells, predicted, basis="tsne", show=False)


def test_a_point_stands_among_its_neighbours_and_does_not_jump():
    """In an embedding that is the representation itself, points keep their place nearly."""
    line = np.stack([np.linspace(0, 1, 400), np.zeros(400)], axis=1)
    dense = course_of(line, np.zeros(400))
    dense.obsm["X_same"] = line
    representation = fit_representation(dense, RepresentationSettings(use_rep="X_pca"))
    plane = Plane.of(dense, representation, "same", (0, 1))
    way = np.stack([np.linspace(0.1, 0.9, 1000), np.zeros(1000)], axis=1)
    placed = plane.place(way)
    np.testing.assert_allclose(placed, way, atol=3e-3)
    assert np.abs(np.diff(placed[:, 0])).max() < 3e-3


def test_a_film_has_a_frame_a_time(cells, paths, tmp_path):
    film = cf.pl.animate(cells, paths, groups="fate", show=False)
    cf.pl.save(film, tmp_path / "film.gif")
    with Image.open(tmp_path / "film.gif") as image:
        assert image.n_frames == 4
    assert not plt.get_fignums()


def test_a_film_is_one_page(cells, paths, tmp_path):
    cf.pl.save(cf.pl.animate(cells, paths, show=False), tmp_path / "film.html")
    page = (tmp_path / "film.html").read_text()
    assert page.count("data:image/png;base64") == 4
    assert not plt.get_fignums()


@pytest.mark.skipif(not writers.is_available("ffmpeg"), reason="needs ffmpeg")
def test_a_film_is_a_video(cells, paths, tmp_path):
    cf.pl.save(cf.pl.animate(cells, paths, show=False), tmp_path / "film.mp4")
    assert (tmp_path / "film.mp4").read_bytes()[4:8] == b"ftyp"


def test_a_film_backward_begins_at_the_end_and_takes_axes(cells, flow, tmp_path):
    back = cf.tl.trajectories(cells, flow, times=3, backward=True)
    ax = plt.figure().add_subplot()
    film = cf.pl.animate(cells, back, ax=ax, show=False)
    assert ax.get_title(loc="left") == "time 2"
    cf.pl.save(film, tmp_path / "film.gif")
    assert ax.get_title(loc="left") == "time 0"


def test_what_cannot_be_filmed_is_named(cells, paths, tmp_path, monkeypatch):
    with pytest.raises(cf.InputError, match=r"result of cellflow\.tl\.trajectories"):
        cf.pl.animate(cells, cells)
    with pytest.raises(cf.InputError, match="interval must be positive"):
        cf.pl.animate(cells, paths, interval=0)
    film = cf.pl.animate(cells, paths, show=False)
    with pytest.raises(cf.InputError, match=r"animations are written as \.gif, \.mp4 or \.html"):
        cf.pl.save(film, tmp_path / "film.png")
    monkeypatch.setattr(writers, "is_available", lambda name: False)
    with pytest.raises(cf.InputError, match=r"requires ffmpeg, which is .*; write \.gif or \.html"):
        cf.pl.save(film, tmp_path / "film.mp4")
    monkeypatch.undo()
    cf.pl.save(film, tmp_path / "film.gif")


def test_paths_from_cells_without_a_group_are_told_in_the_legend(cells, paths):
    cells.obs["some"] = cells.obs["fate"].where(cells.obs_names != "c3")
    film = cf.pl.animate(cells, paths, groups="some", show=False)
    film._draw_was_started = True
    for ax in (cf.pl.trajectories(cells, paths, groups="some", show=False), film._fig.axes[0]):
        told = [text.get_text() for text in ax.get_legend().get_texts()]
        assert told == ["start", "no value"]


@pytest.mark.filterwarnings("ignore:Observation names are not unique")
def test_groups_of_paths_are_known_by_the_names_of_cells(cells, paths):
    cells.obs_names = ["cell"] * cells.n_obs
    for draw in (cf.pl.trajectories, cf.pl.animate):
        with pytest.raises(cf.InputError, match=r"call adata\.obs_names_make_unique"):
            draw(cells, paths, groups="fate", show=False)


def test_many_groups_have_colours_of_their_own():
    names = [f"g{k:02}" for k in range(30)]
    adata = fork()
    adata.obs["many"] = (names * 30)[: adata.n_obs]
    colours = cf.pl._colours.group_colours(adata, "many")
    assert len(set(colours.values())) == adata.obs["many"].nunique()
    assert all(mpl.colors.is_color_like(colour) for colour in colours.values())
