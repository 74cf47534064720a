"""A dose that is held out at all times, in courses whose every score is known."""

import json

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import cellflow as cf
from cellflow import InputError
from cellflow.evaluation import predict
from cellflow.evaluation.condition_folds import ConditionValues
from cellflow.evaluation.evaluation import Evaluation
from cellflow.evaluation.held_out import make_held_out
from cellflow.evaluation.held_out_parts import HeldOutPart
from cellflow.evaluation.replicates import describe_scores
from cellflow.io import read_scores

N, DAYS = 24, (0.0, 1.0, 2.0)


def course(rng, doses=(0.0, 1.0, 4.0), days=DAYS, spread=0.0):
    """Cells that start at one place and move by their dose in a day, along the first axis."""
    grid = [(day, dose) for day in days for dose in doses]
    obs = pd.DataFrame(np.repeat(grid, N, axis=0), columns=["day", "dose"])
    points = spread * rng.normal(size=(len(obs), 2))
    points[:, 0] += obs["day"] * obs["dose"]
    obs["kind"] = np.tile(["a", "b"], len(obs) // 2)
    return AnnData(obs=obs.set_index(obs.index.astype(str)), obsm={"X_pca": points})


def holdout(adata, recipe, **options):
    options = {
        "use_rep": "X_pca", "whiten": False, "method": "ot-cfm", "condition_keys": "dose",
        "hold_out": "condition",
    } | options  # fmt: skip
    return cf.tl.holdout(adata, recipe=recipe, progress=False, **options)


def test_the_rivals_have_the_scores_of_the_closed_form(rng, quick):
    """Dose 1 is a quarter of the way from 0 to 4; at day t these lie at 0, t and 4 t."""
    scores = holdout(course(rng), quick)
    assert (
        scores[["condition", "below", "above", "share"]].to_numpy().tolist()
        == [[1, 0, 4, 0.25]] * 2
    )
    t = scores["time"].to_numpy()
    assert t.tolist() == [1, 2]
    assert scores["w1_nearest"].to_numpy() == pytest.approx(t)
    assert scores["w1_mixture"].to_numpy() == pytest.approx(0.75 * t + 0.25 * 3 * t)
    assert scores["w1_midpoint"].to_numpy() == pytest.approx(0 * t, abs=1e-6)
    assert scores["w1_reference"].to_numpy() == pytest.approx(0 * t, abs=1e-6)
    assert "w1_previous" not in scores


def test_a_flow_predicts_a_dose_between_those_it_was_fitted_to(rng):
    """The last day too, and nearer than each rival that cells are copied for."""
    adata = course(rng, (0.0, 1.0, 2.0, 3.0, 4.0), spread=0.1)
    scores = holdout(adata, cf.recipe("default", n_steps=200, net={"width": 32}), values=2)
    assert scores["time"].tolist() == [1, 2]
    assert (scores["n_predicted"] == N).all()
    assert (scores["w1"] < 0.5 * scores[["w1_nearest", "w1_mixture"]].min(axis=1)).all()
    first, second = describe_scores(scores)[0], describe_scores(scores)[-1]
    assert "The prediction of dose 2 is" in first
    assert "the flow is nearer than the better of these two" in second
    assert "farther than the mixture for 0 of 1" in second


def test_a_flow_that_loses_is_said_to(rng, quick, caplog):
    """Three steps teach a flow nothing, and cells that split in two need no flow to be mixed."""
    adata = course(rng, (0.0, 1.0, 2.0))
    even = np.arange(adata.n_obs) % 2
    responds = even < adata.obs["dose"]
    adata.obsm["X_pca"] = 0.1 * rng.normal(size=(adata.n_obs, 2))
    adata.obsm["X_pca"][:, 0] += 5 * adata.obs["day"] * responds
    with caplog.at_level("INFO", "cellflow"):
        scores = holdout(adata, quick)
    assert (scores["w1"] > scores["w1_mixture"]).all()
    assert "the flow is farther than the better of these two" in caplog.text
    assert "At dose 1 a prediction without any model is nearer" in caplog.text
    assert adata.uns["cellflow"]["holdout"]["settings"]["held_out_condition"] == "dose"


def test_a_held_out_dose_does_not_reach_its_flow(rng, monkeypatch, quick):
    """One flow serves all times and is that of the other doses, whatever the dose's cells are."""
    adata = course(rng, spread=0.1)
    other = adata.copy()
    other.obsm["X_pca"][(other.obs["dose"] == 1).to_numpy()] += 5
    fits, fit = [], predict.fit_flow

    def keep(*args, **options):
        fits.append(fit(*args, **options).fingerprint)
        return fit(*args, **options)

    monkeypatch.setattr(predict, "fit_flow", keep)
    holdout(adata, quick)
    holdout(other, quick)
    assert len(fits) == 2
    assert fits[0] == fits[1]


def test_a_fold_starts_from_the_dose_and_is_fitted_to_the_others(rng):
    adata = course(rng)
    given = make_held_out({"use_rep": "X_pca", "condition_keys": "dose", "label_key": "kind"})
    fold = Evaluation(adata, given).make_fold(HeldOutPart(2.0, value=1.0))
    assert len(fold.cells) == 2 * 3 * N
    assert (len(fold.moved), fold.moved_times, fold.first) == (N, (0.0,), 0.0)
    assert fold.neighbours == (2.0, 2.0)
    assert fold.training_times == DAYS
    below, above = fold.condition.neighbours
    assert len(set(below.x[:, 0].tolist())) == 1
    # The midpoint keeps the label, and not the dose.
    assert set(below.label.tolist()) == set(above.label.tolist()) == {0, 1}


def test_two_times_and_a_sample_of_the_cells_will_do(rng, quick):
    scores = holdout(course(rng, days=(0.0, 1.0)), quick, max_cells=8)
    assert scores["w1_nearest"].item() == pytest.approx(1)
    assert scores["n_true"].item() == 8
    assert scores["w1_excess"].item() >= 0


@pytest.mark.parametrize(
    ("values", "value", "around", "share"),
    [
        ((0.0, 1.0, 2.0, 4.0, 8.0, 16.0), 4.0, (2.0, 8.0), 0.5),
        ((0.0, 0.5, 1.0, 2.0, 4.0, 8.0), 0.5, (0.0, 1.0), 0.5),
        ((1.0, 2.0, 3.0, 4.0, 5.0), 2.0, (1.0, 3.0), 0.5),
        ((1.0, 10.0, 100.0), 10.0, (1.0, 100.0), 1 / 11),
        ((10.0, 20.0, 40.0, 50.0), 20.0, (10.0, 40.0), 1 / 3),
    ],
)
def test_the_share_of_the_way_is_by_logarithms_where_values_are_spaced_so(
    values, value, around, share
):
    condition = ConditionValues("dose", np.repeat(values, 4))
    everywhere = np.ones(4 * len(values), dtype=bool)
    assert condition.around(value, everywhere) == around
    assert condition.share(value, *around) == pytest.approx(share)


def test_neighbours_are_those_with_enough_cells_at_the_time():
    condition = ConditionValues("dose", np.repeat([0.0, 1.0, 2.0, 3.0], [4, 3, 4, 4]))
    elapsed = np.zeros(15)
    assert condition.around(2.0, elapsed == 0) == (0, 3)
    assert condition.around(3.0, elapsed == 0) is None


BAD = {
    "no condition": ({"condition_keys": ()}, "requires a condition: give condition_keys"),
    "categories": ({"condition_keys": "kind"}, "'kind' has categories, of which a flow knows"),
    "edge": ({"values": 4}, r"value 4 of obs\['dose'\] cannot be held out; .*: 1$"),
    "text": ({"values": "high"}, "values 'high' are not numbers"),
    "start": ({"start": "both"}, "start 'both' has no effect with hold_out 'condition'"),
    "first time": ({"times": 0}, "time 0 is the first"),
    "no effect": ({"hold_out": "time", "values": 1}, "values has no effect with hold_out 'time'"),
    "too many values": ({"condition_keys": "score"}, "round values that few cells share"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_conditions_are_named(case, rng, quick):
    adata = course(rng)
    adata.obs["score"] = rng.normal(size=adata.n_obs)
    options, message = BAD[case]
    with pytest.raises(InputError, match=message):
        holdout(adata, quick, **options)


def test_the_first_of_two_numbers_is_held_out(rng, quick, caplog):
    adata = course(rng)
    adata.obs["age"] = 1.0 + np.arange(adata.n_obs) % 2
    with caplog.at_level("INFO", "cellflow"):
        scores = holdout(adata, quick, condition_keys=["dose", "age"], times=1)
    assert scores["condition"].tolist() == [1]
    assert "values of 'dose', the first numeric condition, are held out" in caplog.text


def test_a_flow_brings_its_condition(rng, quick):
    adata = course(rng, spread=0.1)
    flow = cf.tl.fit(
        adata, use_rep="X_pca", condition_keys="dose", method="ot-cfm", recipe=quick, progress=False
    )
    scores = cf.tl.holdout(adata, flow=flow, hold_out="condition", progress=False)
    assert scores["condition"].tolist() == [1, 1]
    assert not any("other settings" in each for each in scores.attrs["cautions"])


def test_the_command_writes_prints_and_draws_them(rng, run, tmp_path):
    course(rng, spread=0.1).write_h5ad(tmp_path / "d.h5ad")
    words = ["holdout", "d.h5ad", "--use-rep", "X_pca", "--method", "ot-cfm", "--n-steps", "3"]
    words += ["--condition-key", "dose", "--hold-out", "condition", "--value", "1"]
    code, out, _ = run(*words, "--output", "a.json")
    assert code == 0
    assert "midpoint, nearest, mixture" in out
    assert "dose 1" in out
    document = json.loads((tmp_path / "a.json").read_text())
    fold = document["folds"][0]
    assert (fold["condition"], fold["below"], fold["above"]) == (1, 0, 4)
    assert set(fold["baselines"]) == {"midpoint", "nearest", "mixture"}
    assert read_scores(tmp_path / "a.json")["w1_mixture"].notna().all()
    assert run("plot", "holdout", "a.json", "--output", "a.png")[0] == 0
    code, _, err = run(*words[:-2], "--value", "9", "--output", "b.json")
    assert code == 2
    assert "cannot be held out" in err
