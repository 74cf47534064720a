"""Hold fates against the true probabilities of simulated courses.

    python benchmarks/fates/simulated.py FOLDER [--seeds 100 101 ...] [--n-cells N]
        [--peers PYTHON]

The default seeds had no part in any choice. What is in FOLDER already is read, so a stopped run
goes on; delete the files of a method to compute them again. Writes FOLDER/scores.csv (a row for
each course, start time and method), FOLDER/table.md and FOLDER/reliability.csv; `figure.py` draws
them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData
from estimators import Answer, Question, answer, list_estimators, run_peers
from scores import reliability, score_fates

import cellflow as cf

#: Settings of `cf.datasets.simulate_course` beside its defaults.
KINDS: dict[str, dict[str, object]] = {
    "late": {},
    "late, predictable": {"predictability": 0.6},
    "three fates": {"fates": {"A": 0.5, "B": 0.3, "C": 0.2}, "predictability": 0.6},
    "rare fate": {"fates": {"A": 0.94, "B": 0.06}},
    "set at the start": {"commitment": "start", "predictability": 0.8},
    "early": {"commitment": "early", "predictability": 0.6},
    "uneven times": {"times": (0.0, 1.0, 2.0, 3.0, 7.0, 12.0), "predictability": 0.6},
    "growth by fate": {"growth": {"A": 0.25, "B": -0.1}},
    "three donors": {"donors": 3, "batch_effect": 0.3},
    "a batch per time": {"time_effect": 0.15},
    "cycle": {"cycle": True, "predictability": 0.6},
    "out of step": {"asynchrony": 0.25},
}

#: By how much the Brier score of the truth must be below the base rate's to say that a fate can be
#: known.
KNOWABLE = 0.01

TRUTH = "true_fate_probabilities"
BASE, BEST = "base rate", "the truth itself"


def main() -> None:
    """Fill the folder and print the table."""
    options = _arguments()
    folder = Path(options.folder)
    rows: list[dict[str, object]] = []
    curves: list[pd.DataFrame] = []
    for seed in options.seeds:
        questions = {kind: simulate(kind, seed, options) for kind in options.kinds}
        if options.peers:
            run_peers(list(questions.values()), options.peers)
        for kind, question in questions.items():
            adata = question.adata
            for each in (*rivals(adata), *answer(question, list_estimators())):
                scored, curve = score_course(adata, each)
                about = {"kind": kind, "seed": seed, "method": each.method}
                rows += [{**about, **row, "seconds": each.seconds} for row in scored]
                curves.append(curve.assign(**about))
            print(f"{kind}, seed {seed}", flush=True)
        scores = pd.DataFrame(rows)
        scores.to_csv(folder / "scores.csv", index=False)
        pd.concat(curves).to_csv(folder / "reliability.csv", index=False)
        (folder / "table.md").write_text(tabulate(scores))
    print((folder / "table.md").read_text())


def simulate(kind: str, seed: int, options: argparse.Namespace) -> Question:
    """Return a course with the default representation, and its folder."""
    numbers = {"n_cells": options.n_cells, "n_genes": options.n_genes}
    adata = cf.datasets.simulate_course(**numbers, rng=seed, **KINDS[kind])
    cf.pp.embed(adata)
    folder = Path(options.folder) / f"{kind.replace(', ', '-').replace(' ', '-')}-{seed}"
    return Question(adata, "X_cellflow", "time", "fate", seed, folder)


def rivals(adata: AnnData) -> list[Answer]:
    """Return the mean true probabilities of each time, and the true ones of each cell."""
    truth = read_truth(adata)
    means = truth.groupby(adata.obs["time"].to_numpy()).transform("mean")
    return [Answer(BASE, means, 0.0), Answer(BEST, truth, 0.0)]


def read_truth(adata: AnnData) -> pd.DataFrame:
    """Return the true probabilities, a column for each fate."""
    fates = adata.uns["cellflow"]["simulation"]["fates"]
    return pd.DataFrame(adata.obsm[TRUTH], adata.obs_names, [str(each) for each in fates])


def score_course(adata: AnnData, found: Answer) -> tuple[list[dict[str, object]], pd.DataFrame]:
    """Return the scores of each start time, and the reliability curve of all.

    Probability of cells that show no fate at the last time is shared out among the fates; cells
    without an estimate have the mean one.
    """
    truth = read_truth(adata)
    given = found.probabilities.reindex(columns=truth.columns, fill_value=0.0)
    given = given.div(given.sum(axis=1), axis=0)
    missing = given.isna().any(axis=1)
    given = given.fillna(given.mean())
    times = adata.obs["time"].to_numpy(float)
    rows: list[dict[str, object]] = []
    for start in np.unique(times)[:-1]:
        at = times == start
        scored = score_fates(given[at].to_numpy(), truth[at].to_numpy())
        rows.append({"time": start, "missing": missing[at].mean(), **scored})
    before = times < times.max()
    table = reliability(given[before].to_numpy(), truth[before].to_numpy())
    return rows, pd.DataFrame(table, columns=["predicted", "true", "entries"])


def tabulate(scores: pd.DataFrame) -> str:
    """Return tables in markdown: all courses by method, and Brier scores by kind of course."""
    wide = scores.pivot_table("brier", ["kind", "seed", "time"], "method", sort=False)
    known = (wide[BASE] - wide[BEST] > KNOWABLE).rename("known")
    scores = scores.join(known, on=known.index.names)
    by_method = scores.groupby("method", sort=False)
    sure = by_method["confident"].mean()
    sure_and_right = (scores["confident"] * scores["confident_right"].fillna(0)).groupby(
        scores["method"]
    )
    summary = pd.DataFrame(
        {
            "above the base rate where nothing can be known": wide[~known]
            .sub(wide.loc[~known, BASE], axis=0)
            .mean(),
            "Brier where something can": wide[known].mean(),
            "AUROC there": scores[scores["known"]].groupby("method")["auroc"].mean(),
            "calibration error": by_method["calibration_error"].mean(),
            "cells with p > .95": sure,
            "of these right": sure_and_right.mean() / sure,
        }
    ).reindex(list(sure.index))
    seconds = by_method["seconds"].median()
    text = summary.map("{:.3f}".format).assign(seconds=seconds.map("{:.1f}".format))
    kinds = wide.groupby("kind", sort=False).mean().T.map("{:.3f}".format)
    about = (
        f"{scores['seed'].nunique()} seeds. Something can be known at {int(known.sum())} of the "
        f"{len(wide)} pairs of a course and a start time: the Brier score of the truth is more "
        f"than {KNOWABLE} below the base rate's."
    )
    titles = "Brier score by kind of course, means over start times and seeds"
    return "\n\n".join([about, _markdown(text), titles, _markdown(kinds)]) + "\n"


def _markdown(table: pd.DataFrame) -> str:
    lines = [["", *table.columns], ["---"] * (table.shape[1] + 1)]
    lines += [[str(name), *row] for name, row in zip(table.index, table.to_numpy(), strict=True)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--seeds", type=int, nargs="+", default=[100, 101, 102])
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--n-cells", type=int, default=2400)
    parser.add_argument("--n-genes", type=int, default=500)
    parser.add_argument("--peers", help="Python of the environment with moscot and CellRank")
    return parser.parse_args()


if __name__ == "__main__":
    main()
