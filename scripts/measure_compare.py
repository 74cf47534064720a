"""Hold `tl.compare` against simulated courses with a known difference, or run it on real ones.

    python scripts/measure_compare.py alarms | parting | shares | genes [--draws N]
    CELLFLOW_DATA=/folder/of/data python scripts/measure_compare.py yeast | larry
    python scripts/measure_compare.py figure

`alarms`: share of draws with any p of 0.05 or less where conditions do not differ: one course split
at random into two and into four arms; donors with a batch effect, by permutation of cells and of
donors. `parting`: share of draws whose interval of parting is the true one (times 2 to 4, fates are
drawn at 3), by the difference in fates and the number of cells. `shares`: share of 95 % intervals
that hold the true difference of fates, of cells and of replicates with shares of their own, beside
a bootstrap over replicates. `genes`: discoveries at q of 0.05 among genes that do not differ, and
among those that do. The rival is the distance of means. `figure`: draw docs/images/compare.png, in
seconds.
"""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import anndata
import matplotlib as mpl
import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import stats

import cellflow as cf
from cellflow.io import read_h5ad
from cellflow.metrics import Cloud, energy_distance

TIMES = (0.0, 1.0, 2.0, 4.0, 5.0, 7.0)
COURSE = {
    "n_genes": 60, "times": TIMES, "commitment": 3.0, "asynchrony": 0.03, "n_continuations": 1,
}  # fmt: skip
DISTANCES = ("energy", "means")
FIGURE = Path(__file__).parents[1] / "docs" / "images" / "compare.png"
N_PERMUTATIONS = 199


def measure_alarms(draws: int) -> pd.DataFrame:
    """Return the share of draws with a false alarm, by what is permuted."""
    found: dict[tuple[str, str, str], list[bool]] = {}
    for seed in range(draws):
        course = cf.datasets.simulate_course(n_cells=60 * len(TIMES), rng=seed, **COURSE)
        for n in (2, 4):
            course.obs["arm"] = [f"arm {k % n}" for k in range(course.n_obs)]
            # Every arm needs 20 cells of each time.
            own = course if n == 2 else anndata.concat([course, _again(course, seed)])
            for distance in DISTANCES:
                table = _compare(own, "true_latent", distance, seed)
                found.setdefault((f"one course in {n}", "cells", distance), []).append(
                    _alarmed(table)
                )
        for donors in (2, 4):
            batches = _simulate_donors(2 * donors, seed)
            for distance in DISTANCES:
                for key in (None, "donor") if donors == 4 else (None,):
                    table = _compare(batches, None, distance, seed, replicate_key=key)
                    what = (f"{donors} donors an arm", "donors" if key else "cells", distance)
                    found.setdefault(what, []).append(_alarmed(table))
    rows = [(*what, float(np.mean(alarms)), *_interval(alarms)) for what, alarms in found.items()]
    return pd.DataFrame(rows, columns=["courses", "permuted", "distance", "alarms", "low", "high"])


def measure_parting(draws: int) -> pd.DataFrame:
    """Return the share of draws whose interval of parting is right, earlier, or not found."""
    rows = []
    for shift in (0.1, 0.2, 0.3):
        for n in (100, 400):
            for distance in DISTANCES:
                found = []
                for seed in range(draws):
                    cells = _two_courses(0.35, 0.35 + shift, n, seed)
                    table = _compare(cells, "true_latent", distance, seed)
                    found.append(tuple(table[["parted_after", "parted_by"]].iloc[0]))
                rows.append(
                    {
                        "shift": shift,
                        "cells": n,
                        "distance": distance,
                        "right": np.mean([each == (2, 4) for each in found]),
                        "later": np.mean([each[1] > 4 for each in found]),
                        "earlier": np.mean([each[1] < 4 for each in found]),
                        "not found": np.mean([np.isnan(each[1]) for each in found]),
                    }
                )
    rows += list(_spread_only(draws))
    return pd.DataFrame(rows)


