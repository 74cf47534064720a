"""The page to explore: what is in it, how large it is, and what it makes of text."""

import base64
import hashlib
import json
import re
import zlib
from html.parser import HTMLParser
from importlib.resources import files

import numpy as np
import pandas as pd
import pytest
import torch

import cellflow as cf
from cellflow.report._explore import _describe_size
from cellflow.report._packing import Pack, Scale
from tests.flows import course_of, fork, known_flow, to_the_right
from tests.linear_flows import linear_flow


class Page(HTMLParser):
    """Scripts by their id or number, other text, and whatever a page would fetch."""

    def __init__(self, path):
        super().__init__()
        self.scripts, self.text, self.policy, self.fetched = {}, [], "", []
        self.inside = None
        self.feed(path.read_text(encoding="utf-8"))
        self.about = json.loads(self.scripts["about"])

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.fetched += [given[name] for name in ("src", "href") if name in given]
        if given.get("http-equiv") == "Content-Security-Policy":
            self.policy = given["content"]
        if tag == "script":
            self.inside = given.get("id", len(self.scripts))
            self.scripts[self.inside] = ""

    def handle_endtag(self, tag):
        if tag == "script":
            self.inside = None

    def handle_data(self, data):
        if self.inside is None:
            self.text.append(data)
        else:
            self.scripts[self.inside] += data

    def array(self, name):
        """An array as the script of the page reads it."""
        packed = zlib.decompress(base64.b64decode(self.scripts["data"]))
        entry = self.about["arrays"][name]
        n = int(np.prod(entry["shape"]))
        block = np.frombuffer(packed, np.uint8, n * entry["bytes"], entry["at"])
        planes = block.reshape(entry["bytes"], n).astype(np.uint16)
        values = sum(plane << (8 * k) for k, plane in enumerate(planes))
        values = values.astype(f"u{entry['bytes']}").reshape(entry["shape"])
        return values.cumsum(axis=-1, dtype=values.dtype) if entry["delta"] else values

    def places(self, whole):
        """Coordinates of whole numbers, shape (..., 2, k) or (2, k)."""
        low, step = (
            np.array([axis[name] for axis in self.about["axes"]]) for name in ("low", "step")
        )
        return low[:, None] + step[:, None] * whole

    def column(self, name):
        """Numbers of a column, or names of groups."""
        entry = next(each for each in self.about["columns"] if each["name"] == name)
        whole = self.array(entry["key"])
        if "groups" in entry:
            return [
                entry["groups"][code] if code < len(entry["groups"]) else None for code in whole
            ]
        return Scale(entry["low"], entry["step"], entry["size"]).restore(whole)

    @property
    def names(self):
        return self.array("names").tobytes().decode().split("\n")


@pytest.fixture
def rotating(course):
    """Cells, and a flow of which every path is known: two dimensions turn."""
    matrix = [[0.0, -0.4, 0.0], [0.4, 0.0, 0.0], [0.0, 0.0, 0.0]]
    return course, linear_flow(course, matrix, [0.0, 0.0, 0.3], [0, 1, 2, 4])


def write(tmp_path, adata, flow, name="page", **given):
    path = tmp_path / f"{name}.html"
    cf.report.explore(adata, flow, path, **{"n_steps": 4, **given})
    return Page(path)


@pytest.mark.parametrize("shape", [(7,), (3, 2, 9), (4, 300)])
@pytest.mark.parametrize("kind", ["u1", "<u2"])
@pytest.mark.parametrize("delta", [True, False])
def test_arrays_come_out_as_they_went_in(tmp_path, rng, shape, kind, delta):
    values = rng.integers(0, np.iinfo(kind).max + 1, shape).astype(kind)
    pack = Pack()
    pack.add("before", np.arange(5, dtype=np.uint8))
    pack.add("values", values, delta=delta)
    about = json.dumps({"arrays": pack.arrays})
    path = tmp_path / "p.html"
    path.write_text(
        f'<script id="about">{about}</script><script id="data">{pack.encode()}</script>'
    )
    np.testing.assert_array_equal(Page(path).array("values"), values)


