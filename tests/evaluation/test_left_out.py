"""A fitted flow, scored at several times that were left out together."""

import numpy as np
import pytest

import cellflow as cf
from cellflow.evaluation.evaluation import Evaluation
from cellflow.evaluation.held_out import make_held_out
from cellflow.evaluation.held_out_parts import HeldOutPart
from cellflow.evaluation.left_out import score_left_out


@pytest.fixture
def left_out(semrau, quick):
    cf.pp.time_points(semrau, "time", unit="hour")
    kept = semrau[~semrau.obs["time"].isin([24, 36])].copy()
    cf.pp.embed(kept, n_dims=5, whiten=True)
    flow = cf.tl.fit(kept, recipe=quick, progress=False)
    predicted = {time: cf.tl.interpolate(kept, flow, time) for time in (24.0, 36.0)}
    return semrau, kept, flow, predicted


def test_folds_can_leave_several_times_out(left_out):
    adata, kept, *_ = left_out
    fold = Evaluation(adata, make_held_out({})).make_fold(HeldOutPart(24.0), without=[36.0])
    assert (fold.before, fold.after) == (12, 48)
    assert len(fold.held_out) == (adata.obs["time"] == 24).sum()
    np.testing.assert_allclose(fold.cells.x.numpy(), kept.obsm["X_cellflow"], atol=1e-5)


def test_the_flow_that_predicts_is_scored(left_out):
    adata, _, flow, predicted = left_out
    scores = score_left_out(adata, flow, predicted, seconds=1.0)["scores"]
    assert scores["time"].tolist() == [24, 36]
    assert scores["n_predicted"].tolist() == [predicted[time].n_obs for time in (24, 36)]
    moved = {time: cells.copy() for time, cells in predicted.items()}
    moved[24.0].obsm["X_cellflow"] = moved[24.0].obsm["X_cellflow"] + 3
    other = score_left_out(adata, flow, moved, seconds=1.0)["scores"]
    assert other["w1"][0] > scores["w1"][0] + 1
    assert other["w1"][1] == scores["w1"][1]
    assert other["w1_midpoint"].tolist() == scores["w1_midpoint"].tolist()


def test_one_time_alone_is_scored_as_by_holdout(semrau, quick):
    kept = semrau[semrau.obs["time"] != 36].copy()
    cf.pp.embed(kept, n_dims=5, whiten=True)
    flow = cf.tl.fit(kept, time_key="time", recipe=quick, progress=False)
    predicted = {36.0: cf.tl.interpolate(kept, flow, 36)}
    own = score_left_out(semrau, flow, predicted, seconds=0.0)["scores"]
    folded = cf.tl.holdout(semrau, times=36, recipe=quick, progress=False)
    for column in ("w1", "w1_midpoint", "w1_reference", "energy"):
        assert own[column].item() == pytest.approx(folded[column].item(), rel=1e-4)
