"""The verb `tl.regions`."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData

from cellflow._checks import check_positive
from cellflow._errors import InputError
from cellflow._keys import INTERPOLATE, REPRESENTATION, WEIGHT, read_record
from cellflow._neighbours import NearestCells
from cellflow._random import RNG, resolve_seed
from cellflow.io import groups_of, time_points_for_result
from cellflow.io.matrices import take_cells
from cellflow.metrics import Cloud, wasserstein
from cellflow.representation import read_slots


def regions(
    adata: AnnData,
    predicted: AnnData,
    by: str,
    *,
    n_neighbors: int = 15,
    max_cells: int = 2000,
    time_key: str | None = None,
    rng: RNG = 0,
) -> pd.DataFrame:
    """Compare predicted cells of a time with real ones, group by group.

    `tl.holdout` gives one number for a held-out time; this function shows which groups of cells
    were predicted in too small a number or in the wrong place.

    Parameters
    ----------
    adata
        Annotated data matrix of the cells of the predicted time, which the flow should not have
        been fitted to.
    predicted
        Result of `tl.interpolate`.
    by
        Column of `obs` of `adata` with the groups.
    n_neighbors
        Number of real cells of that time whose majority decides the group of a predicted cell, of
        20,000 drawn at random if there are more.
    max_cells
        Maximum number of cells per side and group that distances are computed from.
    time_key
        Column of `obs` with the times; None uses the column that `pp.time_points` recorded, or one
        of a usual name (`time`, `day`, ...).
    rng
        Seed, or a numpy generator to draw one from, of samples and of halves.

    Returns
    -------
    A DataFrame with a row for each group, sorted by its share of the real cells:

    `group`, `n_real`, `n_predicted`
        The group and its numbers of cells.
    `share_real`, `share_predicted`
        Its share of the real cells, and of the mass of the predicted ones.
    `w1`, `reference`
        Exact Wasserstein distance between both within the group, in units of the representation,
        for as many cells as half of the real ones; and that between one real half and the other.
        NaN if a side has fewer than two cells or the group has fewer than four real ones.

    Raises
    ------
    InputError
        If `predicted` is not a prediction, or there are no real cells of its time or groups.
    """
    entry, fitted = read_record(predicted.uns, INTERPOLATE), read_slots(predicted, REPRESENTATION)
    if entry is None or fitted is None:
        raise InputError("predicted is not a result of cellflow.tl.interpolate")
    check_positive(n_neighbors, "n_neighbors")
    check_positive(max_cells, "max_cells")
    points = time_points_for_result(adata, entry, time_key)
    real = take_cells(adata, points.elapsed == points.find(float(entry["time"])))
    groups = groups_of(real, by)
    there, here = fitted.transform(real), np.asarray(predicted.obsm[REPRESENTATION], dtype=float)
    real_group, members = groups.cat.codes.to_numpy(), pd.get_dummies(groups).to_numpy()
    group = np.empty(len(here), dtype=np.int64)
    for part, _, near in NearestCells.among(there).find(here, n_neighbors):
        votes = members[near].sum(axis=1)
        # If most neighbours have no group, neither has a predicted cell.
        without = near.shape[1] - votes.sum(axis=1)
        group[part] = np.where(votes.max(axis=1) >= without, votes.argmax(axis=1), -1)
    weights = predicted.obs[WEIGHT].to_numpy(dtype=np.float64)
    grouped = weights[group >= 0].sum() or np.nan
    draw = np.random.default_rng(resolve_seed(rng))
    rows = []
    for k, name in enumerate(groups.cat.categories):
        chosen = there[real_group == k]
        row = {
            "group": name,
            "n_real": len(chosen),
            "n_predicted": int((group == k).sum()),
            "share_real": len(chosen) / (real_group >= 0).sum(),
            "share_predicted": weights[group == k].sum() / grouped,
        }
        predicted_ones = here[group == k], weights[group == k]
        rows.append(row | _score_group(chosen, *predicted_ones, max_cells, draw))
    table = pd.DataFrame(rows)
    return table.sort_values("share_real", ascending=False, kind="stable").reset_index(drop=True)


def _score_group(
    real: np.ndarray,
    predicted: np.ndarray,
    weights: np.ndarray,
    max_cells: int,
    rng: np.random.Generator,
) -> dict[str, float]:
    """Return W1 of predicted cells to half of the real ones, and of that half to the other."""
    size = min(len(real) // 2, max_cells)
    if size < 2 or len(predicted) < 2 or not weights.sum() > 0:
        return {"w1": float("nan"), "reference": float("nan")}
    order = rng.permutation(len(real))
    first, second = (Cloud.of(real[rows]) for rows in (order[:size], order[size : 2 * size]))
    prediction = Cloud.of(predicted, weights).resample(size, rng)
    return {"w1": wasserstein(prediction, second), "reference": wasserstein(first, second)}
