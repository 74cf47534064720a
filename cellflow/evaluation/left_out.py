"""Score a fitted flow at the times that were left out of its fit, all of them at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from anndata import AnnData

from cellflow._keys import REPRESENTATION, WEIGHT
from cellflow._log import log_info
from cellflow._versions import versions
from cellflow.evaluation.cautions import check_scores, flow_settings, record_cautions
from cellflow.evaluation.comparison import describe_comparison
from cellflow.evaluation.evaluation import Evaluation
from cellflow.evaluation.held_out import make_held_out
from cellflow.evaluation.held_out_parts import HeldOutPart
from cellflow.evaluation.predict import describe_row, make_row, score_prediction
from cellflow.flow import Flow
from cellflow.io import name_time, time_key_of


def score_left_out(
    adata: AnnData, flow: Flow, predicted: Mapping[float, AnnData], *, seconds: float
) -> dict[str, Any]:
    """Score predictions of a flow at the times that were left out of its fit.

    The baselines have the nearest times of the fit as neighbours, so that of several times left out
    side by side each is predicted from the times around all of them.

    Parameters
    ----------
    adata
        All cells, those of the left-out times too.
    flow
        Flow that was fitted to the other times, in an embedding of their cells by `pp.embed`.
    predicted
        Result of `tl.interpolate` for each left-out time.
    seconds
        Wall time of fit and prediction.

    Returns
    -------
    The record that `tl.holdout` writes.
    """
    evaluation = Evaluation(adata, make_held_out({}), flow)
    rows = []
    for time, cells in predicted.items():
        fold = evaluation.make_fold(HeldOutPart(time), without=predicted.keys() - {time})
        baselines = fold.score_baselines(evaluation.baseline_axis)
        points, weights = cells.obsm[REPRESENTATION], cells.obs[WEIGHT].to_numpy()
        scores = score_prediction(fold, baselines, points, weights)
        rows.append(make_row(time, flow.record.seed, {**scores, "seconds": seconds}, baselines))
        when = name_time(time, evaluation.time_unit)
        log_info(f"{when} left out: {describe_row(rows[-1])}")
    table = pd.DataFrame(rows)
    settings = {
        **evaluation.settings.model_dump(),
        **flow_settings(flow),
        "time_key": time_key_of(adata),
        "time_unit": evaluation.time_unit,
        "times": list(predicted),
        "left_out_together": True,
        "representation": fold.representation.describe(),
        "representation_may_have_seen_held_out": False,
        "seeds": [flow.record.seed],
        "data": evaluation.digest(),
    }
    table.attrs["settings"] = settings
    for sentence in describe_comparison(table):
        log_info(sentence)
    cautions = check_scores(table)
    return {
        "scores": table,
        "settings": settings,
        "versions": versions(),
        "cautions": record_cautions(cautions),
    }
