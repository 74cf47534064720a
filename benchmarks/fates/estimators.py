"""Ways to estimate fates, each of cells with a representation, times and groups."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData
from sklearn.neighbors import NearestNeighbors

import cellflow as cf
from cellflow.methods.names import TRANSITION_ESTIMATORS

SCRIPT = Path(__file__).with_name("moscot_cellrank.py")
PEERS = "peers.npz"

#: Strengths of moscot's entropy, relative to the mean cost.
EPSILONS = (0.01, 0.05, 0.2)


class Question(NamedTuple):
    """Cells and the columns to estimate their fates with; `folder` keeps what was computed."""

    adata: AnnData
    use_rep: str
    time_key: str
    groups: str
    seed: int
    folder: Path


class Answer(NamedTuple):
    """Probabilities of all cells, shape (n, k), NaN without a fate; CPU seconds."""

    method: str
    probabilities: pd.DataFrame
    seconds: float


#: Any function from cells to answers can be scored.
Estimator = Callable[[Question], list[Answer]]


def list_estimators() -> dict[str, Estimator]:
    """Return all estimators that run here, by name."""
    found: dict[str, Estimator] = {"trivial": estimate_without_model}
    for by in TRANSITION_ESTIMATORS:
        found[f"cellflow-{by}"] = partial(estimate_by_cellflow, by=by)
    return found


def answer(question: Question, estimators: dict[str, Estimator]) -> Iterator[Answer]:
    """Yield all answers, with those of the peers; what is in the folder already is read."""
    question.folder.mkdir(parents=True, exist_ok=True)
    for name, estimate in estimators.items():
        path = question.folder / f"{name}.npz"
        if not path.exists():
            _write(path, estimate(question))
        yield from _read(path)
    if (peers := question.folder / PEERS).exists():
        yield from _read(peers)


def estimate_by_cellflow(question: Question, by: str) -> list[Answer]:
    """Estimate by `tl.fates` with a flow of the default method.

    The seconds of the fit count for `by="flow"` alone: the others do not use its networks.
    """
    flow, fitting = _fit(question)
    begin = time.process_time()
    result = cf.tl.fates(question.adata, flow, question.groups, by=by, rng=question.seed, copy=True)
    seconds = time.process_time() - begin + (fitting if by == "flow" else 0.0)
    names = result.uns["cellflow"]["fate_probabilities"]["names"]
    values = pd.DataFrame(result.obsm["fate_probabilities"], result.obs_names, list(names))
    return [Answer(f"cellflow, {by}", values, seconds)]


def _fit(question: Question) -> tuple[cf.Flow, float]:
    """Return the flow and the CPU seconds of its fit, from the folder if they are there."""
    path, clock = question.folder / "flow", question.folder / "flow-seconds.txt"
    if not path.exists():
        begin = time.process_time()
        flow = cf.tl.fit(
            question.adata,
            time_key=question.time_key,
            use_rep=question.use_rep,
            rng=question.seed,
            progress=False,
        )
        clock.write_text(f"{time.process_time() - begin}")
        flow.save(path)
    return cf.Flow.load(path), float(clock.read_text())


def run_peers(questions: list[Question], python: str) -> None:
    """Write the answers of moscot, alone and with CellRank, to the folders of the questions.

    One process of `python`, of the environment of both, takes them all.
    """
    courses = []
    for adata, use_rep, time_key, groups, _, folder in questions:
        if not (folder / PEERS).exists():
            points = np.asarray(adata.obsm[use_rep], np.float32)
            bare = AnnData(points, obs=adata.obs[[time_key, groups]], obsm={use_rep: points})
            folder.mkdir(parents=True, exist_ok=True)
            bare.write_h5ad(folder / "course.h5ad")
            courses.append(str(folder / "course.h5ad"))
    if not courses:
        return
    options = ["--use-rep", use_rep, "--time-key", time_key, "--groups", groups]
    epsilons = ["--epsilon", *(f"{each:g}" for each in EPSILONS)]
    # The other environment must not see the packages of this one.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [python, str(SCRIPT), *courses, *options, *epsilons]
    subprocess.run(command, check=True, env=environment)


def estimate_without_model(question: Question, k: int = 20) -> list[Answer]:
    """Return rivals without a model: the shares of the last time, and the nearest cells there."""
    adata = question.adata
    times = adata.obs[question.time_key].astype(float).to_numpy()
    labels = adata.obs[question.groups]
    last = (times == times.max()) & labels.notna().to_numpy()
    votes = pd.get_dummies(labels[last].astype(str)).astype(float)
    shares = np.tile(votes.mean(), (adata.n_obs, 1))
    begin = time.process_time()
    points = adata.obsm[question.use_rep]
    search = NearestNeighbors(n_neighbors=k).fit(points[last])
    near = search.kneighbors(points, return_distance=False)
    copied = votes.to_numpy()[near].mean(axis=1)
    seconds = time.process_time() - begin
    return [
        Answer("shares of the last time", pd.DataFrame(shares, adata.obs_names, votes.columns), 0),
        Answer(
            "nearest cells, no transport",
            pd.DataFrame(copied, adata.obs_names, votes.columns),
            seconds,
        ),
    ]


def _write(path: Path, answers: list[Answer]) -> None:
    first = answers[0].probabilities
    arrays = {f"probabilities of {name}": table.to_numpy() for name, table, _ in answers}
    arrays |= {f"seconds of {name}": np.array(seconds) for name, _, seconds in answers}
    names, groups = np.array(first.index, str), np.array(first.columns, str)
    np.savez_compressed(path, names=names, groups=groups, **arrays)


def _read(path: Path) -> list[Answer]:
    prefix = "probabilities of "
    with np.load(path) as stored:
        return [
            Answer(
                key.removeprefix(prefix),
                pd.DataFrame(stored[key], stored["names"], stored["groups"]),
                float(stored[f"seconds of {key.removeprefix(prefix)}"]),
            )
            for key in stored
            if key.startswith(prefix)
        ]
