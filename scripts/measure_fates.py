"""Measure predicted fates against clones: cells of days 2 and 4 and their sisters at day 6.

    CELLFLOW_DATA=/folder/of/data python scripts/measure_fates.py FOLDER [--seeds N] [--n-steps N]
        [--n-dims N] [--n-neighbors N]

On weinreb2020_larry781.h5ad. Clones are not shown to any method. What a cell became is the share of
its clone's cells at day 6 in each state. Flows that are in FOLDER already are kept, so a stopped
run goes on; other settings need another folder. Writes FOLDER/scores.csv and prints its means.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

import cellflow as cf
from cellflow.io import read_h5ad
from cellflow.tl._time_course import TimeCourse
from cellflow.tl._transition_estimators import make_estimator, normalise_rows

STATE, CLONE, TIME = "state_info", "clone_id", "time"
LAST = 6.0
DAYS = (2.0, 4.0)

#: Methods, and the stochastic paths of each cell of those that have some.
METHODS = {"default": None, "ot-cfm": None, "sf2m": 20}

#: What the others are compared with, and how often clones are drawn again.
RIVAL, DRAWS = "exact OT plans, smoothed", 200

#: Cells that must, and that must not, have a state mostly, for an AUROC.
_FEW = 3


def main() -> None:
    """Fill the folder and print the table."""
    given = _arguments()
    folder = Path(given.folder)
    folder.mkdir(parents=True, exist_ok=True)
    adata = read_h5ad(Path(os.environ["CELLFLOW_DATA"]) / "weinreb2020_larry781.h5ad")
    cf.pp.embed(adata, n_dims=given.n_dims)
    truth = clonal_fates(adata)
    rows, kept = [], {}
    for name, seed, found in predictions(adata, given, folder, list(truth.columns)):
        for day in DAYS:
            told = ((adata.obs[TIME] == day) & truth.notna().all(axis=1)).to_numpy()
            told &= found.notna().all(axis=1).to_numpy()
            if seed == 0:
                kept[day, name] = found[told]
            rows.append({"method": name, "seed": seed, "day": day, "cells": int(told.sum()),
                         **scores(truth[told], found[told])})  # fmt: skip
    table = pd.DataFrame(rows)
    table.to_csv(folder / "scores.csv", index=False)
    means = table.drop(columns="seed").groupby(["day", "method"], sort=False).agg(["mean", "std"])
    print(means.round(3).to_string())
    for day in DAYS:
        few = {name: found for (when, name), found in kept.items() if when == day}
        print(f"\nday {day:g}, macro AUROC over clones drawn again, less that of {RIVAL!r}, seed 0")
        print(bootstrap(truth, few, adata.obs[CLONE].astype(str)).round(3).to_string())


def clonal_fates(adata: AnnData) -> pd.DataFrame:
    """Share of each cell's sisters at the last day in each state; NaN without sisters there."""
    last = adata.obs[adata.obs[TIME] == LAST]
    counts = pd.crosstab(last[CLONE].astype(str), last[STATE])
    shares = counts.div(counts.sum(axis=1), axis=0)
    shares.columns = shares.columns.astype(str)
    found = shares.reindex(adata.obs[CLONE].astype(str))
    return found.set_index(adata.obs_names)


def predictions(
    adata: AnnData, given: argparse.Namespace, folder: Path, states: list[str]
) -> Iterator[tuple[str, int, pd.DataFrame]]:
    """Name, seed and probabilities of every method and baseline."""
    for name, found in baselines(adata, given.n_neighbors, states).items():
        yield name, 0, found
    for method, n_samples in METHODS.items():
        for seed in range(given.seeds):
            flow = fitted(adata, method, seed, given.n_steps, folder)
            options = {"n_neighbors": given.n_neighbors, "n_samples": n_samples, "rng": seed}
            yield f"flow, {method}", seed, told(adata, flow, states, by="flow", **options)
        if method == "default":
            yield "entropic plans", 0, told(adata, flow, states, by="bridge")
        if method != "sf2m":
            plan = {"default": "unbalanced plans (WFR)", "ot-cfm": "exact OT plans"}[method]
            yield plan, 0, told(adata, flow, states, by="coupling")
            yield f"{plan}, smoothed", 0, smoothed(adata, flow, states, given.n_neighbors)


def fitted(adata: AnnData, method: str, seed: int, n_steps: int | None, folder: Path) -> cf.Flow:
    """A flow of the folder, fitted unless it is there."""
    path = folder / f"{method}-{seed}"
    if not path.exists():
        recipe = cf.recipe("default", **({} if n_steps is None else {"n_steps": n_steps}))
        options = {"method": method, "recipe": recipe, "rng": seed, "progress": False}
        cf.tl.fit(adata, time_key=TIME, **options).save(path)
    return cf.Flow.load(path)


def told(adata: AnnData, flow: cf.Flow, states: list[str], **options: object) -> pd.DataFrame:
    """Probabilities of `tl.fates` with a column a state."""
    result = cf.tl.fates(adata, flow, STATE, copy=True, **options)
    names = result.uns["cellflow"]["fate_probabilities"]["names"]
    found = pd.DataFrame(result.obsm["fate_probabilities"], adata.obs_names, list(names))
    return found.reindex(columns=states, fill_value=0.0)


