"""The HTML page, and what it says before its figures."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest

import cellflow as cf
from cellflow._errors import FileError
from cellflow.report import _inputs
from cellflow.report._cautions import cautions
from cellflow.report._inputs import ReportInputs
from cellflow.report._page import Section, Table, render
from cellflow.representation import points_of


class Page(HTMLParser):
    """The text of a page, its open elements, and whatever it would fetch."""

    def __init__(self, html):
        super().__init__()
        self.text, self.fetched, self.open, self.alts = [], [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.fetched += [given[name] for name in ("src", "href") if name in given]
        self.alts += [given["alt"]] if "alt" in given else []
        if tag not in ("meta", "img", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def scored_once(fitted_of_all, quick):
    course = fitted_of_all[0].copy()
    cf.tl.holdout(course, use_rep="X_pca", times=[1, 2], recipe=quick, progress=False)
    return course


@pytest.fixture
def scored(scored_once, fitted_course):
    return scored_once.copy(), fitted_course[1]


def test_a_page_is_whole_and_says_what_was_measured(scored, tmp_path):
    course, flow = scored
    cf.report.write(course, flow, tmp_path / "r.html", title="A & <b>")
    html = (tmp_path / "r.html").read_text()
    page = Page(html)
    assert not page.open
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in page.fetched)
    assert "<script" not in html
    assert all(page.alts)
    assert len(page.alts) == 4
    text = " ".join(" ".join(page.text).split())
    assert "A & <b>" in text
    scores = course.uns["cellflow"]["holdout"]["scores"]
    for time, w1 in zip(scores["time"], scores["w1"], strict=True):
        assert re.search(rf"{time:g} {w1:.3f} ", text)
    assert "Predictions" not in text
    assert "coupling composition" in text


def test_a_page_survives_the_way_through_a_file(scored, run, tmp_path):
    course, flow = scored
    course.write_h5ad(tmp_path / "c.h5ad")
    flow.save(tmp_path / "flow")
    words = ["report", "c.h5ad", "--flow", "flow", "--output", "r.html"]
    assert run(*words)[0] == 0
    assert "c.h5ad" in (tmp_path / "r.html").read_text()
    code, _, err = run(*words)
    assert code == 2
    assert "exists already" in err
    code, _, err = run(*words, "--force", "--scores", "none.json")
    assert code == 2
    assert "none.json" in err


def test_without_scores_the_page_says_that_errors_were_not_measured(course, quick, tmp_path):
    flow = cf.tl.fit(course, use_rep="X_pca", recipe=quick, progress=False)
    cf.report.write(course, flow, tmp_path / "r.html")
    assert "run cellflow holdout" in (tmp_path / "r.html").read_text()
    with pytest.raises(FileError, match="exists already"):
        cf.report.write(course, flow, tmp_path / "r.html")


def test_cautions_name_few_cells_jumps_long_gaps_and_lost_comparisons(scored):
    course, flow = scored
    rows = np.r_[0:60, 60:120, 120:180, 180:185]
    told = " ".join(cautions(ReportInputs.read(course[rows], flow, None, None, None)))
    assert "0 (60), 1 (60), 2 (60), 4 (5)" in told
    assert "2 to 4 (60 to 5)" in told
    scores = course.uns["cellflow"]["holdout"]["scores"].assign(w1=[0.1, 9.0])
    told = " ".join(cautions(ReportInputs.read(course, flow, scores, None, None)))
    assert "At day 2 a prediction without any model" in told
    course.obs["day"] = course.obs["day"].replace({4.0: 12.0})
    told = " ".join(cautions(ReportInputs.read(course, flow, scores, None, None)))
    assert "from 2 to 12" in told


def test_of_many_cells_figures_show_some_and_tables_all(course, quick, tmp_path, monkeypatch):
    flow = cf.tl.fit(course, use_rep="X_pca", recipe=quick, progress=False)
    monkeypatch.setattr(_inputs, "MOST_DRAWN", 100)
    inputs = ReportInputs.read(course, flow, None, None, None)
    assert inputs.drawn.n_obs == 100
    rows = course.obs_names.get_indexer(inputs.drawn.obs_names)
    np.testing.assert_array_equal(
        points_of(inputs.drawn, inputs.course.representation),
        course.obsm["X_pca"][rows].astype(np.float32),
    )
    cf.report.write(course, flow, tmp_path / "r.html")
    text = " ".join(Page((tmp_path / "r.html").read_text()).text)
    assert "Figures show 100 of the 240 cells, drawn at random." in text
    assert "240 cells" in text


def test_what_users_write_is_text():
    table = Table(("<i>",), [("<script>alert(1)</script>",)])
    html = render("t", [], [Section("s", "s", ["<img src=x>"], tables=[table])])
    assert "<script>" not in html
    assert "<img src=x>" not in html


def test_what_verbs_wrote_is_shown(course, quick, tmp_path):
    course.obs["side"] = np.where(course.obsm["X_pca"][:, 1] > 0, "up", "down")
    flow = cf.tl.fit(course, use_rep="X_pca", recipe=quick, progress=False)
    cf.tl.fates(course, flow, "side")
    course.obsm["X_umap"] = course.obsm["X_pca"][:, :2]
    cf.tl.velocity(course, flow, basis="umap")
    cf.tl.growth(course, flow)
    other = cf.tl.fit(course, use_rep="X_pca", recipe=quick, rng=1, progress=False)
    cf.tl.uncertainty(course, [flow, other])
    cf.report.write(course, flow, tmp_path / "r.html", color="side")
    page = Page((tmp_path / "r.html").read_text())
    text = " ".join(" ".join(page.text).split())
    for heading in ("Fates", "Velocity", "Growth", "Where to trust it"):
        assert heading in text
    probabilities = course.obsm["fate_probabilities"][course.obs["day"] == 1]
    assert f"1 {probabilities[:, 0].mean():.3f} {probabilities[:, 1].mean():.3f}" in text
    assert len(page.alts) == 6


def test_fates_of_a_file_without_an_embedding_are_drawn_on_the_points_of_the_flow(quick, tmp_path):
    course = cf.datasets.simulate_course(n_cells=200, n_genes=20)
    cf.pp.embed(course, n_dims=2)
    flow = cf.tl.fit(course, time_key="time", recipe=quick, progress=False)
    cf.tl.fates(course, flow, "fate")
    del course.obsm["X_cellflow"]
    cf.report.write(course, flow, tmp_path / "r.html")
    assert "Fate probabilities of cells" in (tmp_path / "r.html").read_text()
    assert "X_cellflow" not in course.obsm


def test_times_that_the_flow_does_not_know_are_told(course, quick, tmp_path):
    early = course[course.obs["day"] < 4].copy()
    flow = cf.tl.fit(early, use_rep="X_pca", recipe=quick, progress=False)
    cf.report.write(course, flow, tmp_path / "r.html")
    assert "was not fitted to the cells of 4" in (tmp_path / "r.html").read_text()


def test_the_column_of_times_may_have_any_name(course, quick, tmp_path):
    """That of the flow is found again, and another can be named."""
    course.obs["taken"] = course.obs.pop("day")
    flow = cf.tl.fit(
        course, time_key="taken", use_rep="X_pca", method="ot-cfm", recipe=quick, progress=False
    )
    cf.report.write(course, flow, tmp_path / "a.html")
    course.obs["again"] = course.obs.pop("taken")
    cf.report.write(course, flow, tmp_path / "b.html", time_key="again")
    a, b = (re.sub("taken|again", "", (tmp_path / f"{n}.html").read_text()) for n in "ab")
    assert a == b


def test_what_a_page_cannot_be_of_is_named(course, quick, tmp_path):
    flow = cf.tl.fit(course, use_rep="X_pca", recipe=quick, progress=False)
    with pytest.raises(cf.InputError, match="unknown obs column 'side'"):
        cf.report.write(course, flow, tmp_path / "r.html", color="side")
    course.obs["day"] = course.obs["day"] + 0.5
    with pytest.raises(cf.InputError, match="fewer than two in common"):
        cf.report.write(course, flow, tmp_path / "r.html")
    assert list(tmp_path.iterdir()) == []


def test_a_comparison_of_conditions_is_a_section(fitted_course, tmp_path):
    course, flow = fitted_course
    course.obs["arm"] = ["treated", "control"] * 120
    course.obsm["X_pca"][(course.obs["arm"] == "treated") & (course.obs["day"] == 4), 1] += 1
    given = cf.tl.compare(course, "arm", use_rep="X_pca", n_permutations=99)
    cf.report.write(course, flow, tmp_path / "r.html", comparison=given)
    text = " ".join(Page((tmp_path / "r.html").read_text()).text)
    assert "treated and control differ from time 4 on, and not yet at time 2." in text
    assert "p is by permutation of cells" in text
    cf.report.write(course, flow, tmp_path / "s.html")
    assert "Conditions" not in (tmp_path / "s.html").read_text()
    with pytest.raises(cf.InputError, match="missing columns: statistic"):
        cf.report.write(
            course, flow, tmp_path / "t.html", comparison=given.drop(columns="statistic")
        )
