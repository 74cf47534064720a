"""The gallery: its page is that of its script, and its figures can be read in a journal."""

import importlib.util
import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from matplotlib import pyplot as plt
from matplotlib.animation import FuncAnimation
from matplotlib.font_manager import font_scalings
from matplotlib.text import Text

import cellflow as cf
from cellflow.methods import recipes
from cellflow.pl._canvas import WIDEST, canvas, make_panels

ROOT = Path(__file__).parents[2]

#: Width of a page of a journal in inches, and smallest size of letters on it in points.
PAGE, SMALLEST = 180 / 25.4, 6.0


@pytest.fixture(scope="module")
def gallery():
    """The script that draws the gallery."""
    spec = importlib.util.spec_from_file_location("gallery", ROOT / "scripts" / "draw_gallery.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def texts_of(figure):
    """The texts that a figure shows."""
    found = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text()]
    inside = figure.bbox.padded(figure.dpi)
    # Ticks beyond the limits of their axis have labels that are not drawn.
    return [text for text in found if inside.overlaps(text.get_window_extent())]


def smallest_letters(figure):
    """Size in points of the smallest letters where the figure is printed on a page."""
    scale = min(1.0, PAGE / figure.get_figwidth())
    return scale * min(text.get_fontsize() for text in texts_of(figure))


def overlaps(figure):
    """Pairs of texts of one axes that lie on each other by more than a tenth of the smaller one."""
    found = []
    for ax in figure.axes:
        boxes = [(text.get_text(), text.get_window_extent()) for text in titles_and_labels(ax)]
        for (first, one), (second, other) in combinations(boxes, 2):
            shared = one.intersection(one, other)
            smaller = min(one.width * one.height, other.width * other.height)
            if shared is not None and shared.width * shared.height > 0.1 * smaller:
                found.append((first, second))
    return found


def titles_and_labels(ax):
    """Texts of an axes: title, labels, those of ticks and legends, and its own."""
    ticks = [label for axis in (ax.xaxis, ax.yaxis) for label in shown_ticks(axis)]
    legend = ax.get_legend()
    named = [ax.title, ax._left_title, ax.xaxis.label, ax.yaxis.label, *ax.texts]
    named += [] if legend is None else legend.get_texts()
    return [text for text in [*named, *ticks] if text.get_visible() and text.get_text().strip()]


def shown_ticks(axis):
    low, high = sorted(axis.get_view_interval())
    return [
        tick.label1
        for tick in axis.get_major_ticks()
        if tick.label1.get_visible() and low <= tick.get_loc() <= high
    ]


def test_the_page_is_that_of_the_script(gallery):
    page = gallery.page()
    assert (ROOT / "docs" / "gallery.md").read_text() == page
    prose = re.sub(r"```python.*?```", "", page, flags=re.DOTALL)
    assert max(map(len, prose.splitlines())) <= 100
    assert all(line.count("`") % 2 == 0 for line in prose.splitlines())


def test_every_figure_is_in_the_gallery(gallery):
    shown = [entry.name for section in gallery.SECTIONS for entry in section.entries]
    assert sorted(shown) == sorted(set(cf.pl.__all__) - {"save"})
    for name in shown:
        ending = "gif" if name == "animate" else "png"
        kept = ROOT / "docs" / "images" / "gallery" / f"{name}.{ending}"
        assert kept.stat().st_size < 250_000


# Flows of a few steps take cells anywhere, and verbs say so.
@pytest.mark.filterwarnings("ignore::cellflow.CellflowWarning")
@pytest.mark.filterwarnings("ignore:More than 20 figures:RuntimeWarning")
@pytest.mark.slow
def test_figures_are_legible_and_have_units(gallery, monkeypatch):
    monkeypatch.setitem(recipes._RECIPES, "default", cf.recipe("default", net={"width": 16}))
    for name, made in gallery.draw(n_steps=20):
        if isinstance(made, FuncAnimation):
            made._draw_was_started = True
            continue
        figure = made.get_figure(root=True)
        figure.canvas.draw()
        assert smallest_letters(figure) >= SMALLEST, name
        assert overlaps(figure) == [], name
        for ax in figure.axes:
            for label in (ax.get_xlabel(), ax.get_ylabel()):
                assert not label.startswith("time") or "(days)" in label, name
                assert "cellflow_" not in label, name
    plt.close("all")


@pytest.mark.parametrize("n_times", [3, 9, 14])
def test_bands_of_many_times_are_drawn_on_a_page_with_their_unit(n_times):
    times = np.arange(float(n_times))
    names = ["early", "a group of cells with a long name"]
    pairs = [(k, one, other) for k in range(n_times - 1) for one in names for other in names]
    table = pd.DataFrame(pairs, columns=["source_time", "source", "target"])
    table = table.assign(groups="kind", target_time=table["source_time"] + 1, mass=0.25)
    obs = {"day": np.repeat(times, 2), "kind": pd.Categorical(names * n_times)}
    cells = AnnData(obs=pd.DataFrame(obs, index=[f"cell {k}" for k in range(2 * n_times)]))
    cf.pp.time_points(cells, "day", unit="day")
    ax = cf.pl.sankey(cells, table, show=False)
    shown = [text.get_text() for text in ax.texts]
    assert {f"day {time:g}" for time in times} <= set(shown)
    ax.figure.canvas.draw()
    assert smallest_letters(ax.figure) >= SMALLEST
    assert overlaps(ax.figure) == []
    plt.close("all")


def test_panels_fit_on_a_page():
    for count in (1, 3, 7):
        panels = make_panels(count, None, per="gene", size=(4.2, 3.2))
        assert panels[0].figure.get_figwidth() <= WIDEST
    assert canvas(None, (40, 4)).figure.get_figwidth() == WIDEST
    smallest = plt.rcParams["font.size"] * font_scalings["x-small"]
    assert smallest * PAGE / WIDEST >= SMALLEST
    plt.close("all")


def test_differences_say_of_what_they_are():
    rows = {
        "condition": "b",
        "reference": "a",
        "time": [0.0, 0.0],
        "difference": 0.1,
        "unit": "day",
    }
    table = pd.DataFrame({**rows, "group": ["A", "B"], "low": 0.0, "high": 0.2, "units": "cells"})
    shares = cf.pl.compare(table, show=False)[0].get_ylabel()
    assert shares == "difference of shares or probabilities"
    rates = cf.pl.compare(table[:1], show=False)[0].get_ylabel()
    assert rates == "difference of mean rates\n(per day)"
    plt.close("all")


def test_letters_that_are_too_small_or_lie_on_each_other_are_found():
    figure, ax = plt.subplots(figsize=(2 * PAGE, 3))
    ax.set_title("title", fontsize=8)
    ax.text(0.5, 0.5, "one")
    ax.text(0.5, 0.5, "two")
    figure.canvas.draw()
    assert smallest_letters(figure) == pytest.approx(4)
    assert overlaps(figure) == [("one", "two")]
    plt.close(figure)
