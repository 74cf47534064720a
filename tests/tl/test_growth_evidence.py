"""Evidence of growth, from the public verbs to weights of predicted cells."""

import numpy as np
import pytest

import cellflow as cf


@pytest.fixture
def grown(course):
    """20 cells of three times, and 60 of the last."""
    chosen = [np.flatnonzero(course.obs["day"] == day)[:20] for day in (0, 1, 2)]
    cells = course[np.r_[*chosen, np.flatnonzero(course.obs["day"] == 4)]].copy()
    cells.obs["net"] = np.where(cells.obsm["X_pca"][:, 1] > 0, 0.5, -0.5)
    return cells


def fit(cells, recipe, **settings):
    return cf.tl.fit(cells, use_rep="X_pca", recipe=recipe, progress=False, **settings)


def same(one, other):
    return one.fingerprint == other.fingerprint


def test_numbers_of_cells_are_used_only_if_chosen(grown, quick):
    default = fit(grown, quick)
    assert same(default, fit(grown, quick, growth="relative"))
    counts = fit(grown, quick, growth="counts")
    assert not same(default, counts)
    assert same(counts, fit(grown, quick, method=cf.method("default", growth="counts")))
    assert default.method.coupling.growth == "relative"
    assert counts.method.coupling.growth == "counts"


def test_rates_of_a_column_are_those_of_gene_sets_under_another_name(grown, quick):
    own = fit(grown, quick, growth="rates", growth_key="net")
    assert grown.uns["cellflow"]["fit"]["method"]["coupling"]["growth"] == "rates"
    grown.obs["cellflow_growth"] = grown.obs["net"]
    assert same(own, fit(grown, quick, growth="rates"))
    assert not same(own, fit(grown, quick))
    assert own.inputs.growth_key == "net"


def test_evidence_is_scored_on_held_out_times(grown, quick):
    options = {"use_rep": "X_pca", "times": 2, "recipe": quick, "progress": False}
    w1 = {
        growth: cf.tl.holdout(grown, growth=growth, **options)["w1"].item()
        for growth in (None, "relative", "counts")
    }
    assert w1[None] == w1["relative"] != w1["counts"]
    by_rates = cf.tl.holdout(grown, growth="rates", growth_key="net", **options)["w1"].item()
    assert by_rates not in w1.values()
    settings = grown.uns["cellflow"]["holdout"]["settings"]
    assert settings["growth_key"] == "net"
    assert settings["representation_may_have_seen_held_out"]
    methods = ["default", {"name": "own", "method": "default", "growth": "rates"}]
    table = cf.tl.benchmark(grown, methods=methods, growth_key="net", **options).set_index(
        "method"
    )["w1"]
    assert table["default"] == w1[None]
    assert table["own"] == by_rates


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"growth": "count"}, "growth='count'"),
        ({"method": "ot-cfm", "growth": "counts"}, "'growth' is a setting of coupling 'wfr'"),
        ({"growth_key": "net"}, r"'net' has no effect.*growth='rates' \(--growth rates\)"),
        ({"growth": "counts", "growth_key": "net"}, "'net' has no effect"),
        ({"growth": "rates"}, "name a column of your own with growth_key"),
        ({"growth": "rates", "growth_key": "nett"}, "unknown obs column of growth rates 'nett'"),
    ],
)
def test_evidence_that_has_no_effect_or_is_missing_is_refused(settings, message, grown, quick):
    with pytest.raises(cf.InputError, match=message):
        fit(grown, quick, **settings)
    with pytest.raises(cf.InputError, match=message):
        cf.tl.holdout(grown, use_rep="X_pca", recipe=quick, progress=False, **settings)


def test_a_column_of_rates_that_no_method_of_a_benchmark_reads_is_refused(grown, quick):
    with pytest.raises(cf.InputError, match="'net' has no effect"):
        cf.tl.benchmark(
            grown, methods=["default", "ot-cfm"], use_rep="X_pca", growth_key="net", recipe=quick,
            progress=False,
        )  # fmt: skip


def test_commands_take_evidence_of_growth(grown, run, tmp_path):
    grown.write_h5ad(tmp_path / "cells.h5ad")
    words = ["cells.h5ad", "--use-rep", "X_pca", "--n-steps", "5"]
    assert run("fit", *words, "--growth", "counts", "--output", "a")[0] == 0
    assert "counts: the population grows and shrinks with the number of cells" in " ".join(
        run("info", "a")[1].split()
    )
    own = ["--growth", "rates", "--growth-key", "net"]
    assert run("fit", *words, *own, "--output", "b")[0] == 0
    assert cf.Flow.load(tmp_path / "b").inputs.growth_key == "net"
    assert run("holdout", *words, *own, "--time", "2", "--output", "s.json")[0] == 0
    scores = ["benchmark", *words, "--time", "2", "--jobs", "1"]
    assert run(*scores, *own, "--output", "table")[0] == 0
    code, _, err = run(*scores, "--growth", "counts", "--method", "ot-cfm", "--output", "t")
    assert code == 2
    assert "'growth' is a setting of coupling 'wfr'" in err
    code, _, err = run("fit", *words, "--growth-key", "net", "--output", "c")
    assert code == 2
    assert "--growth rates" in err
    out = " ".join(run("info", "cells.h5ad")[1].split())
    assert "2 to 4: +1.58 (+0.79)" in out
    assert "not used unless --growth counts is given" in out


@pytest.mark.parametrize(
    ("growth", "label"), [("relative", "relative growth"), ("counts", "growth")]
)
def test_the_figure_says_what_rates_are_relative_to(growth, label, grown, quick):
    cf.tl.growth(grown, fit(grown, quick, growth=growth))
    # Rates of another flow in another column have a record of their own.
    other = "counts" if growth == "relative" else "relative"
    cf.tl.growth(grown, fit(grown, quick, growth=other), key_added="other")
    record = grown.uns["cellflow"]["learned_growth"]["cellflow_growth"]
    assert record["growth"] == growth
    assert "ahead of their time" in record["cautions"][0]
    ax = cf.pl.growth(grown, show=False)
    assert ax.get_ylabel() == f"{label} rate (per unit of time)"
    dotted = [line for line in ax.lines if line.get_linestyle() == ":"]
    assert len(dotted) == (growth == "counts")