def smoothed(adata: AnnData, flow: cf.Flow, states: list[str], k: int) -> pd.DataFrame:
    """Fates by the plans where each cell of the last day stands for its nearest ones there.

    A row of a plan has a few cells only, a carried cell `k` voters; so both have as many.
    """
    course = TimeCourse.read(adata, flow, None)
    estimator = make_estimator(course, "coupling", n_neighbors=k, n_samples=None, seed=0)
    votes, near = _votes(adata, k, states), course.rows_at(LAST)
    found = np.full((adata.n_obs, len(states)), np.nan)
    origins = [course.rows_at(day) for day in reversed(DAYS)]
    for rows, descent in zip(origins, estimator.descend(origins, near, votes[near]), strict=True):
        found[rows] = normalise_rows(descent)
    return pd.DataFrame(found, adata.obs_names, states)


def _votes(adata: AnnData, k: int, states: list[str]) -> np.ndarray:
    """Shares of states among the cells of the last day nearest to each cell where it is."""
    last = (adata.obs[TIME] == LAST).to_numpy()
    points, ends = adata.obsm["X_cellflow"], adata.obs[STATE].astype(str)
    votes = pd.get_dummies(ends[last]).reindex(columns=states, fill_value=False).to_numpy(float)
    near = NearestNeighbors(n_neighbors=k).fit(points[last]).kneighbors(points)[1]
    shares: np.ndarray = votes[near].mean(axis=1)
    return shares


def baselines(adata: AnnData, k: int, states: list[str]) -> dict[str, pd.DataFrame]:
    """What asks no flow.

    Votes of the cells of the last day that are nearest to a cell where it is; the state that it has
    already; the shares of the states at the last day.
    """
    ends = adata.obs[STATE].astype(str)
    own = pd.get_dummies(ends).reindex(columns=states, fill_value=False).to_numpy(float)
    last = (adata.obs[TIME] == LAST).to_numpy()
    values = {
        "nearest cells, no transport": _votes(adata, k, states),
        "own state": own,
        "shares of day 6": np.tile(own[last].mean(axis=0), (adata.n_obs, 1)),
    }
    return {name: pd.DataFrame(each, adata.obs_names, states) for name, each in values.items()}


def scores(truth: pd.DataFrame, found: pd.DataFrame) -> dict[str, float]:
    """Scores of some cells; of states that too few of them have, or too few have not, no AUROC."""
    areas, links = [], []
    for state in truth:
        has = truth[state] > 0.5
        if min(has.sum(), (~has).sum()) >= _FEW:
            areas.append(roc_auc_score(has, found[state]))
            links.append(_correlation(truth[state], found[state]))
    pair = truth[["Neutrophil", "Monocyte"]].sum(axis=1) > 0
    bias = [each["Neutrophil"] - each["Monocyte"] for each in (truth[pair], found[pair])]
    return {
        "states": len(areas),
        "auroc": float(np.mean(areas)) if areas else np.nan,
        "correlation": float(np.mean(links)) if links else np.nan,
        "neutrophil_monocyte": _correlation(*bias),
        "cells_pair": int(pair.sum()),
        "total_variation": float((truth - found).abs().sum(axis=1).mean() / 2),
    }


def bootstrap(
    truth: pd.DataFrame, found: dict[str, pd.DataFrame], clones: pd.Series
) -> pd.DataFrame:
    """Mean and standard deviation of AUROC less the rival's, over clones drawn with replacement.

    Sister cells share their truth, so cells are no independent draws.
    """
    cells = found[RIVAL].index
    members = pd.Series(range(len(cells))).groupby(clones[cells].to_numpy()).indices
    members = list(members.values())
    generator = np.random.default_rng(0)
    gains: dict[str, list[float]] = {name: [] for name in found}
    for _ in range(DRAWS):
        drawn = generator.integers(len(members), size=len(members))
        rows = np.concatenate([members[k] for k in drawn])
        areas = {
            name: _areas(truth.loc[cells].iloc[rows], each.loc[cells].iloc[rows])
            for name, each in found.items()
        }
        for name, area in areas.items():
            gains[name].append(area - areas[RIVAL])
    table = pd.DataFrame(gains)
    return pd.DataFrame({"gain": table.mean(), "sd": table.std(), "clones": len(members)})


def _areas(truth: pd.DataFrame, found: pd.DataFrame) -> float:
    """Mean AUROC over the states that can have one."""
    return scores(truth, found)["auroc"]


def _correlation(a: pd.Series, b: pd.Series) -> float:
    """Pearson's; zero where one is constant."""
    return float(np.corrcoef(a, b)[0, 1]) if a.std() > 0 and b.std() > 0 else 0.0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--n-steps", type=int)
    parser.add_argument("--n-dims", type=int, default=10)
    parser.add_argument("--n-neighbors", type=int, default=20)
    return parser.parse_args()


if __name__ == "__main__":
    main()
