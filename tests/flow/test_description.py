"""A flow as HTML for notebooks: the facts of its text, escaped, without scripts or style sheets."""

from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest

import cellflow as cf
from cellflow.flow import FitRecord, Inputs
from cellflow.marginals import TimeAxis
from cellflow.nets import Fields


def flow_of(*, loss=(3.0, 1.5, 1.0, 0.75), times=(0.0, 6.0, 24.0), inputs=None, **record):
    return cf.Flow(
        Fields.make(("velocity",), (3,), width=4, depth=1, condition_dim=1),
        TimeAxis("real", times),
        cf.method("default"),
        cf.recipe("default", n_steps=500),
        inputs=inputs or Inputs(condition_keys=("dose",), time_unit="hour"),
        record=FitRecord(
            **{"n_points": 2450, "cost": {"setup_seconds": 2.0, "seconds": 10.0}, **record}
        ),
        history={"step": list(range(len(loss))), "loss": list(loss)},
    )


class Words(HTMLParser):
    """The text of a page, and its tags with their attributes."""

    def __init__(self, page):
        super().__init__()
        self.text, self.tags = [], []
        self.feed(page)

    def handle_data(self, data):
        self.text.append(data)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


def test_text_and_html_have_the_same_facts():
    flow = flow_of()
    page = Words(flow._repr_html_())
    title, *lines = repr(flow).split("\n")
    assert title == ("Flow of 3 dimensions, 3 times from 0 to 24 hours (real clock), 1 covariates")
    assert title in page.text
    for line in lines:
        name, _, value = line.strip().partition(": ")
        assert name in page.text
        assert value in page.text
    assert "2,450 points, 500 steps, 12 s, seed 0, device cpu" in page.text
    assert "conditions" in page.text


def test_the_html_is_well_formed_and_changes_nothing_else_of_a_page():
    page = flow_of()._repr_html_()
    ElementTree.fromstring(page)
    tags = Words(page).tags
    assert {tag for tag, _ in tags}.isdisjoint({"style", "script", "link", "iframe", "img"})
    assert not any({"class", "id", "onclick"} & set(attrs) for _, attrs in tags)
    # Colours of the page, be it light or dark; a background of ours would hide its text.
    assert "color:#" not in page.replace("border-left:3px solid", "")
    assert 'stroke="currentColor"' in page


def test_names_of_columns_are_escaped():
    inputs = Inputs(condition_keys=("<script>alert(1)</script>", "a & b"))
    page = flow_of(inputs=inputs)._repr_html_()
    assert "<script" not in page
    assert "<script>alert(1)</script>, a & b" in Words(page).text


def points_of(page):
    (line,) = [attrs for tag, attrs in Words(page).tags if tag == "polyline"]
    return np.array([point.split(",") for point in line["points"].split()], dtype=float)


def test_the_loss_is_drawn_from_its_first_to_its_last_value():
    points = points_of(flow_of()._repr_html_())
    assert points[:, 0] == pytest.approx([1, 47, 93, 139])
    # The highest loss is at the top, where y is small.
    assert points[:, 1] == pytest.approx([1, 18.3, 24.1, 27], abs=0.1)
    many = flow_of(loss=np.linspace(5, 1, 5000))._repr_html_()
    assert len(points_of(many)) <= 101
    assert points_of(many)[-1] == pytest.approx([139, 27])
    assert "5 to 1" in "".join(Words(many).text)
    assert len(many) < 5000


@pytest.mark.parametrize("loss", [(), (1.0,), (float("nan"), 1.0)])
def test_a_loss_of_fewer_than_two_values_is_not_drawn(loss):
    assert "<svg" not in flow_of(loss=loss)._repr_html_()


def test_a_constant_loss_is_a_line():
    assert set(points_of(flow_of(loss=(1.0, 1.0))._repr_html_())[:, 1]) == {14.0}


def test_a_misfit_is_said_in_both():
    flow = flow_of(relative_errors={"velocity": 4.0})
    assert "warning: this fit is worse than cells that stand still" in repr(flow)
    assert "this fit is worse than cells that stand still" in "".join(
        Words(flow._repr_html_()).text
    )
    assert "warning" not in repr(flow_of(relative_errors={"velocity": 0.4}))


def test_what_is_not_known_is_left_out():
    """Flows of an earlier version have no number of points and no unit."""
    flow = flow_of(n_points=None, cost={}, inputs=Inputs())
    assert "fitted: 500 steps, seed 0, device cpu" in repr(flow)
    assert "times: 0, 6, 24\n" in repr(flow)
    assert "conditions" not in repr(flow)
    assert "times: 0, 1\n" in repr(flow_of(times=(0.0, 1.0), inputs=Inputs(time_unit="rank")))


def test_a_fit_records_cells_and_unit(course, quick, tmp_path):
    flow = cf.tl.fit(course, use_rep="X_pca", recipe=quick, progress=False)
    assert flow.record.n_points == course.n_obs
    assert flow.inputs.time_unit == "day"
    flow.save(tmp_path / "flow")
    assert cf.Flow.load(tmp_path / "flow")._repr_html_() == flow._repr_html_()
    unknown = replace(flow, inputs=replace(flow.inputs, time_unit=None))
    assert " days" not in repr(unknown)