def _spread_only(draws: int) -> Iterator[dict[str, object]]:
    """Compare courses whose cells are out of step by different amounts, with equal means."""
    for distance in DISTANCES:
        found = []
        for seed in range(draws):
            parts = {
                f"arm {k}": cf.datasets.simulate_course(
                    n_cells=200 * len(TIMES),
                    rng=seed + 10_000 * k,
                    **COURSE | {"asynchrony": width},
                )
                for k, width in enumerate((0.03, 0.2))
            }
            cells = anndata.concat(parts, label="arm", index_unique="-")
            found.append(_alarmed(_compare(cells, "true_latent", distance, seed)))
        yield {
            "shift": "spread of clocks, any time",
            "cells": 200,
            "distance": distance,
            "right": np.mean(found),
        }


def measure_shares(draws: int) -> pd.DataFrame:
    """Return the share of intervals of differences of fates that hold the true one."""
    held: dict[str, list[bool]] = {}
    for seed in range(draws):
        cells = _two_courses(0.35, 0.55, 100, seed)
        table = cf.tl.compare(cells, "arm", of="fates", by="state")
        last = table[(table["time"] == TIMES[-1]) & (table["group"] == "B")].iloc[0]
        held.setdefault("cells of one sample", []).append(_holds(last, cells.uns["shift"]))
        for name, row in _estimate_fates(seed):
            held.setdefault(name, []).append(_holds(row, 0.0))
        for n in (2, 3, 4, 6):
            _draw_replicates(n, np.random.default_rng(seed), held)
    rows = [(what, np.mean(each), *_interval(each)) for what, each in held.items()]
    return pd.DataFrame(rows, columns=["units, interval", "held", "low", "high"])


def _estimate_fates(seed: int) -> Iterator[tuple[str, pd.Series]]:
    """Yield what is compared of fate probabilities of arms that do not differ, by start time."""
    cells = _two_courses(0.35, 0.35, 100, seed)
    flow = cf.tl.fit(
        cells,
        use_rep="true_latent",
        condition_keys="arm",
        recipe=cf.recipe("default", n_steps=1),
        progress=False,
    )
    cf.tl.fates(cells, flow, "state")
    table = cf.tl.compare(cells, "arm", of="fates")
    rows = table[table["group"] == "B"]
    for _, row in rows[rows["time"].isin((0.0, 4.0))].iterrows():
        yield f"fate probabilities at time {row['time']:g}", row


def _draw_replicates(n: int, rng: np.random.Generator, held: dict[str, list[bool]]) -> None:
    """Compare two arms of n replicates, whose shares differ by 0.1, in a share of 0.4 and 0.6."""
    share = np.repeat([[0.4], [0.6]], n, axis=1) + 0.1 * rng.normal(size=(2, n))
    arm, replicate, _ = (each.ravel() for each in np.indices((2, n, 100)))
    drawn = rng.random(len(arm)) < share[arm, replicate]
    obs = pd.DataFrame(
        {
            "arm": arm.astype(str),
            "mouse": replicate.astype(str),
            "fate": np.where(drawn, "A", "B"),
            "time": np.arange(len(arm)) % 2,
        },
        index=[f"cell{k}" for k in range(len(arm))],
    )
    cells = AnnData(obs=obs)
    for key, what in (("mouse", f"{n} replicates, Welch"), (None, f"{n} replicates, as cells")):
        table = cf.tl.compare(cells, "arm", of="fates", by="fate", replicate_key=key)
        row = table[(table["group"] == "A") & (table["time"] == 0)].iloc[0]
        held.setdefault(what, []).append(_holds(row, 0.2))
    means = (
        obs[obs["time"] == 0].groupby(["arm", "mouse"])["fate"].apply(lambda x: (x == "A").mean())
    )
    one, other = (means.loc[name].to_numpy() for name in "01")
    drawn_means = [
        rng.choice(other, (2000, n)).mean(axis=1) - rng.choice(one, (2000, n)).mean(axis=1)
    ]
    low, high = np.quantile(drawn_means[0], [0.025, 0.975])
    held.setdefault(f"{n} replicates, bootstrap", []).append(low <= 0.2 <= high)