@pytest.mark.parametrize("size", [1, 2])
def test_numbers_are_off_by_half_a_step_at_most_and_nan_stays(rng, size):
    values = np.append(rng.normal(size=1000), np.nan)
    scale = Scale.of(values, size)
    found = scale.restore(scale.quantise(values))
    assert np.isnan(found[-1])
    assert np.abs(found - values)[:-1].max() <= 0.5001 * scale.step
    assert scale.step == pytest.approx(np.ptp(values[:-1]) / (254 if size == 1 else 65534))
    for odd in ([2.0, 2.0], [np.nan, np.nan], []):
        kept = Scale.of(np.array(odd), size)
        np.testing.assert_array_equal(kept.restore(kept.quantise(np.array(odd))), odd)


def test_paths_are_those_of_the_flow_within_the_rounding(rotating, tmp_path):
    course, flow = rotating
    page = write(tmp_path, course, flow, basis="X_pca", n_steps=8)
    about, names = page.about, page.names
    assert about["n_paths"] == about["n_drawn"] == 240
    grid = about["grid"]
    assert set(grid) >= {0.0, 1.0, 2.0, 4.0}
    assert grid == sorted(set(grid))
    paths = page.places(page.array("paths"))
    starts = page.array("start")
    steps = [axis["step"] for axis in about["axes"]]
    for path in (0, 77, 150, 239):
        cell = course.obs_names.get_loc(names[path])
        start = int(starts[path])
        assert grid[start] == course.obs["day"].iloc[cell]
        x = torch.as_tensor(course.obsm["X_pca"][[cell]]).float()
        ways = (grid[start:], grid[: start + 1][::-1])
        ahead, back = (
            flow.trajectory(x, times).x[:, 0, :2].numpy() if len(times) > 1 else x[:, :2].numpy()
            for times in ways
        )
        known = np.concatenate([back[::-1][:-1], ahead])
        # 1e-3: the solver chooses its steps for all cells of a time together.
        assert np.abs(paths[path].T - known).max() < max(steps) + 1e-3
    drawn = page.places(page.array("xy"))
    np.testing.assert_allclose(
        drawn.T, course.obsm["X_pca"][course.obs_names.get_indexer(names), :2], atol=max(steps)
    )
    turned = np.linalg.norm(paths, axis=1)
    np.testing.assert_allclose(turned, turned[:, :1].repeat(len(grid), 1), atol=2e-3)


def test_the_same_seed_gives_the_same_page_and_another_other_cells(rotating, tmp_path):
    course, flow = rotating
    pages = [
        write(tmp_path, course, flow, name, n_paths=40, max_cells=100, rng=seed)
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    ]
    texts = [(tmp_path / f"{name}.html").read_text() for name in "abc"]
    assert texts[0] == texts[1]
    assert pages[0].names != pages[2].names
    assert pages[0].about["n_paths"] == 40
    assert pages[0].about["n_drawn"] == 100
    assert pages[0].array("moves").sum() == 40
    starts = [pages[0].about["grid"][start] for start in pages[0].array("start")]
    assert [starts.count(time) for time in (0, 1, 2, 4)] == [16, 8, 8, 8]
    said = " ".join(pages[0].text)
    assert "100 of 240 measured cells are in the page, drawn at random." in said
    assert "40 have a path along the flow" in said


