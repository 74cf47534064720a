"""Hold doses out of a time course, and predict them with a flow conditioned on the number.

    CELLFLOW_DATA=/folder/of/data python scripts/measure_doses.py [--method NAME]
        [--coupling NAME] [--cells N] [--n-steps N] [--seed N] [--doses DOSE ...]

On yeast_dose_time_flow.h5ad, GFP alone. Each fit sees all doses but one, and its cells of time 0
are moved with that dose. Prints, by time, exact W1 in units of asinh(GFP / 50): of the prediction;
of either neighbouring dose copied, and the mean of both; of a mixture of both neighbours; and of a
half of the cells from the other. Then the mean of each dose at the last time, real and predicted by
flows fitted to all doses with the dose as a number and as a category.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData

import cellflow as cf
from cellflow.io import read_h5ad
from cellflow.metrics import Cloud, wasserstein

DOSE, TIMES = "dose_IP", (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)


def main() -> None:
    """Print both tables."""
    given = _arguments()
    adata = read_course(given.cells)
    doses = np.unique(adata.obs[DOSE])
    rows = [
        row
        for dose in (given.doses or doses[1:-1])
        for row in score_held_out(adata, float(dose), given)
    ]
    table = pd.DataFrame(rows)
    print(table.round(3).to_string(index=False))
    print(table.drop(columns="dose").groupby("time").mean().round(3).to_string(), flush=True)
    print(compare_encodings(adata, given).round(2).to_string())


def read_course(n: int) -> AnnData:
    """Read GFP of `n` random cells of each dose and time."""
    adata = read_h5ad(Path(os.environ["CELLFLOW_DATA"]) / "yeast_dose_time_flow.h5ad")
    adata = adata[adata.obs["time"].isin(TIMES).to_numpy()]
    # Cells lie in the order of the instrument, which drifts.
    adata = adata[np.random.default_rng(0).permutation(adata.n_obs)]
    rank = adata.obs.groupby(["time", DOSE], observed=True).cumcount().to_numpy()
    adata = adata[rank < n]
    points = np.asarray(adata.X[:, :1], dtype=np.float64)
    obs = adata.obs[["time", DOSE]].astype(float)
    obs["category"] = [f"dose {dose:g}" for dose in obs[DOSE]]
    return AnnData(obs=obs, obsm={"X_gfp": points})


def score_held_out(
    adata: AnnData, dose: float, given: argparse.Namespace
) -> list[dict[str, float]]:
    """Score the predictions of a dose that the fit did not see, at each time but the first."""
    held_out = (adata.obs[DOSE] == dose).to_numpy()
    training = adata[~held_out].copy()
    doses = np.unique(training.obs[DOSE])
    below, above = doses[doses < dose].max(), doses[doses > dose].min()
    flow = fit(training, DOSE, given)
    rows = []
    for time in TIMES[1:]:
        real = cloud_at(adata, dose, time)
        moved = push(adata, flow, dose, time)
        low, high = (cloud_at(training, other, time) for other in (below, above))
        both = Cloud.of(np.concatenate([low.points, high.points]))
        half = len(real) // 2
        copies = [wasserstein(low, real), wasserstein(high, real)]
        rows.append(
            {
                "dose": dose,
                "time": time,
                "flow": wasserstein(Cloud.of(moved), real),
                "copy_below": copies[0],
                "copy_above": copies[1],
                "copy": float(np.mean(copies)),
                "mixture": wasserstein(both, real),
                "half": wasserstein(Cloud.of(real.points[:half]), Cloud.of(real.points[half:])),
            }
        )
    return rows


def compare_encodings(adata: AnnData, given: argparse.Namespace) -> pd.DataFrame:
    """Return the mean of each dose at the last time, real and predicted by two encodings."""
    last, doses = TIMES[-1], np.unique(adata.obs[DOSE])
    columns = {"real": [float(cloud_at(adata, dose, last).mean[0]) for dose in doses]}
    for key in (DOSE, "category"):
        flow = fit(adata, key, given)
        columns[key] = [float(push(adata, flow, dose, last).mean()) for dose in doses]
    return pd.DataFrame(columns, index=pd.Index(doses, name=DOSE)).T


def fit(adata: AnnData, key: str, given: argparse.Namespace) -> cf.Flow:
    """Fit a flow with a condition."""
    return cf.tl.fit(
        adata,
        time_key="time",
        use_rep="X_gfp",
        condition_keys=key,
        method=cf.method(given.method, coupling=given.coupling),
        recipe=cf.recipe("default", n_steps=given.n_steps),
        rng=given.seed,
        progress=False,
    )


def push(adata: AnnData, flow: cf.Flow, dose: float, time: float) -> np.ndarray:
    """Move the cells of a dose at the first time to another."""
    chosen = ((adata.obs[DOSE] == dose) & (adata.obs["time"] == TIMES[0])).to_numpy()
    moved: np.ndarray = cf.tl.push(adata, flow, chosen, time).obsm["X_cellflow"]
    return moved


def cloud_at(adata: AnnData, dose: float, time: float) -> Cloud:
    """Return the cells of a dose at a time."""
    chosen = ((adata.obs[DOSE] == dose) & (adata.obs["time"] == time)).to_numpy()
    return Cloud.of(adata.obsm["X_gfp"][chosen])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--method", default="ot-cfm")
    parser.add_argument("--coupling", default="ot")
    parser.add_argument("--cells", type=int, default=1000, help="of each dose and time")
    parser.add_argument("--n-steps", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--doses", type=float, nargs="*", help="to hold out; all inner ones if none"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
