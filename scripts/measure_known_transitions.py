"""Hold couplings with known transitions against simulated courses whose lineages cross.

    python scripts/measure_known_transitions.py [--seeds 10 11] [--penalties 16] [--steps 400]
        [--missing 0.2] [--wrong 0.1]
    CELLFLOW_DATA=/folder/of/data python scripts/measure_known_transitions.py --clones 5

Lineages A and B (and C) pass each other between two times, closer than they are apart in the
markers that tell them apart, so transport without what is known swaps them. Types of cells are a
lineage and a stage, early or late. Prints, for each table of transitions, the Brier score of fates
by each estimator, the mass of the true transitions by exact plans, what `tl.fit` reports on the
table (the largest of all intervals), and the mean W1 of held-out times.
"""

from __future__ import annotations

import argparse
import os
from itertools import product
from pathlib import Path

import anndata
import numpy as np
import pandas as pd

import cellflow as cf

#: Cells of a lineage at a time, dimensions, noise of cells.
N, DIMS, NOISE = 120, 8, 0.5
TIMES = (0.0, 1.0, 2.0, 3.0)
#: Distances of the markers of lineages, by kind of course: from far below to above what crossing
#: costs.
KINDS = {"cross, markers .8": (2, 0.8), "cross, markers 1.2": (2, 1.2), "three": (3, 1.0)}
ESTIMATORS = ("bridge", "coupling", "flow")
REPORTED = ("unaware", "paying", "excess")


def simulate(kind: str, seed: int, missing: float = 0.0, wrong: float = 0.0) -> anndata.AnnData:
    """Return a course whose lineages cross, with the lineage of each cell and its type.

    `missing` is the share of cells without a type, `wrong` that of cells with a random one.
    """
    count, apart = KINDS[kind]
    rng = np.random.default_rng(seed)
    turned, _ = np.linalg.qr(rng.normal(size=(DIMS, DIMS)))
    lines = np.tile(np.repeat(np.arange(count), N), len(TIMES))
    times = np.repeat(TIMES, N * count)
    share = times / TIMES[-1]
    # Lineage k goes from place k to the mirrored one, along the first axis; markers are corners of
    # a simplex with edges of length `apart`.
    places = np.linspace(-2, 2, count)
    x = rng.normal(scale=NOISE, size=(len(times), DIMS))
    x[:, 0] += places[lines] * (1 - 2 * share)
    x[:, 1] += 1.5 * share
    x[np.arange(len(x)), 2 + lines] += apart / 2**0.5
    names = np.array(list("ABC"))[lines]
    stages = np.where(times < 2, "early", "late")
    kinds = np.char.add(np.char.add(names, " "), stages).astype(object)
    noisy = rng.random(len(x)) < wrong
    kinds[noisy] = rng.permutation(kinds)[noisy]
    kinds[rng.random(len(x)) < missing] = np.nan
    obs = pd.DataFrame({"time": times, "lineage": names, "kind": kinds})
    obs.index = obs.index.map("c{}".format)
    return anndata.AnnData(obs=obs, obsm={"X_pca": x @ turned})


def tables(kind: str) -> dict[str, pd.DataFrame | None]:
    """Return tables of known transitions by name; None for no knowledge."""
    names = "ABC"[: KINDS[kind][0]]
    stages = ("early", "late")
    true = [(f"{name} early", f"{name} late") for name in names]
    swapped = [
        (f"{a} early", f"{b} late") for a, b in zip(names, names[1:] + names[0], strict=True)
    ]
    everything = [(f"{a} {s}", f"{b} {t}") for a, b in product(names, repeat=2)
                  for s, t in product(stages, repeat=2)]  # fmt: skip
    lists = {
        "no prior": None,
        "true": true,
        "equal labels only": [(f"{name} early", f"{name} early") for name in names],
        "one missing": true[1:],
        "swapped (wrong)": swapped,
        "all allowed": everything,
    }
    return {
        name: rows and pd.DataFrame(rows, columns=["source", "target"])
        for name, rows in lists.items()
    }


def measure(
    adata: anndata.AnnData, table: pd.DataFrame | None, penalty: float, steps: int
) -> dict[str, float]:
    """Return scores of one fit, and of one for each held-out time."""
    known = {} if table is None else {"allowed_transitions": table, "group_key": "kind"}
    given = {
        "use_rep": "X_pca",
        "method": cf.method("default", transition_penalty=penalty),
        "recipe": cf.recipe("default", n_steps=steps),
        "progress": False,
        **known,
    }
    flow = cf.tl.fit(adata, **given)
    scores: dict[str, float] = {}
    start = adata.obs["time"] < TIMES[-1]
    truth = pd.get_dummies(adata.obs["lineage"]).to_numpy(float)
    for by in ESTIMATORS:
        cf.tl.fates(adata, flow, "lineage", by=by)
        found = adata.obsm["fate_probabilities"]
        scores[f"Brier {by}"] = float(np.nanmean(((found - truth) ** 2).sum(axis=1)[start]) / 2)
    pairs = cf.tl.transitions(adata, flow, "lineage", by="coupling")
    right = pairs[pairs["source"] == pairs["target"]]
    scores["true mass"] = float(right.groupby("source_time")["mass"].sum().mean())
    conflicts = adata.uns["cellflow"]["fit"].get("transition_conflicts", {})
    for name in REPORTED:
        scores[name] = float(np.max(conflicts.get(name, np.nan)))
    held_out = cf.tl.holdout(adata, whiten=False, n_dims=DIMS, **given)
    return scores | {"held-out W1": float(held_out["w1"].mean())}