@pytest.mark.parametrize("evil", ["</script><b>x</b>", "<!--", "a&b\"'", "\u2028", "é\nf"])
def test_text_of_the_data_stays_text(rotating, tmp_path, evil):
    course, flow = rotating
    course.obs["kind"] = pd.Categorical(np.where(course.obs_vector("day") > 1, evil, "b"))
    course.obs_names = [f"{evil}{k}" for k in range(course.n_obs)]
    page = write(tmp_path, course, flow, groups="kind", title=evil, cells=f'kind="{evil}"'
                 if evil.isprintable() and '"' not in evil else None)  # fmt: skip
    assert evil in next(each for each in page.about["columns"] if each["name"] == "kind")["groups"]
    assert page.names[0].startswith(evil.replace("\n", " "))
    assert evil.strip() in "".join(page.text)
    assert len(page.scripts) == 4
    html = (tmp_path / "page.html").read_text()
    assert "</script><b>" not in html
    assert "<b>x" not in html


def test_a_page_loads_nothing_and_allows_only_its_own_scripts(rotating, tmp_path):
    page = write(tmp_path, *rotating)
    assert page.fetched == []
    assert "default-src 'none'" in page.policy
    assert "unsafe" not in page.policy
    code = [text for name, text in page.scripts.items() if name not in ("about", "data")]
    for text in code:
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in page.policy
    assert not any(re.search(r"\bfetch\(['\"]|XMLHttpRequest|importScripts", text) for text in code)


