"""The verb `tl.regions`."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData
from sklearn.neighbors import NearestNeighbors

from cellflow._checks import check_positive
from cellflow._errors import InputError
from cellflow._keys import INTERPOLATE, REPRESENTATION, WEIGHT, read_record
from cellflow._random import RNG, resolve_seed
from cellflow.io import groups_of, in_unit, time_points_of
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
    """Compare predicted cells of a time with real ones, region by region.

    Where `tl.holdout` gives one number for a held-out time, this tells which groups of cells were
    predicted too few or in the wrong place.

    Parameters
    ----------
    adata
        Cells of the predicted time, which the flow should not have been fitted to.
    predicted
        What `tl.interpolate` returned.
    by
        Column of `obs` of `adata` with the groups.
    n_neighbors
        Real cells of that time that say by majority which group a predicted cell is in.
    max_cells
        Cells a side and group that distances are taken of at most.
    time_key
        Column of `obs` with the times; None takes the one that `pp.time_points` recorded, or one
        of a usual name (`time`, `day`, ...).
    rng
        Seed, or a numpy generator that one is drawn from, of draws and of halves.

    Returns
    -------
    One row a group, in order of its share of the real cells:

    `group`, `n_real`, `n_predicted`
        The group and its numbers of cells.
    `share_real`, `share_predicted`
        Its share of the real cells, and of the mass of the predicted ones.
    `w1`, `reference`
        Exact Wasserstein distance of both inside the group, in units of the representation, at as
        many cells as half of the real ones; and that of one real half from the other. NaN where
        a side has fewer than two cells or the group has fewer than four real ones.

    Raises
    ------
    InputError
        If `predicted` is no prediction, or there are no real cells of its time or groups.
    """
    entry, fitted = read_record(predicted.uns, INTERPOLATE), read_slots(predicted, REPRESENTATION)
    if entry is None or fitted is None:
        raise InputError("these cells are no prediction of cellflow.tl.interpolate")
    check_positive(n_neighbors, "n_neighbors")
    check_positive(max_cells, "max_cells")
    points = in_unit(time_points_of(adata, time_key), str(entry["unit"]))
    moment = points.find(float(entry["time"]))
    real = adata[points.elapsed == moment]
    groups = groups_of(real, by)
    there, here = fitted.transform(real), np.asarray(predicted.obsm[REPRESENTATION], dtype=float)
    search = NearestNeighbors(n_neighbors=min(n_neighbors, len(there))).fit(there)
    real_group, members = groups.cat.codes.to_numpy(), pd.get_dummies(groups).to_numpy()
    votes = members[search.kneighbors(here, return_distance=False)].sum(axis=1)
    # Where most neighbours have no group, a predicted cell has none either.
    without = search.n_neighbors - votes.sum(axis=1)
    group = np.where(votes.max(axis=1) >= without, votes.argmax(axis=1), -1)
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
        guesses = here[group == k], weights[group == k]
        rows.append(row | _distances(chosen, *guesses, max_cells, draw))
    table = pd.DataFrame(rows)
    return table.sort_values("share_real", ascending=False, kind="stable").reset_index(drop=True)


def _distances(
    real: np.ndarray,
    guessed: np.ndarray,
    weights: np.ndarray,
    max_cells: int,
    rng: np.random.Generator,
) -> dict[str, float]:
    """W1 of the predicted cells to half of the real ones, and of that half to the other."""
    size = min(len(real) // 2, max_cells)
    if size < 2 or len(guessed) < 2 or not weights.sum() > 0:
        return {"w1": float("nan"), "reference": float("nan")}
    order = rng.permutation(len(real))
    first, second = (Cloud.of(real[rows]) for rows in (order[:size], order[size : 2 * size]))
    prediction = Cloud.of(guessed, weights).resample(size, rng)
    return {"w1": wasserstein(prediction, second), "reference": wasserstein(first, second)}