def measure_clones(steps: int, dims: int) -> pd.DataFrame:
    """Return the Brier scores of fates of LARRY's day-4 cells against their day-6 sisters.

    Known: undifferentiated cells become every type, and the common progenitors of neutrophils and
    monocytes those; others none.
    """
    adata = anndata.read_h5ad(Path(os.environ["CELLFLOW_DATA"]) / "weinreb2020_larry781.h5ad")
    cf.pp.embed(adata, n_dims=dims)
    last = adata.obs[adata.obs["time"] == 6]
    counts = pd.crosstab(last["clone_id"].astype(str), last["state_info"].astype(str))
    truth = counts.div(counts.sum(axis=1), axis=0).reindex(adata.obs["clone_id"].astype(str))
    scored = (adata.obs["time"] == 4).to_numpy() & truth.notna().all(axis=1).to_numpy()
    committed = [name for name in counts.columns if name != "undiff"]
    others = committed[1:] + committed[:1]
    lists = {
        "no prior": None,
        "known": [
            *(("undiff", name) for name in committed),
            *(("Neu_Mon", name) for name in ("Neutrophil", "Monocyte")),
        ],
        "equal labels only": [("undiff", "undiff")],
        "rotated (wrong)": list(zip(committed, others, strict=True)),
    }
    rows: list[dict[str, object]] = []
    for (name, pairs), seed in product(lists.items(), range(3)):
        known = {}
        if pairs is not None:
            table = pd.DataFrame(pairs, columns=["source", "target"])
            known = {"allowed_transitions": table, "group_key": "state_info"}
        recipe = cf.recipe("default", n_steps=steps)
        flow = cf.tl.fit(adata, recipe=recipe, progress=False, rng=seed, **known)
        row: dict[str, object] = {"table": name}
        for by in ESTIMATORS:
            cf.tl.fates(adata, flow, "state_info", by=by, rng=seed)
            names = list(adata.uns["cellflow"]["fate_probabilities"]["names"])
            found = pd.DataFrame(adata.obsm["fate_probabilities"], columns=names)
            found = found.reindex(columns=truth.columns).fillna(0).to_numpy()[scored]
            row[by] = ((found - truth.to_numpy()[scored]) ** 2).sum(axis=1).mean()
        conflicts = adata.uns["cellflow"]["fit"].get("transition_conflicts", {})
        rows.append(row | {each: np.max(conflicts.get(each, np.nan)) for each in REPORTED})
    shares = truth.to_numpy()[scored]
    base = ((shares - shares.mean(axis=0)) ** 2).sum(axis=1).mean()
    means = pd.DataFrame(rows).groupby("table", sort=False).mean()
    return pd.concat([means, pd.DataFrame(dict.fromkeys(ESTIMATORS, base), index=["base rate"])])


def main() -> None:
    """Print the means over seeds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[10, 11])
    parser.add_argument("--penalties", type=float, nargs="+", default=[16.0])
    parser.add_argument("--kinds", nargs="+", default=list(KINDS))
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--missing", type=float, default=0.0)
    parser.add_argument("--wrong", type=float, default=0.0)
    parser.add_argument("--clones", type=int, metavar="DIMS", help="LARRY cells, in so many PCs")
    given = parser.parse_args()
    if given.clones is not None:
        print(measure_clones(given.steps, given.clones).round(3).to_string())
        return
    rows: list[dict[str, object]] = []
    for kind, seed in product(given.kinds, given.seeds):
        adata = simulate(kind, seed, given.missing, given.wrong)
        for name, table in tables(kind).items():
            for penalty in given.penalties[: None if table is not None else 1]:
                about = {"kind": kind, "seed": seed, "table": name, "penalty": penalty}
                rows.append(about | measure(adata.copy(), table, penalty, given.steps))
                print(rows[-1], flush=True)
    keys = ["kind", "table", "penalty"]
    means = pd.DataFrame(rows).drop(columns="seed").groupby(keys, sort=False).mean()
    print(means.round(3).to_string())


if __name__ == "__main__":
    main()
