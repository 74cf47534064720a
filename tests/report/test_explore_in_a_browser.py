"""The page to explore in a headless Chromium: clicks, keys, and what it then says."""

import io
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import cellflow as cf
from tests.browser import Browser, find_browser

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_browser() is None, reason="needs Chromium (or CELLFLOW_CHROMIUM)"),
]


@pytest.fixture(scope="module")
def path(tmp_path_factory, fitted_of_all, quick):
    """A page with groups of evil names, fates, scores and genes."""
    folder = tmp_path_factory.mktemp("page")
    course = cf.datasets.simulate_course(n_cells=300, n_genes=40)
    course.obs["kind"] = pd.Categorical(
        course.obs["state"].astype(str).replace({"progenitor": "</script><b id='evil'>p</b>"})
    )
    cf.pp.embed(course, n_dims=4)
    flow = cf.tl.fit(course, time_key="time", recipe=quick, progress=False)
    cf.tl.fates(course, flow, "kind", time=7)
    cf.tl.holdout(course, flow=flow, times=[2], recipe=quick, progress=False)
    cf.report.explore(course, flow, folder / "page.html", groups="kind", n_paths=120, n_steps=8)
    return folder / "page.html"


@pytest.fixture(scope="module")
def shared(path, tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("browser")) as browser:
        browser.open(path)
        yield browser


@pytest.fixture
def page(shared, path):
    """The page as it is when it is opened."""
    shared.resize(1400, 900)
    shared.open(path)
    assert shared.run("document.body.dataset.ready") == "yes"
    yield shared
    assert shared.complaints() == []


def pixels(picture):
    """Colours of a picture in PNG, shape (height, width, 3)."""
    with Image.open(io.BytesIO(picture)) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def cell_with_path(page, time=0):
    condition = f"explorer.hasPath(k) && explorer.timeOf(k) === {time}"
    return page.run(f"[...explorer.names.keys()].find(k => {condition})")


def test_a_click_on_a_cell_tells_of_it(page):
    cell = cell_with_path(page)
    name = page.run(f"explorer.names[{cell}]")
    page.click(*page.run(f"explorer.moving({cell})"))
    text = page.text("#cell")
    shown = page.run("explorer.names[explorer.state.selected]")
    # Dots overlap; the one that is clicked is at most a few pixels away.
    assert shown in text
    assert np.hypot(*np.subtract(
        page.run(f"explorer.moving({cell})"), page.run("explorer.moving(explorer.state.selected)")
    )) < 15  # fmt: skip
    assert "time 0" in text
    shares = [int(each) for each in re.findall(r"(\d+) %", text)]
    assert sum(shares) == pytest.approx(100, abs=2)
    assert "Genes along its path" in text
    assert page.run("document.querySelectorAll('#genes svg').length") == 6
    page.click_on("#genes button")
    assert page.run("document.querySelectorAll('#genes svg').length") == 30
    assert name in page.run("explorer.names")
    page.click_on("#stage")


def test_where_a_late_cell_comes_from_is_shown_by_group(page):
    page.run(f"explorer.select({cell_with_path(page, 4)})")
    text = page.text("#cell")
    assert "Where it comes from: its ancestors at time 2" in text
    assert "Where it comes from: its ancestors at time 0" in text
    assert "</script><b id='evil'>p</b>" in text
    assert page.run("document.getElementById('evil')") is None


def test_the_slider_moves_cells_and_says_when(page):
    cell = cell_with_path(page)
    before = page.run(f"explorer.moving({cell})")
    page.run("document.querySelector('#time').focus()")
    spoken = "document.querySelector('#time').getAttribute('aria-valuetext')"
    assert "cells were measured" in page.run(spoken)
    for _ in range(10):
        page.press("ArrowRight")
    assert page.run("explorer.state.time") == pytest.approx(1.4, abs=0.01)
    assert page.text("#now") == "time 1.4"
    assert "between measured times" in page.run(spoken)
    assert "Held out at time 2: W1" in page.text("#score")
    page.press("ArrowRight", shift=True)
    assert page.run("explorer.state.time") == 2
    assert "cells were measured at this time" in page.text("#status")
    page.press("End")
    assert page.run("explorer.state.time") == 7
    assert np.hypot(*np.subtract(page.run(f"explorer.moving({cell})"), before)) > 5
    page.press("Home")
    page.click_on("#time")
    assert page.run("explorer.state.time") == pytest.approx(3.5, abs=0.1)


def test_space_plays_and_pauses(page):
    page.run("document.querySelector('#stage').focus()")
    page.press(" ", text=" ")
    page.wait("explorer.state.time > 0.1")
    assert page.text("#play") == "Pause"
    page.press(" ", text=" ")
    assert page.text("#play") == "Play"
    time = page.run("explorer.state.time")
    assert page.run("new Promise(f => setTimeout(() => f(explorer.state.time), 200))") == time