def measure_genes(draws: int) -> pd.DataFrame:
    """Return the discoveries among genes that differ between two arms, and among all others.

    From one of two halves of a course nine in ten cells of fate B are removed once fates are
    drawn; genes of either fate differ then, and no others.
    """
    counts: dict[tuple[str, str], list[float]] = {}
    for seed in range(draws):
        course = cf.datasets.simulate_course(
            n_cells=400 * len(TIMES), rng=seed, **COURSE | {"n_genes": 300}
        )
        rng = np.random.default_rng(seed)
        course.obs["arm"] = np.where(rng.random(course.n_obs) < 0.5, "control", "treated")
        differs = np.abs(course.varm["true_loadings"][:, _fate_programs(course)]).sum(axis=1) > 0
        gone = (
            (course.obs["arm"] == "treated")
            & (course.obs["state"] == "B")
            & (rng.random(course.n_obs) < 0.9)
        )
        names = set(course.var_names[differs])
        for what, cells in (
            ("no difference", course),
            ("fate B mostly lost", course[~gone].copy()),
        ):
            table = cf.tl.compare(cells, "arm", of="genes")
            late = table["time"] > 3
            hit = table["q"] <= 0.05
            of_fates = table["gene"].isin(names)
            early = hit[~late] if what != "no difference" else hit
            counts.setdefault((what, "times with any gene, where none differs"), []).append(
                early.groupby(table["time"]).any().mean()
            )
            if what == "no difference":
                continue
            shown = hit & late
            counts.setdefault((what, "false of the found"), []).append(
                (shown & ~of_fates).sum() / max(shown.sum(), 1)
            )
            counts.setdefault((what, "found of the genes of fates"), []).append(
                hit[late & of_fates].mean()
            )
            first = table[late].groupby("time").head(10)
            counts.setdefault((what, "genes of fates in the first 10"), []).append(
                first["gene"].isin(names).mean()
            )
    rows = [(*what, float(np.mean(each))) for what, each in counts.items()]
    return pd.DataFrame(rows, columns=["arms", "what", "mean"])


def compare_doses() -> pd.DataFrame:
    """Compare every dose of the yeast series with dose 0, on GFP."""
    adata = read_h5ad(_data("yeast_dose_time_flow.h5ad"))
    adata.obsm["X_gfp"] = np.asarray(adata.X[:, :1], dtype=np.float64)
    table = cf.tl.compare(adata, "dose_IP", use_rep="X_gfp", max_cells=500)
    last = table["time"].max()
    wide = table.pivot(index="condition", columns="time", values="distance")
    wide = wide.loc[table["condition"].unique()]
    wide["smallest p"] = table.groupby("condition")["p"].min()
    for column in ("parted_after", "parted_by"):
        wide[column] = table.groupby("condition")[column].first()
    rank = stats.spearmanr(wide.index.astype(float), wide[last]).statistic
    print(f"rank correlation of dose and distance at {last:g} h: {rank:.3f}")
    first = table[table["time"] == table["time"].min()]
    times = np.unique(adata.obs["time"])
    still = (adata.obs["dose_IP"] == 0).to_numpy()
    at = [Cloud.of(adata.obsm["X_gfp"][still & (adata.obs["time"] == time)]) for time in times]
    print("dose 0 from its own time 0:", [round(energy_distance(at[0], each), 3) for each in at])
    print(f"at time 0: {(first['p'] <= 0.05).sum()} of {len(first)} doses with p of 0.05 or less")
    return wide.reset_index()


def compare_sorted() -> pd.DataFrame:
    """Compare cells sorted as LK and as LSK, on the layout, and the fates of their clones."""
    adata = read_h5ad(_data("larry_spring2d_130k.h5ad"))
    tables = [
        cf.tl.compare(adata, "sorted_from", use_rep="X_spring", distance=distance)
        for distance in DISTANCES
    ]
    counts = np.asarray(adata.obsm["clonal_fate_counts"], dtype=np.float64)
    total = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, total, out=np.full_like(counts, np.nan), where=total > 0)
    adata.obsm["clonal"] = pd.DataFrame(
        shares, index=adata.obs_names, columns=[str(name) for name in adata.uns["fate_names"]]
    )
    fates = cf.tl.compare(adata, "sorted_from", of="fates", by="clonal")
    print(fates.drop(columns=["reference", "units"]).round(4).to_string(index=False))
    return pd.concat(tables).drop(columns=["reference", "permuted"])