def test_the_library_is_the_one_that_is_recorded():
    folder = files("cellflow.report") / "deck"
    record = json.loads((folder / "deck.json").read_text())
    for name, digest in record["sha256"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    licences = (folder / "LICENSE").read_text()
    for name, each in record["packages"].items():
        assert f"{name} {each['version']}" in licences


def test_columns_of_the_cells_are_in_the_page(rotating, tmp_path, rng):
    course, flow = rotating
    course.obs["kind"] = pd.Categorical(np.where(np.arange(240) % 2, "a", "b"))
    course.obs.loc[course.obs_names[:5], "kind"] = np.nan
    course.uns["kind_colors"] = ["#ff0000", "#00ff00"]
    course.obs["depth"] = rng.normal(size=240)
    course.obs.loc[course.obs_names[7], "depth"] = np.nan
    course.obs["cellflow_growth"] = rng.normal(size=240)
    course.obs["cellflow_uncertainty"] = rng.uniform(size=240)
    cf.tl.fates(course, flow, "kind")
    page = write(tmp_path, course, flow, groups="kind", obs_keys="depth")
    rows = course.obs_names.get_indexer(page.names)
    names = [each["name"] for each in page.about["columns"]]
    assert names == [
        "time", "kind", "depth", "fate a", "fate b", "fate entropy", "growth rate",
        "disagreement of fits",
    ]  # fmt: skip
    kinds = course.obs["kind"].astype(object).where(course.obs["kind"].notna(), None)
    assert page.column("kind") == kinds.iloc[rows].tolist()
    assert page.about["columns"][1]["colours"] == ["#ff0000", "#00ff00"]
    assert page.about["columns"][3]["colour"] == "#ff0000"
    for name, key, off in (
        ("depth", "depth", 1e-4),
        ("growth rate", "cellflow_growth", 1e-4),
        ("fate a", "fate_a", 0.003),
    ):
        np.testing.assert_allclose(page.column(name), course.obs[key].iloc[rows], atol=off)
    assert page.column("time")[0] == "time 0"


def test_where_a_cell_comes_from_is_what_ancestors_say(rotating, tmp_path):
    course, flow = rotating
    course.obs["kind"] = np.where(course.obsm["X_pca"][:, 1] > 0, "up", "down")
    page = write(tmp_path, course, flow, groups="kind", n_paths=60)
    groups = page.about["ancestors"]["names"]
    assert groups == ["down", "up", "no group"]
    names = np.array(page.names)[page.array("moves") == 1]
    for time, key, goal in ((2, "before", 1), (4, "before", 2), (4, "first", 0)):
        path = next(k for k, name in enumerate(names) if course.obs["day"][name] == time)
        cf.tl.ancestors(course, flow, names[path], goal)
        weights = course.obs["cellflow_ancestors"].groupby(course.obs["kind"]).sum()
        found = page.array(f"ancestors_{key}")[path] / 254
        np.testing.assert_allclose(found, [*weights[["down", "up"]], 0], atol=0.003)
    first = [k for k, name in enumerate(names) if course.obs["day"][name] == 0]
    assert (page.array("ancestors_before")[first] == 255).all()
    none = write(tmp_path, course, flow, "none", groups="kind", n_paths=60, ancestors=False)
    assert none.about["ancestors"] is None


@pytest.fixture
def with_genes(quick):
    course = cf.datasets.simulate_course(n_cells=200, n_genes=40)
    cf.pp.embed(course, n_dims=4)
    return course, cf.tl.fit(course, time_key="time", recipe=quick, progress=False)


def test_genes_are_those_of_the_cells_and_of_their_paths(with_genes, tmp_path):
    course, flow = with_genes
    page = write(tmp_path, course, flow, n_steps=6)
    chosen = [gene["name"] for gene in page.about["genes"]]
    assert len(chosen) == len(set(chosen)) == 30
    representation = cf.tl._time_course.TimeCourse.read(course, flow, None).representation
    decoded = representation.decode(course.obsm["X_cellflow"].astype(np.float64))
    spread = dict(zip(representation.linear.genes, decoded.var(axis=0), strict=True))
    assert set(chosen) == set(sorted(spread, key=spread.get)[-30:])
    rows = course.obs_names.get_indexer(page.names)
    counts = course.X.toarray()[rows]
    measured = np.log1p(counts / counts.sum(axis=1, keepdims=True) * representation.target_sum)
    names = np.array(page.names)[page.array("moves") == 1]
    paths = cf.tl.trajectories(course, flow, cells="time=0", n_cells=None, times=page.about["grid"])
    k = len(chosen) // 2
    gene = page.about["genes"][k]
    scale = Scale(gene["low"], gene["step"], 1)
    column = course.var_names.get_loc(gene["name"])
    np.testing.assert_allclose(
        scale.restore(page.array("genes")[k]), measured[:, column], atol=scale.step
    )
    cell = next(k for k, name in enumerate(names) if course.obs["time"][name] == 0)
    own = paths[paths.obs["start_cell"] == names[cell]]
    along = scale.restore(page.array("path_genes")[cell, k])
    np.testing.assert_allclose(along, own[:, gene["name"]].X[::2].ravel(), atol=scale.step + 5e-3)
    assert page.about["gene_grid"] == page.about["grid"][::2]


def test_named_genes_need_no_map_and_a_course_without_genes_has_none(
    with_genes, rotating, tmp_path
):
    course, _ = with_genes
    course.obs["day"], course.obsm["X_other"] = course.obs["time"], course.obsm["X_cellflow"].copy()
    flow = linear_flow(course, torch.zeros(4, 4), torch.ones(4), [0, 2, 4, 7], use_rep="X_other")
    page = write(tmp_path, course, flow, genes=["gene_3", "gene_1", "gene_3"])
    assert [gene["name"] for gene in page.about["genes"]] == ["gene_3", "gene_1"]
    with pytest.raises(cf.InputError, match="nope"):
        write(tmp_path, course, flow, "b", genes="nope")
    page = write(tmp_path, *rotating, "c")
    assert page.about["genes"] == []
    with pytest.raises(cf.InputError, match="genes"):
        write(tmp_path, *rotating, "d", genes="gene_3")


def test_mass_grows_along_paths(tmp_path):
    course = fork()
    flow = known_flow(course, to_the_right, growth=lambda t, x: 0.7 + 0 * t)
    page = write(tmp_path, course, flow, basis="X_pca")
    mass = page.about["mass"]
    values = mass["low"] + mass["step"] * page.array("mass")
    cell = int(np.flatnonzero(page.array("start") == 0)[0])
    np.testing.assert_allclose(values[cell], 0.7 * np.array(page.about["grid"]), atol=0.01)
    assert write(tmp_path, course, known_flow(course, to_the_right), "b").about["mass"] is None


def test_scores_of_held_out_times_are_on_the_slider(fitted_course, quick, tmp_path):
    course, flow = fitted_course
    page = write(tmp_path, course, flow, "a")
    assert page.about["scores"] == []
    assert "cellflow holdout" in page.about["scores_note"]
    cf.tl.holdout(course, use_rep="X_pca", times=[1, 2], recipe=quick, progress=False)
    table = course.uns["cellflow"]["holdout"]["scores"].assign(
        w1=[0.5, 2.0], w1_midpoint=[1.0, 1.0]
    )
    page = write(tmp_path, course, flow, "b", scores=table)
    first, second = page.about["scores"]
    assert (first["verdict"], second["verdict"]) == ("nearer", "farther")
    assert first["mark"] == "▲ 50\u202f% nearer"
    assert second["mark"] == "▼ 100\u202f% farther"
    assert (first["from"], first["to"]) == (0.5, 1.5)
    assert (second["from"], second["to"]) == (1.5, 3.0)
    assert "50 % nearer to the measured cells than the midpoint" in first["text"]
    assert "prediction without any model" in " ".join(page.text)


def test_text_times_cells_outside_the_flow_and_a_choice_of_cells(rotating, tmp_path):
    course, _ = rotating
    course.obs["stage"] = pd.Categorical([f"day {time:g}" for time in course.obs["day"]])
    course.obs["arm"] = np.where(np.arange(240) % 2, "treated", "control")
    flow = linear_flow(course[course.obs["day"] < 4], torch.zeros(3, 3), torch.ones(3), [0, 1, 2])
    page = write(tmp_path, course, flow, cells="arm=treated", time_key="stage")
    assert [point["label"] for point in page.about["points"]] == [
        "day 0", "day 1", "day 2", "day 4",
    ]  # fmt: skip
    assert page.about["unit"] == "days"
    assert page.about["n_drawn"] == 120
    assert page.about["grid"][-1] == 2.0
    assert page.about["n_paths"] == 90
    assert "Only cells of this choice are in the page: arm=treated." in page.text


def test_covariates_are_shown_and_move_their_own_cells(course, quick, tmp_path):
    course.obs["arm"] = np.where(np.arange(240) % 2, "treated", "control")
    flow = cf.tl.fit(course, use_rep="X_pca", condition_keys="arm", recipe=quick, progress=False)
    page = write(tmp_path, course, flow)
    assert page.column("arm")[0] in ("treated", "control")
    assert any("under its own covariates: arm" in text for text in page.text)


def test_an_embedding_of_its_own_is_explained(rotating, tmp_path, rng):
    course, flow = rotating
    course.obsm["X_umap"] = np.sin(course.obsm["X_pca"][:, :2] * 3)
    page = write(tmp_path, course, flow)
    assert "UMAP 1 and 2" in " ".join(page.text)
    assert any("weighted means of their nearest measured cells" in text for text in page.text)
    # Places by neighbours stay among measured ones.
    assert np.abs(page.places(page.array("paths"))).max() <= 1.001
    page = write(tmp_path, course, flow, "pca", basis="pca", components=(2, 0))
    assert "PC 3 and 1" in " ".join(page.text)
    assert not any("nearest measured cells" in text for text in page.text)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"groups": "nope"}, "'nope'"),
        ({"obs_keys": ["nope"]}, "'nope'"),
        ({"basis": "nope"}, "'nope'"),
        ({"cells": "day=9"}, "9"),
        ({"n_paths": 0}, "n_paths"),
        ({"max_cells": 0}, "max_cells"),
        ({"n_steps": 0}, "n_steps"),
        ({"max_size": 0}, "max_size"),
        ({"max_size": 0.5}, r"without data has 0.* MB, more than max_size=0.5.*--max-size"),
        ({"time_key": "nope"}, "'nope'"),
        ({"obs_keys": "number"}, "240 groups"),
    ],
)
def test_what_cannot_be_is_named_and_nothing_is_written(rotating, tmp_path, given, message):
    course, flow = rotating
    course.obs["number"] = [f"n{k}" for k in range(240)]
    with pytest.raises(cf.InputError, match=message):
        write(tmp_path, course, flow, **given)
    assert list(tmp_path.iterdir()) == []


