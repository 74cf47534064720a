"""Replicates as the reference of held-out scores, and as what is held out."""

import json

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import cellflow as cf
from cellflow import InputError
from cellflow.evaluation import predict
from cellflow.evaluation.evaluation import Evaluation
from cellflow.evaluation.held_out import make_held_out
from cellflow.evaluation.held_out_parts import HeldOutPart
from cellflow.evaluation.replicates import Replicates, describe_scores
from cellflow.io import read_scores

DONORS, N = ("a", "b", "c"), 30


def course(rng, days):
    """A course of three donors, of which c lies two aside, in three dimensions."""
    obs = pd.DataFrame(
        {
            "day": np.repeat(days, N * len(DONORS)),
            "donor": pd.Categorical(np.tile(np.repeat(DONORS, N), len(days)), [*DONORS, "unused"]),
        }
    )
    points = 0.3 * rng.normal(size=(len(obs), 3))
    points[:, 0] += obs["day"]
    points[:, 1] += 2 * (obs["donor"] == "c")
    return AnnData(obs=obs.set_index(obs.index.astype(str)), obsm={"X_pca": points})


@pytest.fixture
def donors(rng):
    return course(rng, (0.0, 1.0, 2.0))


def holdout(adata, quick, **options):
    options = {"use_rep": "X_pca", "whiten": False, "method": "ot-cfm"} | options
    return cf.tl.holdout(adata, recipe=quick, progress=False, **options)