def test_without_motion_it_plays_from_time_to_time(page, path):
    page.open(path, media={"prefers-reduced-motion": "reduce"})
    page.click_on("#play")
    page.wait("explorer.state.time > 0")
    assert page.run("explorer.state.time") in (2, 4, 7)
    page.call("Emulation.setEmulatedMedia", features=[])


def test_cells_have_the_colours_of_their_groups_and_of_genes(page):
    box = page.run("(b => [b.x, b.y])(document.querySelector('#stage').getBoundingClientRect())")
    page.choose("#background", "hidden")
    picture = pixels(page.picture())[int(box[1]) :, :900]

    def count(picture, colour):
        return int((np.abs(picture - np.array(colour)).sum(axis=2) < 12).sum())

    # All cells of the first time are of one group, and have its colour.
    legend = page.run("document.querySelector('.swatch').style.background")
    colour = [int(each) for each in re.findall(r"\d+", legend)]
    assert count(picture, colour) > 500
    gene = page.run("[...document.querySelectorAll('#colour option')].at(-1).value")
    page.choose("#colour", gene)
    other = pixels(page.picture())[int(box[1]) :, :900]
    assert count(other, colour) < 100
    assert "log(1 + x)" in page.text("#legend")


def test_a_legend_singles_out_a_group(page):
    page.click_on(".group")
    assert page.run("explorer.state.only") == 0
    assert page.run("document.querySelector('.group').getAttribute('aria-pressed')") == "true"
    page.click_on(".group")
    assert page.run("explorer.state.only") is None


def test_cells_are_found_by_name_and_by_keys(page):
    page.run("document.querySelector('#stage').focus()")
    page.press("n", text="n")
    first = page.text("#cell h3")
    page.press("n", text="n")
    assert page.text("#cell h3") != first
    page.press("p", text="p")
    assert page.text("#cell h3") == first
    assert first in page.run("document.querySelector('#said').textContent")
    page.press("Escape")
    assert page.text("#cell") == ""
    without = page.run("explorer.names[[...explorer.names.keys()].find(k => !explorer.hasPath(k))]")
    page.choose("#find", without)
    assert page.text("#cell h3") == without
    assert "this is not one of them" in page.text("#cell")
    page.click_on("#cell button")
    assert "Genes along its path" in page.text("#cell")
    page.choose("#find", "nobody")
    assert "No cell of this page is called nobody" in page.text("#hint")


def test_everything_is_reached_by_tab_and_seen(page):
    reached = set()
    page.run("document.activeElement.blur()")
    for _ in range(40):
        page.call("Input.dispatchKeyEvent", type="keyDown", key="Tab", windowsVirtualKeyCode=9)
        page.call("Input.dispatchKeyEvent", type="keyUp", key="Tab", windowsVirtualKeyCode=9)
        reached.add(page.run("document.activeElement.id"))
        if page.run("document.activeElement !== document.body"):
            assert page.run("getComputedStyle(document.activeElement).outlineStyle") != "none"
        if "reset" in reached:
            break
    assert reached >= {"stage", "play", "time", "colour", "mode", "background", "find", "next"}


@pytest.mark.parametrize("width", [1400, 400])
def test_nothing_is_wider_than_the_window(page, width):
    page.resize(width, 900)
    page.run(f"explorer.select({cell_with_path(page, 4)})")
    assert page.run("document.documentElement.scrollWidth") <= width
    canvas = page.run("document.querySelector('#top canvas').getBoundingClientRect().width")
    assert canvas > 0.6 * min(width, 960)


def test_times_have_the_labels_of_the_column_and_fit_a_narrow_window(shared, page, tmp_path):
    course = cf.datasets.simulate_course(n_cells=80, n_genes=20)
    when = course.obs["time"].astype(float).map("Day {:g} after induction".format)
    course.obs["time"] = when
    cf.pp.embed(course, n_dims=2)
    recipe = cf.recipe("default", n_steps=3)
    flow = cf.tl.fit(course, time_key="time", recipe=recipe, progress=False)
    cf.report.explore(course, flow, tmp_path / "named.html", n_paths=20, n_steps=4)
    shared.resize(400, 900)
    shared.open(tmp_path / "named.html")
    assert shared.run("document.documentElement.scrollWidth") <= 400
    box = "[...document.querySelectorAll('.tick span:not([hidden])')].map(e => "
    track = shared.run("(b => [b.left, b.right])(track.getBoundingClientRect())")
    for left, right in shared.run(f"{box}(b => [b.left, b.right])(e.getBoundingClientRect()))"):
        assert track[0] - 0.1 <= left < right <= track[1] + 0.1
    assert shared.text("#now") == "Day 0 after induction"
    assert "moving cells from Day 0 after induction;" in shared.text("#status")
    shared.run("document.querySelector('#time').focus()")
    shared.press("ArrowRight")
    assert re.fullmatch(r"day 0\.\d+", shared.text("#now"))


def test_without_webgl_the_page_says_what_to_do(path, tmp_path):
    with Browser(tmp_path, webgl=False) as page:
        page.open(path)
        assert page.run("document.body.dataset.ready") == "no"
        assert "Switch on hardware acceleration" in page.text("#problem")
