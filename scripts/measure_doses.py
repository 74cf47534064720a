"""Hold doses out of time courses and score their predictions by flows of the other doses.

    python scripts/measure_doses.py simulated [--seeds N ...] [--method NAME] [--n-steps N]
    CELLFLOW_DATA=/folder/of/data python scripts/measure_doses.py yeast [--cells N]
    CELLFLOW_DATA=/folder/of/data python scripts/measure_doses.py encodings [--cells N]

`simulated`: courses whose cells move farther with the dose, move sooner, or respond in a larger
share. `yeast`: GFP of yeast_dose_time_flow.h5ad, in units of asinh(GFP / 50). Both print, by dose
and by time, W1 of the flow, of its rivals without a model, and of fresh cells, from `tl.holdout`.
`encodings`: the mean GFP of each dose at the last time, real and predicted by flows fitted to all
doses with the dose as a number and as a category.
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

DOSE = "dose_IP"
TIMES = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)
KINDS = ("farther", "sooner", "larger share")
DOSES = (0.0, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
SHOWN = ["w1", "w1_nearest", "w1_mixture", "w1_midpoint", "w1_reference", "energy",
         "energy_mixture", "energy_midpoint", "mean_error", "mean_error_mixture",
         "mean_error_midpoint"]  # fmt: skip


def main() -> None:
    """Print the tables that are asked for."""
    given = _arguments()
    if given.what == "encodings":
        print(compare_encodings(read_course(given.cells), given).round(2).to_string())
        return
    courses = {"yeast": read_course} if given.what == "yeast" else dict.fromkeys(KINDS)
    means = {}
    for name, read in courses.items():
        adata = simulate_doses(name, given.cells) if read is None else read(given.cells)
        scores = hold_out_doses(adata, given)
        means[name] = scores[SHOWN].mean()
        for by in ("condition", "time", "seed"):
            print(f"\n{name}, by {by}")
            print(scores.groupby(by)[SHOWN].mean().round(3).to_string(), flush=True)
        lost = scores.groupby(["condition", "time"])[SHOWN].mean()
        for rival in ("nearest", "mixture", "midpoint"):
            n = int((lost["w1"] < lost[f"w1_{rival}"]).sum())
            print(f"nearer than {rival}: {n} of {len(lost)} doses and times")
    print("\nmean over doses, times and seeds")
    print(pd.DataFrame(means).T.round(3).to_string())


def simulate_doses(kind: str, n: int, seed: int = 0) -> AnnData:
    """Simulate `n` cells of each dose and time, in 5 dimensions, with a response of Hill's form.

    Cells follow an arc from time 0 to 4. With the response r = d / (1 + d) of dose d they go 3 r
    far, or by the clock t (1 + r) / 2, or a share r of them goes all the way.
    """
    rng = np.random.default_rng(seed)
    grid = [(time, dose) for time in range(5) for dose in DOSES]
    obs = pd.DataFrame(np.repeat(grid, n, axis=0), columns=["time", "dose"])
    response = (obs["dose"] / (1 + obs["dose"])).to_numpy()
    passed, radius = obs["time"].to_numpy() / 4, np.full(len(obs), 3.0)
    if kind == "farther":
        radius = 3 * response
    elif kind == "sooner":
        passed = passed * (1 + response) / 2
    else:
        radius = np.where(rng.random(len(obs)) < response, 3.0, 0.0)
    angle = np.pi / 2 * passed
    points = 0.4 * rng.normal(size=(len(obs), 5))
    points[:, 0] += radius * np.sin(angle)
    points[:, 1] += radius * (1 - np.cos(angle))
    obs.index = obs.index.astype(str)
    return AnnData(obs=obs, obsm={"X_sim": points})


def read_course(n: int) -> AnnData:
    """Read GFP of `n` random cells of each dose and time."""
    adata = read_h5ad(Path(os.environ["CELLFLOW_DATA"]) / "yeast_dose_time_flow.h5ad")
    adata = adata[adata.obs["time"].isin(TIMES).to_numpy()]
    # Cells lie in the order of the instrument, which drifts.
    adata = adata[np.random.default_rng(0).permutation(adata.n_obs)]
    rank = adata.obs.groupby(["time", DOSE], observed=True).cumcount().to_numpy()
    adata = adata[rank < n]
    points = np.asarray(adata.X[:, :1], dtype=np.float64)
    obs = adata.obs[["time", DOSE]].astype(float).rename(columns={DOSE: "dose"})
    obs["category"] = [f"dose {dose:g}" for dose in obs["dose"]]
    return AnnData(obs=obs, obsm={"X_gfp": points})


def hold_out_doses(adata: AnnData, given: argparse.Namespace) -> pd.DataFrame:
    """Hold out every dose between two others."""
    (use_rep,) = adata.obsm
    return cf.tl.holdout(
        adata,
        use_rep=use_rep,
        whiten=False,
        condition_keys="dose",
        hold_out="condition",
        values=given.doses,
        method=given.method,
        recipe=cf.recipe("default", n_steps=given.n_steps),
        rng=given.seeds,
        progress=False,
    )


def compare_encodings(adata: AnnData, given: argparse.Namespace) -> pd.DataFrame:
    """Return the mean of each dose at the last time, real and predicted by two encodings."""
    dose, last = adata.obs["dose"].to_numpy(), (adata.obs["time"] == TIMES[-1]).to_numpy()
    doses = np.unique(dose)
    points = adata.obsm["X_gfp"]
    columns = {"real": [float(points[last & (dose == each)].mean()) for each in doses]}
    for key in ("dose", "category"):
        flow = cf.tl.fit(
            adata,
            use_rep="X_gfp",
            condition_keys=key,
            method=given.method,
            recipe=cf.recipe("default", n_steps=given.n_steps),
            rng=given.seeds[0],
            progress=False,
        )
        columns[key] = []
        for each in doses:
            start = (dose == each) & (adata.obs["time"] == TIMES[0]).to_numpy()
            moved = cf.tl.push(adata, flow, start, TIMES[-1]).obsm["X_cellflow"]
            columns[key].append(float(moved.mean()))
    return pd.DataFrame(columns, index=pd.Index(doses, name="dose")).T


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("simulated", "yeast", "encodings"))
    parser.add_argument("--method", default="default")
    parser.add_argument("--cells", type=int, default=300, help="of each dose and time")
    parser.add_argument("--n-steps", type=int, default=2000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument(
        "--doses", type=float, nargs="*", help="to hold out; all inner ones if none"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
