"""Plans of moscot, fates and drivers of CellRank, with the Python of an environment of both.

    python run_moscot.py COURSE.h5ad OUTPUT --variant default

Variants: `default` (epsilon 0.001), an epsilon such as `0.05`, or `low-rank` (rank 200). Squared
distances over their mean, equal masses, without growth. CellRank takes the settings of its
tutorial: all self transitions with weight 0.2, automatic threshold, terminal states from the groups
of the last time. `requirements-moscot.txt` has the versions.
"""

import logging
import os
import warnings

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("TQDM_DISABLE", "1")
warnings.filterwarnings("ignore")

import anndata  # noqa: E402
import cellrank  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from moscot.problems.time import TemporalProblem  # noqa: E402
from stages import Stages, read_arguments  # noqa: E402

TIME, POINTS, RANK = "moscot_time", "X_cellflow", 200


def main() -> None:
    """Measure each stage."""
    options = read_arguments()
    logging.getLogger("moscot").setLevel(logging.WARNING)
    stages = Stages(options.output)
    for _ in range(options.passes):
        stages.rows.clear()
        run(anndata.read_h5ad(options.course), options.variant, stages)


def run(adata: anndata.AnnData, variant: str, stages: Stages) -> None:
    """Solve, absorb and correlate."""
    times = adata.obs["time"].astype(float)
    adata.obs[TIME] = pd.Categorical(times)
    terminal = adata.obs["fate"].astype("category")
    settings = {"rank": RANK} if variant == "low-rank" else {}
    if variant not in ("default", "low-rank"):
        settings["epsilon"] = float(variant)
    problem = TemporalProblem(adata).prepare(time_key=TIME, joint_attr=POINTS)
    solved = stages.measure("plans", lambda: problem.solve(scale_cost="mean", **settings))
    estimator = stages.measure("fates", lambda: absorb(solved, terminal))
    found = estimator.fate_probabilities
    stages.arrays["groups"] = np.array(list(found.names), str)
    stages.arrays["fates"] = np.asarray(found.X, np.float32)
    table = stages.measure("drivers", estimator.compute_lineage_drivers)
    columns = [f"{name}_corr" for name in found.names]
    stages.arrays["drivers"] = table.reindex(adata.var_names)[columns].to_numpy(np.float32)
    stages.write()


def absorb(problem: TemporalProblem, terminal: pd.Series) -> cellrank.estimators.GPCCA:
    """Return CellRank's estimator with fate probabilities."""
    kernel = cellrank.kernels.RealTimeKernel.from_moscot(problem)
    kernel.compute_transition_matrix(
        self_transitions="all",
        conn_weight=0.2,
        threshold="auto",
        conn_kwargs={"use_rep": POINTS},
    )
    estimator = cellrank.estimators.GPCCA(kernel)
    estimator.set_terminal_states(terminal)
    estimator.compute_fate_probabilities(use_petsc=False, show_progress_bar=False, n_jobs=1)
    return estimator


if __name__ == "__main__":
    main()