def test_the_distance_of_replicates_stands_beside_the_reference(donors, quick, caplog):
    with caplog.at_level("INFO", "cellflow"):
        row = holdout(donors, quick, replicate_key="donor").iloc[0]
    # c is two from the others; of those of a and of b, half are c. Squares are averaged.
    assert row["n_replicates"] == 3
    assert row["w1_replicates"] == pytest.approx(np.sqrt((4 + 1 + 1) / 3), rel=0.1)
    assert "At day 1, replicates are" in caplog.text
    without = holdout(donors, quick)
    assert "w1_replicates" not in without
    assert without["w1"].item() == row["w1"]
    assert "a repeat of the experiment, as it can be where other times are of the" in caplog.text
    donors.obs["alike"] = np.tile(["x", "y"], len(donors) // 2)
    alike = holdout(donors, quick, replicate_key="alike").iloc[0]
    assert alike["n_replicates"] == 2
    assert alike["w1_replicates"] == pytest.approx(alike["w1_reference"], rel=0.1)
    assert alike["reference"] < row["w1_replicates"]


def test_one_replicate_leaves_the_halves_and_says_so(donors, quick, caplog):
    donors.obs["plate"] = [f"p{day:g}" for day in donors.obs["day"]]
    with caplog.at_level("INFO", "cellflow"):
        row = holdout(donors, quick, replicate_key="plate").iloc[0]
    assert row["n_replicates"] == 1
    assert np.isnan(row["w1_replicates"])
    assert "of obs['plate'], 1 has 20 cells or more at time 1" in caplog.text
    assert "the reference is that of halves alone" in caplog.text


def test_few_cells_missing_values_and_small_shares_are_no_replicates(donors):
    evaluation = Evaluation(donors, make_held_out({"use_rep": "X_pca", "replicate_key": "donor"}))
    here = (donors.obs["day"] == 1).to_numpy()
    assert list(evaluation.replicates.find(here)) == ["a", "b", "c"]
    own = donors.obs["donor"].astype(object)
    own.iloc[np.flatnonzero(here & (own == "b"))[19:]] = np.nan
    donors.obs["donor"] = own
    evaluation = Evaluation(donors, make_held_out({"use_rep": "X_pca", "replicate_key": "donor"}))
    assert list(evaluation.replicates.find(here)) == ["a", "c"]
    assert (
        "11 of 270 cells have no value in obs['donor']" in evaluation.replicates.describe_missing()
    )
    sizes = pd.DataFrame({"rep": np.repeat(["large", "third", "fifth"], [120, 40, 24])})
    many = Replicates.read(AnnData(obs=sizes.set_index(sizes.index.astype(str))), "rep")
    assert list(many.find(np.ones(184, dtype=bool))) == ["large", "third"]


def test_a_held_out_replicate_is_predicted_from_its_own_cells(donors, quick):
    scores = holdout(donors, quick, replicate_key="donor", hold_out="replicate")
    assert scores["replicate"].tolist() == ["a", "b", "c"]
    assert scores["time"].tolist() == [1, 1, 1]
    assert scores["n_true"].tolist() == [N] * 3
    assert scores["n_predicted"].tolist() == [2 * N] * 3
    c = scores.iloc[2]
    # The others lie two aside; its own neighbours, one before and after.
    assert c["w1_others"] == pytest.approx(2, abs=0.2)
    assert c["w1_previous"] == pytest.approx(1, abs=0.2)
    assert c["w1_midpoint"] < 0.4
    # All that differs is a shift, so that the others moved by it are as fresh cells of c.
    assert c["w1_others_shifted"] < 0.4
    assert "w1_replicates" not in scores
    assert any("the nearer of these two" in said for said in describe_scores(scores))
    assert donors.uns["cellflow"]["holdout"]["settings"]["hold_out"] == "replicate"


def test_a_held_out_replicate_does_not_reach_its_flow(rng, quick, monkeypatch):
    """Cells of c may be anything: the flow of the others is the same, one for all times."""
    donors = course(rng, (0.0, 1.0, 2.0, 3.0))
    other = donors.copy()
    other.obsm["X_pca"][(other.obs["donor"] == "c").to_numpy()] += 5
    fits, fit = [], predict.fit_flow

    def keep(*args, **options):
        fits.append(fit(*args, **options).fingerprint)
        return fit(*args, **options)

    monkeypatch.setattr(predict, "fit_flow", keep)
    options = {"replicate_key": "donor", "hold_out": "replicate", "whiten": True}
    first = holdout(donors, quick, **options)
    holdout(other, quick, **options)
    assert first["time"].tolist() == [1, 2, 1, 2, 1, 2]
    assert len(fits) == 6
    assert fits[2] == fits[5]
    assert fits[0] != fits[3]


def test_cells_without_a_replicate_are_not_used_when_one_is_held_out(donors):
    own = donors.obs["donor"].astype(object)
    own.iloc[np.flatnonzero(own == "a")[:5]] = None
    donors.obs["donor"] = own
    given = {"use_rep": "X_pca", "replicate_key": "donor"}
    fold = Evaluation(donors, make_held_out(given)).make_fold(HeldOutPart(1.0, replicate="c"))
    assert len(fold.cells) == 2 * 3 * N - 5
    assert len(fold.moved) == 2 * N
    assert (fold.before, fold.after, fold.first) == (0, 2, 0)


def test_a_replicate_starts_from_times_at_which_it_has_enough_cells(rng):
    donors = course(rng, (0.0, 1.0, 2.0, 3.0))
    few = ((donors.obs["day"] == 1) & (donors.obs["donor"] == "c")).to_numpy()
    both = donors[~few | (np.cumsum(few) <= 5)].copy()
    given = {"use_rep": "X_pca", "replicate_key": "donor"}
    evaluation = Evaluation(both, make_held_out(given))
    parts = evaluation.find_parts("replicate")
    assert HeldOutPart(2.0, replicate="c") in parts
    assert HeldOutPart(1.0, replicate="c") not in parts
    assert evaluation.make_fold(HeldOutPart(2.0, replicate="c")).before == 0


BAD = {
    "column": ({"replicate_key": "tray"}, "unknown obs column 'tray'"),
    "empty column": ({"replicate_key": "none"}, r"obs\['none'\] has no value for any cell"),
    "no column": ({"hold_out": "replicate"}, "requires the column .* replicate_key"),
    "what": ({"hold_out": "donor"}, "unknown hold_out 'donor'; valid: time, replicate"),
    "one at a time": (
        {"hold_out": "replicate", "replicate_key": "plate"},
        r"no replicate in obs\['plate'\] \(p0, p1, p2\) can be held out: one needs 20 cells",
    ),
    "condition": (
        {"hold_out": "replicate", "replicate_key": "donor", "condition_keys": "donor"},
        "a flow with condition 'donor' cannot predict a replicate",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_replicates_are_named(case, donors, quick):
    donors.obs["plate"] = [f"p{day:g}" for day in donors.obs["day"]]
    donors.obs["none"] = np.nan
    options, message = BAD[case]
    with pytest.raises(InputError, match=message):
        holdout(donors, quick, **options)


def test_a_benchmark_has_the_distance_in_each_row(donors, quick):
    table = cf.tl.benchmark(
        donors, methods=["ot-cfm"], recipe=quick, use_rep="X_pca", whiten=False,
        replicate_key="donor", progress=False,
    )  # fmt: skip
    row = holdout(donors, quick, replicate_key="donor").iloc[0]
    assert table["w1_replicates"].tolist() == [row["w1_replicates"]] * len(table)
    assert set(table["n_replicates"]) == {3}


def test_the_command_writes_and_reads_them(donors, run, tmp_path):
    donors.write_h5ad(tmp_path / "d.h5ad")
    words = ["holdout", "d.h5ad", "--use-rep", "X_pca", "--method", "ot-cfm", "--n-steps", "3"]
    words += ["--replicate-key", "donor", "--output"]
    code, out, _ = run(*words, "a.json")
    assert code == 0
    assert "At day 1, replicates are" in out
    fold = json.loads((tmp_path / "a.json").read_text())["folds"][0]
    assert fold["n_replicates"] == 3
    code, out, _ = run(*words, "b.json", "--hold-out", "replicate")
    assert code == 0
    folds = json.loads((tmp_path / "b.json").read_text())["folds"]
    assert [each["replicate"] for each in folds] == ["a", "b", "c"]
    assert folds[2]["baselines"]["others"] == folds[2]["baseline_scores"]["others"]["w1"]
    assert read_scores(tmp_path / "b.json")["w1_others"].notna().all()
    assert folds[0]["baseline_scores"]["others_shifted"]["w1"] > 0
    assert run("plot", "holdout", "b.json", "--output", "b.png")[0] == 0