def test_cells_outside_the_times_of_the_flow_only_are_refused(rotating, tmp_path):
    course, _ = rotating
    flow = linear_flow(course, torch.zeros(3, 3), torch.ones(3), [0, 1, 2])
    with pytest.raises(cf.InputError, match="within the times of the flow"):
        write(tmp_path, course, flow, cells="day=4")


def test_the_size_of_a_page_is_bounded_by_its_numbers(tmp_path, rng):
    """Random numbers do not compress: the largest page for so many cells, paths, steps."""
    n, course = 2000, course_of(np.zeros((2000, 2)), np.repeat([0.0, 1.0], 1000))
    course.obsm["X_pca"] = rng.normal(size=(n, 2))
    flow = known_flow(course, to_the_right)
    page = write(tmp_path, course, flow, n_paths=500, n_steps=20)
    library = sum(len(text) for name, text in page.scripts.items() if isinstance(name, int))
    size = (tmp_path / "page.html").stat().st_size
    names = len("".join(page.names))
    bound = 4 / 3 * (n * (4 + 1 + 1) + names + 500 * (2 + 4 * len(page.about["grid"])))
    assert size < library + bound + 60_000


def test_the_command_writes_a_page(fitted_course, run, tmp_path):
    course, flow = fitted_course
    course.obs["kind"] = np.where(course.obsm["X_pca"][:, 1] > 0, "up", "down")
    course.write_h5ad(tmp_path / "c.h5ad")
    flow.save(tmp_path / "flow")
    words = ["explore", "c.h5ad", "--flow", "flow", "--output", "page.html", "--groups", "kind"]
    code, said, err = run(*words, "--n-paths", 40, "--n-steps", 6)
    assert code == 0, err
    assert "240 of 240 cells, 40 with paths" in said
    assert Page(tmp_path / "page.html").about["n_paths"] == 40
    assert "c.h5ad" in (tmp_path / "page.html").read_text()
    code, _, err = run(*words)
    assert code == 2
    assert "exists already" in err
    code, _, err = run(*words, "--force", "--max-size", 0.1)
    assert code == 2
    assert "--max-size" in err.splitlines()[-1]


def test_a_course_of_two_cells_at_a_time_has_a_page(tmp_path):
    course = course_of([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [0.0, 0.0, 1.0, 1.0])
    page = write(tmp_path, course, known_flow(course, to_the_right), n_paths=1)
    assert page.about["n_paths"] == 1
    assert page.about["n_drawn"] == 4


def test_scores_of_values_of_a_condition_are_not_shown_as_those_of_times(
    fitted_course, quick, tmp_path
):
    course, flow = fitted_course
    cf.tl.holdout(course, use_rep="X_pca", times=[1, 2], recipe=quick, progress=False)
    scores = course.uns["cellflow"]["holdout"]["scores"].assign(condition=[0.3, 0.3])
    page = write(tmp_path, course, flow, scores=scores)
    assert page.about["scores"] == []
    assert "held-out values of a condition" in page.about["scores_note"]


def test_a_page_that_is_too_large_names_its_largest_parts():
    said = _describe_size(1_200_000, 800_000, 1.0, {"genes": 300_000, "xy": 50_000, "paths": 9_000})
    assert "1.2 MB, more than max_size=1; take less (0.30 MB by genes" in said
    assert "0.05 MB by max_cells" in said
    assert "paths" not in said