def draw() -> None:
    """Draw the distance of two arms over time."""
    mpl.use("agg")
    cells = _two_courses(0.35, 0.65, 200, 0)
    cf.pl.save(cf.pl.compare(_compare(cells, "true_latent", "energy", 0), unit="days")[0], FIGURE)


def _compare(
    cells: AnnData, use_rep: str | None, distance: str, seed: int, **more: object
) -> pd.DataFrame:
    return cf.tl.compare(
        cells,
        "arm",
        use_rep=use_rep,
        distance=distance,
        n_permutations=N_PERMUTATIONS,
        rng=seed,
        **more,
    )


def _again(course: AnnData, seed: int) -> AnnData:
    """Return as many cells of the same course again."""
    more = cf.datasets.simulate_course(n_cells=60 * len(TIMES), rng=seed + 10_000, **COURSE)
    more.obs["arm"] = course.obs["arm"].to_numpy()
    more.obs_names = [f"{name}-more" for name in more.obs_names]
    return more


def _simulate_donors(n: int, seed: int) -> AnnData:
    """Simulate donors with a batch effect, the first half of which is one arm."""
    cells = cf.datasets.simulate_course(
        n_cells=60 * n * 3,
        rng=seed,
        donors=n,
        batch_effect=0.4,
        **COURSE | {"times": (0.0, 4.0, 7.0)},
    )
    cells.obs["arm"] = np.where(cells.obs["donor"].cat.codes < n // 2, "control", "treated")
    cf.pp.embed(cells, n_dims=10)
    return cells


def _two_courses(one: float, other: float, n: int, seed: int) -> AnnData:
    """Simulate two arms of `n` cells at each time with these shares of fate B."""
    arms = {
        name: cf.datasets.simulate_course(
            n_cells=n * len(TIMES), rng=seed + plus, fates={"A": 1 - b, "B": b}, **COURSE
        )
        for name, b, plus in (("control", one, 0), ("treated", other, 10_000))
    }
    last = [arm.uns["cellflow"]["simulation"]["composition"][1] for arm in arms.values()]
    cells = anndata.concat(arms, label="arm", index_unique="-")
    cells.uns["shift"] = last[1] - last[0]
    return cells


def _fate_programs(course: AnnData) -> list[int]:
    record = course.uns["cellflow"]["simulation"]
    fates = set(map(str, record["fates"]))
    return [k for k, name in enumerate(record["programs"]) if str(name) in fates]


def _alarmed(table: pd.DataFrame) -> bool:
    return bool((table["p"] <= 0.05).any())


def _holds(row: pd.Series, truth: float) -> bool:
    return bool(row["low"] <= truth <= row["high"])


def _interval(hits: list[bool]) -> tuple[float, float]:
    """Return the 95 % interval of a share, by Clopper and Pearson."""
    found = stats.binomtest(int(np.sum(hits)), len(hits)).proportion_ci()
    return float(found.low), float(found.high)


def _data(name: str) -> Path:
    return Path(os.environ["CELLFLOW_DATA"]) / name


def main() -> None:
    """Print one table, or draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    simulated = {
        "alarms": measure_alarms,
        "parting": measure_parting,
        "shares": measure_shares,
        "genes": measure_genes,
    }
    real = {"yeast": compare_doses, "larry": compare_sorted}
    parser.add_argument("what", choices=[*simulated, *real, "figure"])
    parser.add_argument("--draws", type=int, default=200)
    given = parser.parse_args()
    if given.what == "figure":
        draw()
        return
    if given.what in simulated:
        logging.getLogger("cellflow").setLevel(logging.WARNING)
        table = simulated[given.what](given.draws)
    else:
        table = real[given.what]()
    print(table.round(3).to_string(index=False))


if __name__ == "__main__":
    main()
