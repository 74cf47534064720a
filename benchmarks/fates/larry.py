"""Hold fates against the clones of LARRY, two files of one experiment.

    CELLFLOW_DATA=/folder/of/data python benchmarks/fates/larry.py FOLDER --peers PYTHON

`states`: weinreb2020_larry781.h5ad, its 180 cells of day 4 with sisters at day 6. The truth is the
share of the sisters in each of twelve states; the Brier score is the sum over states.

`neutrophils`: larry_spring2d_130k.h5ad, cells of day 2 in `paper_heldout_mask`. The truth is the
published smoothed fraction of neutrophils among their day-6 sisters; the score is its correlation
with P(neutrophil) / (P(neutrophil) + P(monocyte)). The file names no types at day 6, so a cell
there has the state of the nearest annotated cells of the other file, which has the same layout.
Plans between whole days do not fit in memory: `--max-cells` are drawn from each day, `--draws`
times.

Clones are not shown to any method. What is in FOLDER already is read. Writes FOLDER/larry.csv and
prints its means.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData
from estimators import Answer, Question, answer, list_estimators, run_peers
from scores import auroc
from sklearn.neighbors import KNeighborsClassifier

import cellflow as cf
from cellflow.io import read_h5ad

TIME, STATE, CLONE = "time", "state_info", "clone_id"
PAIR = ["Neutrophil", "Monocyte"]


def main() -> None:
    """Fill the folder and print the table."""
    options = _arguments()
    folder = Path(options.folder)
    folder.mkdir(parents=True, exist_ok=True)
    data = Path(os.environ["CELLFLOW_DATA"])
    small = read_h5ad(data / "weinreb2020_larry781.h5ad")
    large = read_h5ad(data / "larry_spring2d_130k.h5ad")
    rows: list[dict[str, object]] = []
    for n_dims in options.n_dims:
        cf.pp.embed(small, n_dims=n_dims)
        place = folder / f"states-{n_dims}"
        question = Question(small.copy(), "X_cellflow", TIME, STATE, 0, place)
        rows += score_states(question, f"states, {n_dims}-D", options.peers)
    for draw in range(options.draws):
        course = draw_cells(large, options.max_cells, draw)
        course.obs["state"] = transfer_states(course, small)
        place = folder / f"neutrophils-{draw}"
        question = Question(course, "X_spring", TIME, "state", draw, place)
        rows += score_neutrophils(question, options.peers)
    table = pd.DataFrame(rows)
    table.to_csv(folder / "larry.csv", index=False)
    means = table.groupby(["data", "method"], sort=False).mean(numeric_only=True)
    print(means.drop(columns="draw").round(3).to_string())


def score_states(question: Question, name: str, peers: str | None) -> Iterator[dict[str, object]]:
    """Yield the scores of each answer on the states of day-6 sisters of day-4 cells."""
    adata = question.adata
    truth = clonal_fates(adata)
    known = ((adata.obs[TIME] == 4) & truth.notna().all(axis=1)).to_numpy()
    shares = truth[known].to_numpy()
    base = np.tile(shares.mean(axis=0), (len(shares), 1))
    answers = [Answer("base rate", pd.DataFrame(base, truth.index[known], truth.columns), 0.0)]
    answers += all_answers(question, peers)
    for method, found, seconds in answers:
        given = found.reindex(index=truth.index[known], columns=truth.columns, fill_value=0.0)
        yield {
            "data": name, "method": method, "draw": 0, "cells": len(shares),
            "auroc": _auroc_of_states(given.to_numpy(), shares),
            "brier": float(((given.to_numpy() - shares) ** 2).sum(axis=1).mean()),
            "seconds": seconds,
        }  # fmt: skip


def all_answers(question: Question, peers: str | None) -> list[Answer]:
    """Return the answers of every estimator, and of the peers if their Python is given."""
    if peers:
        run_peers([question], peers)
    return list(answer(question, list_estimators()))


def clonal_fates(adata: AnnData) -> pd.DataFrame:
    """Return the share of each cell's sisters at day 6 in each state; NaN without sisters."""
    last = adata.obs[adata.obs[TIME] == 6]
    counts = pd.crosstab(last[CLONE].astype(str), last[STATE].astype(str))
    shares = counts.div(counts.sum(axis=1), axis=0)
    return shares.reindex(adata.obs[CLONE].astype(str)).set_index(adata.obs_names)


def _auroc_of_states(found: np.ndarray, shares: np.ndarray, few: int = 3) -> float:
    """Return the mean AUROC of states that at least `few` cells mostly became, and as many not."""
    mostly = shares > 0.5
    scored = np.minimum(mostly.sum(axis=0), (~mostly).sum(axis=0)) >= few
    return float(
        np.mean([auroc(found[:, [k]], mostly[:, [k]] * 1.0) for k in np.flatnonzero(scored)])
    )


def score_neutrophils(question: Question, peers: str | None) -> Iterator[dict[str, object]]:
    """Yield the scores of each answer on the clonal fraction of neutrophils of day-2 cells."""
    course, draw = question.adata, question.seed
    scored = course.obs["paper_heldout_mask"].to_numpy()
    truth = course.obs["smoothed_neutrophil_fraction_truth"].to_numpy(float)[scored]
    answers = all_answers(question, peers)
    for name in ("WOT", "PBA", "FateID"):
        published = course.obs[f"{name}_prediction"].to_numpy(float)
        table = pd.DataFrame({PAIR[0]: published, PAIR[1]: 1 - published}, course.obs_names)
        answers.append(Answer(f"{name}, published", table, float("nan")))
    for method, found, seconds in answers:
        pair = found[PAIR].to_numpy()[scored]
        total = pair.sum(axis=1)
        share = np.divide(pair[:, 0], total, out=np.full(len(pair), 0.5), where=total > 0)
        yield {
            "data": "neutrophils", "method": method, "draw": draw, "cells": len(truth),
            "correlation": _correlation(share, truth),
            "squared_error": float(((share - truth) ** 2).mean()),
            "seconds": seconds,
        }  # fmt: skip


def draw_cells(adata: AnnData, max_cells: int, draw: int) -> AnnData:
    """Return random cells of each day from the neutrophil and monocyte part of the layout."""
    generator = np.random.default_rng(draw)
    part = adata.obs["neu_mono_trajectory"].to_numpy()
    rows = []
    for day in np.unique(adata.obs[TIME]):
        there = np.flatnonzero(part & (adata.obs[TIME] == day).to_numpy())
        rows.append(generator.choice(there, min(max_cells, len(there)), replace=False))
    return adata[np.sort(np.concatenate(rows))].copy()


def transfer_states(adata: AnnData, annotated: AnnData, k: int = 5) -> pd.Categorical:
    """Return the state of most of the nearest annotated cells on the layout that both share."""
    states = annotated.obs[STATE].astype(str)
    classifier = KNeighborsClassifier(k).fit(annotated.obsm["X_emb"], states)
    return pd.Categorical(classifier.predict(adata.obsm["X_spring"]))


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Return Pearson's correlation; 0 if one is constant."""
    return float(np.corrcoef(a, b)[0, 1]) if a.std() > 0 and b.std() > 0 else 0.0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--peers", help="Python of the environment with moscot and CellRank")
    parser.add_argument("--n-dims", type=int, nargs="+", default=[10, 50])
    parser.add_argument("--max-cells", type=int, default=3000)
    parser.add_argument("--draws", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
