"""Estimate fates by moscot and CellRank, with the Python of an environment that has both.

    python moscot_cellrank.py COURSE.h5ad [COURSE.h5ad ...] --use-rep X_pca --time-key time
        --groups fate

`../peers/requirements-moscot.txt` has the versions. Plans are moscot's `TemporalProblem`: squared
distances over their mean, equal masses, no growth. `moscot EPSILON` multiplies these plans, rows
divided by their sums, back from the groups of the last time. `moscot EPSILON + CellRank` gives them
to CellRank's `RealTimeKernel` with the settings of its tutorial (all self transitions with weight
0.2, automatic threshold) and takes the fate probabilities of `GPCCA`, whose terminal states are the
groups of the last time. `peers.npz` in the folder of each course, unless it is there, gets `names`
(n,), `groups` (k,), and for each of these methods `probabilities of METHOD` (n, k) and `seconds of
METHOD`, CPU time without imports and files.
"""

from __future__ import annotations

import argparse
import logging
import os
import time
import warnings
from itertools import pairwise
from pathlib import Path

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault(
    "XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
)
os.environ.setdefault("TQDM_DISABLE", "1")
warnings.filterwarnings("ignore")

import anndata  # noqa: E402
import cellrank  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from moscot.problems.time import TemporalProblem  # noqa: E402

TIME = "moscot_time"


def main() -> None:
    """Read, estimate and write each course."""
    options = _arguments()
    logging.getLogger("moscot").setLevel(logging.WARNING)
    for course in map(Path, options.courses):
        output = course.with_name("peers.npz")
        if not output.exists():
            results = estimate_course(anndata.read_h5ad(course), options)
            np.savez_compressed(output, **results)
            print(output, flush=True)


def estimate_course(adata: anndata.AnnData, options: argparse.Namespace) -> dict[str, np.ndarray]:
    """Return the arrays of `peers.npz`."""
    times = adata.obs[options.time_key].astype(float)
    adata.obs[TIME] = pd.Categorical(times)
    last = adata.obs[options.groups].where(times == times.max()).astype(object)
    last = last.where(last.isna(), last.astype(str)).astype("category")
    # Solvers are compiled for each number of cells; that is not counted.
    estimate_fates(adata.copy(), last, options.use_rep, options.epsilon[-1])
    results = {
        "names": np.array(adata.obs_names, str),
        "groups": np.array(last.cat.categories, str),
    }
    for epsilon in options.epsilon:
        found = estimate_fates(adata.copy(), last, options.use_rep, epsilon)
        for suffix, (probabilities, seconds) in zip(("", " + CellRank"), found, strict=True):
            results[f"probabilities of moscot {epsilon:g}{suffix}"] = probabilities
            results[f"seconds of moscot {epsilon:g}{suffix}"] = np.array(seconds)
    return results


def estimate_fates(
    adata: anndata.AnnData, terminal: pd.Series, use_rep: str, epsilon: float
) -> list[tuple[np.ndarray, float]]:
    """Return the probabilities, shape (n, k), and seconds of moscot alone and with CellRank."""
    begin = time.process_time()
    problem = TemporalProblem(adata)
    problem = problem.prepare(time_key=TIME, joint_attr=use_rep)
    problem = problem.solve(epsilon=epsilon, scale_cost="mean", max_iterations=20_000)
    solved = time.process_time()
    chained = multiply_plans(problem, adata, terminal)
    alone = time.process_time() - begin
    resumed = time.process_time()
    absorbed = absorb(problem, terminal, use_rep)
    both = solved - begin + time.process_time() - resumed
    return [(chained, alone), (absorbed, both)]


def multiply_plans(
    problem: TemporalProblem, adata: anndata.AnnData, terminal: pd.Series
) -> np.ndarray:
    """Return the groups of the last time multiplied back by the plans, shape (n, k)."""
    found = pd.get_dummies(terminal).reindex(adata.obs_names).to_numpy(float)
    times = adata.obs[TIME].to_numpy(float)
    for start, stop in reversed(list(pairwise(np.unique(times)))):
        plan = np.asarray(problem[start, stop].solution.transport_matrix, dtype=float)
        values = plan @ found[times == stop]
        found[times == start] = values / values.sum(axis=1, keepdims=True)
    return found


def absorb(problem: TemporalProblem, terminal: pd.Series, use_rep: str) -> np.ndarray:
    """Return CellRank's fate probabilities, shape (n, k)."""
    kernel = cellrank.kernels.RealTimeKernel.from_moscot(problem)
    kernel.compute_transition_matrix(
        self_transitions="all",
        conn_weight=0.2,
        threshold="auto",
        conn_kwargs={"use_rep": use_rep},
    )
    estimator = cellrank.estimators.GPCCA(kernel)
    estimator.set_terminal_states(terminal)
    estimator.compute_fate_probabilities(use_petsc=False, show_progress_bar=False, n_jobs=1)
    found = estimator.fate_probabilities
    table = pd.DataFrame(np.asarray(found.X), columns=list(found.names))
    return table[list(terminal.cat.categories)].to_numpy()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("courses", nargs="+", help=".h5ad with representation, times and groups")
    parser.add_argument("--use-rep", required=True, help="key of obsm")
    parser.add_argument("--time-key", required=True, help="column of obs with the times")
    parser.add_argument("--groups", required=True, help="column of obs with the groups")
    parser.add_argument("--epsilon", type=float, nargs="+", default=[0.01, 0.05, 0.2])
    return parser.parse_args()


if __name__ == "__main__":
    main()
